"""Represent a run as JSON, which `--json` writes and every report and comparison is made of."""

from __future__ import annotations

import itertools
from dataclasses import asdict
from typing import Any

from bench.laps.measurement import Measurement, Run
from bench.load.histogram import PERCENTILES, Histogram
from bench.report.goals import judge

FORMAT = 2
Document = dict[str, Any]


def document_of(run: Run) -> Document:
    """Return the run as JSON.

    Times are milliseconds unless a name says otherwise; CPU is in seconds for a thousand requests.
    """
    return {
        "format": FORMAT,
        "run": run.name,
        "startedAt": run.started_ms,
        "service": run.service,
        "machine": run.machine,
        "passed": run.passed,
        "verdict": verdict_of(run),
        "check": asdict(run.findings),
        "goals": [asdict(judged) for judged in judge(run)],
        "notes": run.notes,
        "measurements": [_measurement(each) for each in run.measurements],
    }


def verdict_of(run: Run) -> str:
    """Return the verdict in a sentence: whether everything acknowledged is stored as it must be."""
    found = run.findings
    if run.passed:
        recalled = f"; {found.recalled:,} recalled ones say nothing any more"
        return (
            f"PASSED: each of {found.acknowledged:,} acknowledged messages is stored exactly once, "
            f"unaltered and in order{recalled if found.recalled else ''}."
        )
    if not found.acknowledged:
        return "FAILED: not one message was acknowledged."
    told = ", ".join(f"{count:,} {what}" for what, count in found.failures.items())
    return f"FAILED: of {found.acknowledged:,} acknowledged messages {told}."


def _measurement(measured: Measurement) -> Document:
    latency, result = measured.latency, measured.result
    return {
        "name": measured.name,
        "title": measured.title,
        "connections": measured.connections,
        "offeredRate": measured.offered,
        "rate": measured.rate,
        "answered": result.answered,
        "errors": dict(result.errors),
        "durability": {name: count for name, count in result.durability.items() if count},
        "latency": _latency(latency),
        "operations": {name: _latency(each) for name, each in measured.operations.items()},
        "histogram": latency.spread(),
        "noopRate": measured.noop_rate,
        "ratioToNoop": measured.ratio,
        "ratesEachSecond": _differences(result.each_second),
        "pendingEachSecond": measured.seen.pending,
        "storedAfterS": measured.drained_s,
        "storedAfter": _latency(measured.seen.stored_after),
        "parts": {
            name: {
                "processes": part.processes,
                "cpuS": measured.cpu_ms_each(name),
                "peakMb": part.peak_mb,
                "memoryMbEachSecond": part.memory_mb,
            }
            for name, part in measured.parts.items()
        },
        "figures": measured.figures,
    }


def service_us(measurement: Document) -> float:
    """Return the CPU microseconds that the service, without the load, spent on a request."""
    parts = measurement["parts"].items()
    return 1000 * sum(float(part["cpuS"]) for name, part in parts if name != "load")


def _latency(histogram: Histogram) -> dict[str, float]:
    percentiles = {f"p{percent:g}": histogram.percentile_ms(percent) for percent in PERCENTILES}
    return {
        "mean": histogram.mean_ms(),
        **percentiles,
        "max": histogram.largest_us / 1000,
    }


def _differences(totals: list[int]) -> list[int]:
    return [after - before for before, after in itertools.pairwise([0, *totals])]
