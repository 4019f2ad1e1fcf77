"""Measure the first page of history, of conversations that the cache holds."""

from __future__ import annotations

from dataclasses import replace

from bench.laps.bench import Bench
from bench.load.traffic import PAGE_SIZE

STEADY_RATE = 1_000.0
READERS = 200
LIMIT_S = 300.0


def run(bench: Bench) -> None:
    """Fill some conversations with more than a page, then read them and nothing else."""
    connections = bench.standard.connections
    readers = bench.standard.accounts[: max(READERS, connections + connections % 2)]
    fill = replace(
        bench.standard,
        accounts=readers,
        limit=len(readers) * PAGE_SIZE,
        seconds=LIMIT_S,
        warm_s=0.0,
    )
    bench.measure("pages-fill", "filling conversations", fill)
    read = replace(bench.standard, accounts=readers, kind="history")
    bench.measure("pages", "first history page, flat out", read)
    steady = replace(read, rate=STEADY_RATE)
    bench.measure("pages-open", f"first history page at {STEADY_RATE:,.0f}/s", steady)
