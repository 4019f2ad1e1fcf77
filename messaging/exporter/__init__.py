"""Serve the counts of all processes, and the state of the backends, to Prometheus.

`manage.py run_exporter` runs an `Exporter`. `gathering` adds up the snapshots that processes write
(`messaging.metrics`), and `accumulator` keeps the counts of dead processes. `asking` asks the
backends in the background: `sources` has the questions, and `asked` names the answers. `page` makes
the text for Prometheus, `samples` the last half hour for the operators' page, and `serving` answers
over HTTP.

The exporter depends on no other process: a dead consumer or a broken backend is told by numbers.
"""
