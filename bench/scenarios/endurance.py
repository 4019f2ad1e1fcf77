"""Run for long at half rate, to see whether memory of the web and the consumer stays constant."""

from __future__ import annotations

from dataclasses import replace

from bench.laps.bench import Bench
from bench.scenarios.capacity import capacity_of
from bench.scenarios.sustain import slope

PARTS = ("web", "consumer")
SETTLING = 0.2  # the share of the run in which caches fill


def run(bench: Bench) -> None:
    rate = bench.options.rates[0] if bench.options.rates else capacity_of(bench) / 2
    minutes = bench.options.minutes
    plan = replace(bench.standard, rate=rate, seconds=60 * minutes)
    measured = bench.measure("long", f"{minutes:g} minutes at {rate:,.0f}/s", plan)
    for part in PARTS:
        if used := measured.seen.parts.get(part):
            settled = used.memory_mb[int(len(used.memory_mb) * SETTLING) :]
            measured.figures[f"{part} growth MB/min"] = slope(settled) * 60
