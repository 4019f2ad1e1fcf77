"""Measure the service with closed loops of several sizes, and with open loops at fixed rates."""

from __future__ import annotations

from dataclasses import replace

from bench.laps.bench import Bench
from bench.laps.measurement import Measurement

CLOSED = "closed"
RATES = (500.0, 1_000.0, 2_000.0)


def closed(bench: Bench) -> None:
    """Measure each number of connections in turn, each beside a bare no-op."""
    for connections in bench.options.connections:
        _closed(bench, connections)


def open_loop(bench: Bench) -> None:
    """Measure each rate in turn."""
    for rate in bench.options.rates or RATES:
        plan = replace(bench.standard, rate=rate)
        bench.measure(f"open-{rate:.0f}", f"open loop at {rate:,.0f}/s", plan)


def capacity_of(bench: Bench) -> float:
    """Return the best rate of a closed loop in this run, measured now if it was not yet."""
    found = _measured(bench)
    if not found:
        _closed(bench, bench.standard.connections)
    return max(each.rate for each in _measured(bench))


def _closed(bench: Bench, connections: int) -> None:
    bench.measure_noop(connections)
    plan = replace(bench.standard, connections=connections)
    bench.measure(f"{CLOSED}-{connections}", f"closed loop, {connections} connections", plan)


def _measured(bench: Bench) -> list[Measurement]:
    return [each for each in bench.run.measurements if each.name.partition("-")[0] == CLOSED]
