"""Measure what clients do all day: sends, history pages and recalls, over the same connections."""

from __future__ import annotations

from dataclasses import replace

from bench.laps.bench import Bench


def run(bench: Bench) -> None:
    bench.measure("mix", "send, history and recall", replace(bench.standard, kind="mix"))
