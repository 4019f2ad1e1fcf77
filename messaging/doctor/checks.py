"""Define a check: a name in an area, and a function that looks."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from messaging.doctor.surroundings import Surroundings
from messaging.doctor.verdicts import NotAnswered, Verdict, ok

BOUND_S = 2.0  # of a check that waits for answers
Look = Callable[[Surroundings], Verdict | None]


@dataclass(frozen=True, slots=True)
class Check:
    """Hold a check of an area.

    `look` returns None where the check does not apply to this instance. A check that has not ended
    after `bound_s` fails.

    Raises: NotSeen, from `look`.
    """

    area: str
    name: str
    look: Look
    bound_s: float = BOUND_S


def checks_of(area: str, looks: Mapping[str, Look]) -> tuple[Check, ...]:
    """Return the checks of an area, in the order of their names in `looks`."""
    return tuple(Check(area, name, look) for name, look in looks.items())


def answer_of(opened: Callable[[Surroundings], object], well: Callable[[], str]) -> Look:
    """Return the check whether the backend that `opened` opens answers; `well` is told then."""

    def look(around: Surroundings) -> Verdict:
        try:
            opened(around)
        except NotAnswered as away:
            return away.verdict
        return ok(well())

    return look
