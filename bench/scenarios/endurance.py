"""Run for long at half rate, to see whether memory of the web and the consumer stays constant."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from bench.laps.bench import Bench
from bench.scenarios.capacity import capacity_of

PARTS = ("web", "consumer")
SETTLING = 0.2  # the share of the run in which caches fill


def run(bench: Bench) -> None:
    rate = bench.options.rate or capacity_of(bench) / 2
    minutes = bench.options.minutes
    plan = replace(bench.standard, rate=rate, seconds=60 * minutes)
    measured = bench.measure("long", f"{minutes:g} minutes at {rate:,.0f}/s", plan)
    for part in PARTS:
        if used := measured.seen.parts.get(part):
            measured.figures[f"{part} growth MB"] = growth(used.memory_mb)


def growth(memory_mb: Sequence[float]) -> float:
    """Return the average growth (MB) from the fifth after settling to the last fifth of the run."""
    fifth = max(1, int(len(memory_mb) * SETTLING))
    early, late = memory_mb[fifth : 2 * fifth], memory_mb[-fifth:]
    return sum(late) / len(late) - sum(early) / len(early) if early and late else 0.0
