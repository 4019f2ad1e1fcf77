"""Judge whether the ordinary clients have noticed an abusive one.

Pure.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from tests.faults.checker import Violation, ViolationKind
from tests.faults.transcript import Transcript

WORST_S = 1.0
P99_RATIO = 3.0
MEMORY_RATIO = 1.1
ENOUGH_SENDS = 400  # for a percentile that tells something: runs with --hold 15 or longer


@dataclass(frozen=True, slots=True)
class Figures:
    """Hold the sends of the ordinary clients without and beside the abuse, sorted by seconds taken.

    The memory is that of the web's processes together, in bytes.
    """

    before_s: Sequence[float]
    beside_s: Sequence[float]
    memory_before: float
    memory_after: float

    def __str__(self) -> str:
        p99s = [f"{percentile(each, 0.99) * 1000:.0f}" for each in (self.before_s, self.beside_s)]
        worst = f"{percentile(self.beside_s, 1.0) * 1000:.0f}"
        sizes = [f"{each / 2**20:.0f}" for each in (self.memory_before, self.memory_after)]
        return (
            f"p99 of {len(self.before_s)} sends {p99s[0]} ms before, of {len(self.beside_s)} beside"
            f" {p99s[1]} ms, the slowest {worst} ms; web {sizes[0]} MiB before, {sizes[1]} after"
        )


def figures_of(transcript: Transcript) -> Figures:
    """Return the figures of a run.

    Raises: KeyError where the abuse never began.
    """
    return Figures(
        _sends(transcript, 0.0, transcript.at("fault")),
        _sends(transcript, transcript.at("abuse"), transcript.at("mending")),
        transcript.value_of("memory before"),
        transcript.value_of("memory after"),
    )


def judge_abuse(transcript: Transcript) -> Iterator[Violation]:
    """Yield a violation for each refusal, slow answer and growth that the abuse has caused.

    The ordinary clients' sends before the abuse are the measure of those beside it.
    """
    begun_s, ended_s = transcript.at("abuse"), transcript.at("mending")
    for operation in transcript.operations:
        refused = operation.status in (0, 429) or operation.status >= 500
        if refused and begun_s <= operation.invoked_s < ended_s:
            yield Violation(
                ViolationKind.NOTICED, f"{operation.kind} was answered {operation.status}"
            )
    found = figures_of(transcript)
    if not found.beside_s or found.beside_s[-1] > WORST_S:
        yield Violation(ViolationKind.NOTICED, f"a send took long: {found}")
    p99s = [percentile(each, 0.99) for each in (found.before_s, found.beside_s)]
    enough = min(len(found.before_s), len(found.beside_s)) >= ENOUGH_SENDS
    if enough and p99s[1] > P99_RATIO * p99s[0]:
        yield Violation(ViolationKind.NOTICED, f"sends took longer: {found}")
    if found.memory_after > MEMORY_RATIO * found.memory_before:
        yield Violation(ViolationKind.NOTICED, f"the memory is not back: {found}")


def percentile(sorted_values: Sequence[float], share: float) -> float:
    """Return the value below which this share of the sorted values lies; 0 of none."""
    if not sorted_values:
        return 0.0
    return sorted_values[max(0, math.ceil(share * len(sorted_values)) - 1)]


def _sends(transcript: Transcript, from_s: float, to_s: float) -> list[float]:
    return sorted(
        each.took_s
        for each in transcript.operations
        if each.kind == "send" and from_s <= each.invoked_s < to_s
    )
