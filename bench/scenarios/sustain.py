"""Accept and store together, for long enough to see whether the pending set grows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from statistics import linear_regression

from bench.laps.bench import Bench
from bench.scenarios.capacity import capacity_of

RATE = 5_100.0  # a little above the goal, so that reaching it can be seen
SHARE = 0.7  # of a slower machine's capacity
SECONDS = 60.0


def run(bench: Bench) -> None:
    rates = bench.options.rates or [min(RATE, SHARE * capacity_of(bench))]
    plan = replace(bench.standard, rate=rates[0], seconds=SECONDS)
    measured = bench.measure("sustain", f"accept and drain together at {rates[0]:,.0f}/s", plan)
    first = int(plan.warm_s)
    pending = measured.seen.pending[first : first + int(SECONDS)]
    measured.figures["backlog growth/s"] = slope(pending)


def slope(samples: Sequence[float]) -> float:
    """Return by how much the samples grow from one to the next, as the line that fits them best."""
    if len(samples) < 2:
        return 0.0
    return linear_regression(range(len(samples)), samples).slope
