"""Test how checks are made: within a bound each, whatever one of them does."""

from __future__ import annotations

import threading

import pytest

from messaging.doctor import examination
from messaging.doctor.checks import Check
from messaging.doctor.examination import examine
from messaging.doctor.surroundings import Surroundings
from messaging.doctor.verdicts import (
    Finding,
    LeftOut,
    NotSeen,
    Report,
    State,
    Verdict,
    fail,
    ok,
    warn,
)


def report_of(patch: pytest.MonkeyPatch, *, bound_s: float = 30.0, **looks: object) -> Report:
    checks = [Check("area", name, look, bound_s) for name, look in looks.items()]  # type: ignore[arg-type]
    patch.setattr(examination, "CHECKS", checks)
    return examine(["area"])


def test_a_check_that_hangs_fails_and_the_next_one_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    ends = threading.Event()
    used: list[Surroundings] = []

    def hang(around: Surroundings) -> Verdict:
        used.append(around)
        ends.wait(30)
        return ok("late")

    def look(around: Surroundings) -> Verdict:
        used.append(around)
        return ok("in time")

    try:
        hung, next_one = report_of(monkeypatch, bound_s=0.2, hangs=hang, looks=look).findings
    finally:
        ends.set()
    assert hung.state is State.FAIL and "0.2 s" in hung.found and hung.remedy
    assert next_one.found == "in time"
    assert used[0] is not used[1], "the thread that hangs keeps its connections"


def test_a_check_that_does_not_apply_or_cannot_see_is_no_finding(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def blind(_: Surroundings) -> Verdict:
        raise NotSeen("it is dark")

    report = report_of(monkeypatch, none=lambda _: None, blind=blind)
    assert report == Report((), (LeftOut("area", "blind", "it is dark"),))
    assert report.state is State.OK


def test_an_error_of_a_check_itself_is_a_failure(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def stumble(_: Surroundings) -> Verdict:
        raise LookupError("text that may hold anything")

    (found,) = report_of(monkeypatch, stumbles=stumble).findings
    assert found.state is State.FAIL and "LookupError" in found.found
    assert "anything" not in found.found
    assert "doctor.check_failed" in [getattr(each, "action", "") for each in caplog.records]


@pytest.mark.parametrize(
    ("verdicts", "state"),
    [
        ((ok("a"), ok("b")), State.OK),
        ((ok("a"), warn("b", "c")), State.WARN),
        ((fail("a", "b"), warn("b", "c"), ok("c")), State.FAIL),
    ],
)
def test_the_worst_finding_is_the_state_of_the_report(
    verdicts: tuple[Verdict, ...], state: State
) -> None:
    findings = [Finding("area", "check", each.state, each.found, each.remedy) for each in verdicts]
    assert Report(tuple(findings)).state is state
