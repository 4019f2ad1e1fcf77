"""Present the findings of an audit as text and as JSON.

A report has counts and ids, never the content of a message. Pure.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from messaging.audit.findings import Fate, Findings


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """Hold the result of an audit.

    `fates` are counted by the source that names the messages. `lag` is in records, by partition.
    `examples` of each kind are named.
    """

    started_ms: int
    took_ms: int
    fates: Mapping[str, Mapping[Fate, int]]
    findings: Findings
    pending: int
    oldest_pending_ms: int | None
    lag: Mapping[int, int]
    unreadable: int
    repaired: bool
    examples: int

    @property
    def is_clean(self) -> bool:
        """Tell whether every message is accounted for and no disagreement is left."""
        return not self.findings.left


def document_of(report: Report) -> dict[str, Any]:
    """Return the report as JSON has it; times in milliseconds, ids as strings."""
    return {
        "startedAt": report.started_ms,
        "tookMs": report.took_ms,
        "clean": report.is_clean,
        "repaired": report.repaired,
        "accounted": {
            source: {fate.value: count for fate, count in fates.items()}
            for source, fates in report.fates.items()
        },
        "pending": {"count": report.pending, "oldestAgeMs": report.oldest_pending_ms},
        "log": {
            "lag": {str(n): lag for n, lag in report.lag.items()},
            "unreadable": report.unreadable,
        },
        "findings": [
            {
                "kind": kind.value,
                "meaning": kind.meaning,
                "found": tally.found,
                "mended": tally.found - tally.left,
                "examples": tally.examples(report.examples),
            }
            for kind, tally in report.findings.kinds.items()
        ],
    }


def lines(report: Report) -> Iterator[str]:
    """Yield the report for a person; the last line is the verdict."""
    yield from _fates(report)
    yield ""
    age = report.oldest_pending_ms
    oldest = f", the oldest for {timedelta(seconds=age // 1000)}" if age is not None else ""
    yield f"pending: {report.pending:,}{oldest}"
    lag = " ".join(f"{partition}:{records:,}" for partition, records in report.lag.items())
    yield f"log: {sum(report.lag.values()):,} records not committed ({lag})"
    if report.unreadable:
        yield f"log: {report.unreadable:,} records are no event; see manage.py dead_letters"
    for kind, tally in report.findings.kinds.items():
        done = f" ({tally.found - tally.left:,} of them mended)" if report.repaired else ""
        yield f"{kind.value}: {tally.found:,} {kind.meaning}{done}"
        examples = tally.examples(report.examples)
        yield f"  {', '.join(examples)}{' …' if tally.found > len(examples) else ''}"
    yield _verdict(report)


def _fates(report: Report) -> Iterator[str]:
    shown = [fate for fate in Fate if any(fate in fates for fates in report.fates.values())]
    heads = ["named by", *(fate.value for fate in shown)]
    body = [
        [source, *(f"{fates.get(fate, 0):,}" for fate in shown)]
        for source, fates in report.fates.items()
    ]
    widths = [max(map(len, column)) for column in zip(heads, *body, strict=True)]
    for name, *counts in [heads, *body]:
        cells = [count.rjust(width) for count, width in zip(counts, widths[1:], strict=True)]
        yield "  ".join([name.ljust(widths[0]), *cells]).rstrip()


def _verdict(report: Report) -> str:
    if left := report.findings.left:
        return f"FAILED: {sum(left.values()):,} left: {', '.join(kind.value for kind in left)}."
    mended = sum(tally.found - tally.left for tally in report.findings.kinds.values())
    done = f"{mended:,} mended, and " if mended else ""
    return f"PASSED: {done}every message that is known of is accounted for."
