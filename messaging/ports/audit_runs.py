"""Promise to keep what scheduled audits have found.

Raises: StoreUnavailable, from every method.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol


class Scope(StrEnum):
    """Name the scheduled audits by their schedule; each looks at other messages."""

    HOURLY = "hourly"  # the rows and records of the last two hours
    NIGHTLY = "nightly"  # all rows


class Outcome(StrEnum):
    CLEAN = "clean"
    FAULTY = "faulty"
    INCOMPLETE = "incomplete"  # something could not be read, so nothing is said about the rest


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditRun:
    """Hold the result of one scheduled audit; times in milliseconds since 1970.

    `findings`: numbers by kind, without the kinds that were not found.
    `unaccounted`: accepted messages that were found nowhere. None in an incomplete run, which
    cannot tell.
    `missing`: for an incomplete run, `cache`, `log` or `store` for a part that was away, and `time`
    when the time was over.
    """

    scope: Scope
    started_ms: int
    ended_ms: int
    outcome: Outcome
    findings: Mapping[str, int]
    unaccounted: int | None
    missing: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class LastAudits:
    """Hold the last run of a scope, and the last one that was complete; None where there is none.

    Both are the same run where the last one was complete.
    """

    last: AuditRun | None
    complete: AuditRun | None


class AuditRuns(Protocol):
    async def save(self, run: AuditRun) -> None: ...

    async def forget_before(self, time_ms: int) -> None:
        """Delete the runs that started before this time. Safe to repeat."""

    async def last_audits(self) -> Mapping[Scope, LastAudits]:
        """Return the last runs of every scope."""

    async def close(self) -> None: ...
