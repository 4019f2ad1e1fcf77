"""Test what the exporter tells of the scheduled audits."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from messaging.audit.findings import Defect
from messaging.exporter import asked, sources
from messaging.ports.audit_runs import AuditRun, LastAudits, Outcome, Scope

NEVER = LastAudits(None, None)


def complete(scope: Scope, ended_ms: int, **findings: int) -> AuditRun:
    return AuditRun(
        scope=scope,
        started_ms=ended_ms - 1_000,
        ended_ms=ended_ms,
        outcome=Outcome.FAULTY if findings else Outcome.CLEAN,
        findings=findings,
        unaccounted=findings.get("unaccounted", 0),
    )


def incomplete(scope: Scope, ended_ms: int) -> AuditRun:
    return AuditRun(
        scope=scope,
        started_ms=ended_ms - 1_000,
        ended_ms=ended_ms,
        outcome=Outcome.INCOMPLETE,
        findings={},
        unaccounted=None,
        missing=("log",),
    )


class Kept:
    """Hold last audits as a table of results would return them."""

    def __init__(self, hourly: LastAudits, nightly: LastAudits = NEVER) -> None:
        self._last = {Scope.HOURLY: hourly, Scope.NIGHTLY: nightly}

    async def last_audits(self) -> Mapping[Scope, LastAudits]:
        return self._last

    async def save(self, run: AuditRun) -> None:
        raise AssertionError

    async def forget_before(self, time_ms: int) -> None:
        raise AssertionError

    async def close(self) -> None:
        raise AssertionError


async def test_tells_nothing_before_the_first_complete_audit() -> None:
    assert await sources.audits(Kept(NEVER)) == {}
    run = incomplete(Scope.HOURLY, 5_000)
    assert await sources.audits(Kept(LastAudits(run, None))) == {}


async def test_tells_the_time_and_every_kind_of_a_clean_audit() -> None:
    run = complete(Scope.HOURLY, 5_250)
    answers = await sources.audits(Kept(LastAudits(run, run)))
    assert answers[asked.audit_timestamp] == {("hourly",): 5.25}
    assert answers[asked.audit_findings] == {(kind.value,): 0 for kind in Defect}
    assert answers[asked.unaccounted] == {(): 0}


async def test_an_incomplete_audit_changes_no_number() -> None:
    before = complete(Scope.HOURLY, 5_000, unaccounted=3)
    last = LastAudits(incomplete(Scope.HOURLY, 9_000), before)
    answers = await sources.audits(Kept(last))
    assert answers == await sources.audits(Kept(LastAudits(before, before)))
    assert answers[asked.unaccounted] == {(): 3}
    assert answers[asked.audit_timestamp] == {("hourly",): 5}


@pytest.mark.parametrize("is_hourly_newer", [True, False])
async def test_a_clean_audit_of_one_schedule_hides_nothing_of_the_other(
    is_hourly_newer: bool,
) -> None:
    hourly = complete(Scope.HOURLY, 9_000 if is_hourly_newer else 1_000, seq=1)
    nightly = complete(Scope.NIGHTLY, 5_000, unaccounted=2)
    answers = await sources.audits(Kept(LastAudits(hourly, hourly), LastAudits(nightly, nightly)))
    assert answers[asked.unaccounted] == {(): 2}
    found = {kind: n for (kind,), n in answers[asked.audit_findings].items() if n}
    assert found == {"seq": 1, "unaccounted": 2}


async def test_a_kind_that_this_release_does_not_know_makes_no_series() -> None:
    run = complete(Scope.HOURLY, 5_000, of_a_later_release=1)
    answers = await sources.audits(Kept(LastAudits(run, run)))
    assert len(answers[asked.audit_findings]) == len(Defect)
