"""Define a mutation: the place, the change, and the check that must catch it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

SIMULATOR = ("-m", "tests.simulation", "--first", "--schedules")


@dataclass(frozen=True, slots=True)
class Mutation:
    """Describe a mutation: `old` is found exactly once in the file at `path`, and becomes `new`.

    `check` are Python's arguments; the check fails on the mutated copy and passes on the real code.
    """

    name: str
    path: str
    old: str
    new: str
    check: Sequence[str]


def simulator(schedules: int) -> Sequence[str]:
    return (*SIMULATOR, str(schedules))


def pytest_of(*names: str) -> Sequence[str]:
    return ("-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", *names)
