"""Count what a process does, and write the counts to a file each second.

`catalogue` names every family that a process counts. `SnapshotWriter` writes the file. The exporter
(`manage.py run_exporter`) reads the files of all processes, and serves the sums to Prometheus.

This package imports nothing of the service, so that every layer may count. A count is a plain
integer: adding to a count costs about 0.1 µs. Counting belongs to the thread of the event loop.
"""
