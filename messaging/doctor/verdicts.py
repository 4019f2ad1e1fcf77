"""Define the verdict of a check, the reasons for having none, and the report of all checks."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class State(StrEnum):
    """Name the states of a finding."""

    OK = "OK"
    WARN = "WARN"
    FAIL = "FAIL"


@dataclass(frozen=True, slots=True)
class Verdict:
    """Hold the result of one check; `remedy` can be copied, and is empty for OK alone."""

    state: State
    found: str
    remedy: str = ""


def ok(found: str) -> Verdict:
    return Verdict(State.OK, found)


def warn(found: str, remedy: str) -> Verdict:
    return Verdict(State.WARN, found, remedy)


def fail(found: str, remedy: str) -> Verdict:
    return Verdict(State.FAIL, found, remedy)


class NotSeen(Exception):
    """Report that a check cannot see the thing to judge; the text is the reason, for people."""


class NotAnswered(NotSeen):
    """Report that a backend does not answer; `verdict` tells why, for the one check of that."""

    def __init__(self, backend: str, verdict: Verdict) -> None:
        super().__init__(f"{backend} does not answer")
        self.verdict = verdict


@dataclass(frozen=True, slots=True)
class Finding:
    """Hold the verdict of a check with the check's area and name."""

    area: str
    check: str
    state: State
    found: str
    remedy: str


@dataclass(frozen=True, slots=True)
class LeftOut:
    """Name a check that could not be made, and the reason."""

    area: str
    check: str
    reason: str


@dataclass(frozen=True, slots=True)
class Report:
    """Hold everything that an examination found, in the order of the checks."""

    findings: tuple[Finding, ...]
    left_out: tuple[LeftOut, ...] = ()

    @property
    def state(self) -> State:
        """Return the worst state of the findings; OK without any."""
        states = {finding.state for finding in self.findings}
        return next((state for state in (State.FAIL, State.WARN) if state in states), State.OK)
