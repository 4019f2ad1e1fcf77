"""Measure a few sends: alone on an idle service, one after the other, and all at once."""

from __future__ import annotations

from dataclasses import replace

from bench.laps.bench import Bench

LONE_RATE = 20.0
LIMIT_S = 120.0


def lone(bench: Bench) -> None:
    """Measure sends so far apart that none meets another."""
    plan = replace(bench.standard, connections=1, rate=LONE_RATE, load_processes=1)
    bench.measure("lone", "lone sends, 20 a second", plan)


def sends(bench: Bench) -> None:
    """Measure so many sends by one user, then as many by as many users at the same moment."""
    count = bench.options.sends
    plan = replace(
        bench.standard, connections=1, limit=count, warm_s=0.0, seconds=LIMIT_S, load_processes=1
    )
    one_user = replace(plan, accounts=bench.standard.accounts[:1])
    bench.measure("sends", f"{count} sends, one after the other", one_user)
    burst = replace(plan, connections=min(count, len(plan.accounts)))
    bench.measure("burst", f"{count} sends at once", burst)
