"""Judge a transcript: compute its figures and violations, and print the table of them."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.faults.abuse_verdict import figures_of, judge_abuse, percentile
from tests.faults.checker import Violation, ViolationKind, check
from tests.faults.rows import Fault
from tests.faults.sends import SendsById
from tests.faults.transcript import Operation, Transcript

SETTLED_S = 1.5  # after a fault begins; by then all earlier sends are answered
DURABILITIES = ("log", "cache", "store")


@dataclass(frozen=True, slots=True)
class FaultResult:
    """Hold the figures and violations of a run.

    All figures but `operations` are of the time while the fault lasted.
    """

    fault: str
    seed: int
    operations: int
    acknowledged: Counter[str]  # sends by durability
    refused: int  # sends that got no acknowledgement
    p99_ms: float  # of sends
    worst_ms: float
    drain_s: float | None  # since the heal
    violations: list[Violation]
    second_ids: int  # told for repeats; a fault that makes Redis forget may cause some
    transcript: Path
    note: str = ""  # what else was measured

    def count(self, *kinds: ViolationKind) -> int:
        return sum(violation.kind in kinds for violation in self.violations)

    @property
    def document(self) -> dict[str, Any]:
        return {
            "fault": self.fault,
            "seed": self.seed,
            "operations": self.operations,
            "acknowledged": dict(self.acknowledged),
            "refused": self.refused,
            "p99Ms": self.p99_ms,
            "worstMs": self.worst_ms,
            "drainS": self.drain_s,
            "secondIds": self.second_ids,
            "note": self.note,
            "violations": [f"{each.kind}: {each.what}" for each in self.violations],
        }


def judge(fault: Fault, seed: int, transcript: Transcript, path: Path) -> FaultResult:
    sends = [
        operation
        for operation in transcript.operations
        if operation.kind == "send" and transcript.at("fault") <= operation.invoked_s
        if operation.invoked_s < transcript.at("mending")
    ]
    acknowledged = Counter(each.durability for each in sends if each.durability)
    found = [
        *check(transcript),
        *_judge_end(transcript),
        *_judge_availability(fault, transcript, sends),
        *(judge_abuse(transcript) if fault.is_abuse else ()),
    ]
    if fault.forgets or math.isfinite(transcript.at("redis lost")):
        found = [violation for violation in found if violation.kind is not ViolationKind.TWO_IDS]
    latencies_ms = sorted(each.took_s * 1000 for each in sends)
    drained_s = transcript.at("drained") - transcript.at("healed")
    return FaultResult(
        fault=fault.name,
        seed=seed,
        operations=len(transcript.operations),
        acknowledged=acknowledged,
        refused=len(sends) - acknowledged.total(),
        p99_ms=percentile(latencies_ms, 0.99),
        worst_ms=percentile(latencies_ms, 1.0),
        drain_s=drained_s if math.isfinite(drained_s) else None,
        violations=found,
        second_ids=SendsById(transcript).second_ids,
        transcript=path,
        note=str(figures_of(transcript)) if fault.is_abuse else "",
    )


def _judge_end(transcript: Transcript) -> Iterator[Violation]:
    for mark in transcript.marks:
        if mark.name.startswith("stuck"):
            yield Violation(ViolationKind.STUCK, mark.name)
        elif mark.name.startswith("astray"):
            yield Violation(ViolationKind.ASTRAY, mark.name)


def _judge_availability(
    fault: Fault, transcript: Transcript, sends: Sequence[Operation]
) -> Iterator[Violation]:
    """Judge that sends were taken, or refused, as the fault allows while it lasted."""
    if fault.accepts is None:
        return
    settled_s = transcript.at("fault") + SETTLED_S
    late = [each for each in sends if each.invoked_s >= settled_s]
    while_broken = {each.durability for each in late if each.completed_s < transcript.at("mending")}
    if missing := fault.accepts - while_broken:
        yield Violation(
            ViolationKind.UNAVAILABLE, f"no send was acknowledged by {', '.join(missing)}"
        )
    if not fault.accepts and while_broken - {None}:
        yield Violation(
            ViolationKind.UNAVAILABLE, f"acknowledged by {while_broken} with nothing left"
        )


HEAD = (
    f"{'fault':<28}{'seed':>7}{'operations':>11}{'log':>6}{'cache':>6}{'store':>6}{'refused':>8}"
    f"{'lost':>5}{'doubled':>8}{'altered':>8}{'resurr.':>8}{'unseen':>7}{'other':>6}{'2nd ids':>8}"
    f"{'p99 ms':>8}{'worst ms':>9}{'drain s':>8}"
)


def table(results: Iterable[FaultResult]) -> Iterator[str]:
    yield HEAD
    for result in results:
        main = (
            result.count(ViolationKind.LOST),
            result.count(ViolationKind.DOUBLED),
            result.count(ViolationKind.ALTERED),
            result.count(ViolationKind.RESURRECTED, ViolationKind.UNDELETED),
            result.count(ViolationKind.UNSEEN),
        )
        drain = "never" if result.drain_s is None else f"{result.drain_s:.1f}"
        yield (
            f"{result.fault:<28}{result.seed:>7}{result.operations:>11,}"
            + "".join(f"{result.acknowledged[each]:>6,}" for each in DURABILITIES)
            + f"{result.refused:>8,}{main[0]:>5}{main[1]:>8}{main[2]:>8}{main[3]:>8}{main[4]:>7}"
            + f"{len(result.violations) - sum(main):>6}{result.second_ids:>8}"
            + f"{result.p99_ms:>8,.0f}{result.worst_ms:>9,.0f}{drain:>8}"
        )


def notes(results: Iterable[FaultResult]) -> Iterator[str]:
    """Yield a line for every result that has more to tell than the table."""
    for result in results:
        if result.note:
            yield f"{result.fault} (seed {result.seed}): {result.note}"


def explain(results: Iterable[FaultResult], most: int = 5) -> Iterator[str]:
    """Yield the first violations of each kind, for every result that has any."""
    for result in results:
        kinds = Counter(violation.kind for violation in result.violations)
        for kind, count in kinds.items():
            yield f"{result.fault} (seed {result.seed}): {count} {kind}; {result.transcript}"
            examples = [each.what for each in result.violations if each.kind is kind]
            yield from (f"    {example}" for example in examples[:most])
