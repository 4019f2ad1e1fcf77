"""Measure the capacity of the service: a closed loop, and an open one at half of its rate."""

from __future__ import annotations

from dataclasses import replace

from bench.laps.bench import Bench
from bench.laps.measurement import Measurement

CLOSED = "closed"


def closed(bench: Bench) -> None:
    """Measure each number of connections in turn, each beside a bare no-op."""
    for connections in bench.options.connections:
        _closed(bench, connections)


def open_loop(bench: Bench) -> None:
    rate = bench.options.rate or capacity_of(bench) / 2
    plan = replace(bench.standard, rate=rate)
    bench.measure("open", f"open loop at {rate:,.0f}/s", plan)


def capacity_of(bench: Bench) -> float:
    """Return the best rate of a closed loop in this run, measured now if it was not yet."""
    found = _measured(bench)
    if not found:
        _closed(bench, bench.standard.connections)
    return max(each.rate for each in _measured(bench))


def _closed(bench: Bench, connections: int) -> None:
    name = CLOSED if connections == bench.standard.connections else f"{CLOSED}-{connections}"
    bench.measure_noop(connections)
    plan = replace(bench.standard, connections=connections)
    bench.measure(name, f"closed loop, {connections} connections", plan)


def _measured(bench: Bench) -> list[Measurement]:
    return [each for each in bench.run.measurements if each.name.partition("-")[0] == CLOSED]
