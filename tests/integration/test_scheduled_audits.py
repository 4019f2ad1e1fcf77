"""Test scheduled audits on a real Redis and the database of the settings in force."""

from __future__ import annotations

import asyncio
import logging
import runpy
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from messaging import models
from messaging.audit import scheduled
from messaging.audit.audit import AuditPlan
from messaging.audit.scheduled import KEPT_FOR_MS, LEASE, run_scheduled
from messaging.domain.backend_errors import StoreUnavailable
from messaging.domain.ids import wall_clock_ms
from messaging.ports.audit_runs import AuditRun, LastAudits, Outcome, Scope
from messaging.runtime import adapters, audits, wiring
from messaging.store.audit_runs import DatabaseAuditRuns
from messaging.tasks import audit, end_audits
from tests.integration.admin.pages import accept
from tests.support.messages import make_message
from tests.support.processes import wait_until
from tests.support.service import with_settings

NOBODY_LISTENS = "redis://127.0.0.1:1/0"
ROOT = Path(__file__).resolve().parents[2]

pytestmark = pytest.mark.usefixtures("configured")


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no time pass between the checks of a suspect."""
    monkeypatch.setattr(scheduled, "AuditPlan", lambda **given: AuditPlan(settle_s=0, **given))


def last_audits() -> dict[Scope, LastAudits]:
    async def read() -> dict[Scope, LastAudits]:
        runs = audits.open_audit_runs()
        try:
            return dict(await runs.last_audits())
        finally:
            await runs.close()

    return asyncio.run(read())


def run(scope: Scope, *, started_ms: int | None = None, **options: Any) -> AuditRun | None:
    """Run an audit past the task, as if at this time."""

    async def run() -> AuditRun | None:
        backends, runs = adapters.open_audit_backends(), audits.open_audit_runs()
        try:
            return await run_scheduled(
                scope,
                backends,
                runs,
                clock_ms=wall_clock_ms if started_ms is None else lambda: started_ms,
                **options,
            )
        finally:
            await runs.close()
            await adapters.close_audit_backends(backends)

    return asyncio.run(run())


def lose(number: int = 1) -> int:
    """Lose a message that was stored and that its list in Redis still names; return its id."""
    message = make_message(number, client_msg_id=f"lost-{number}")
    accept(message)
    wiring.run(lambda backends: backends.store.apply([message]))
    row = wiring.run(lambda backends: backends.store.get([message.id]))[message.id]
    wiring.run(lambda backends: backends.cache.mark_stored([row]))
    models.Message.objects.filter(pk=message.id).delete()
    return message.id


class TestARun:
    @pytest.mark.parametrize("scope", Scope)
    def test_that_finds_nothing_is_clean(self, scope: Scope) -> None:
        before_ms = wall_clock_ms()
        assert audit(scope.value) == "clean"
        kept = last_audits()[scope].last
        assert kept is not None
        assert before_ms <= kept.started_ms <= kept.ended_ms <= wall_clock_ms()
        assert (kept.outcome, kept.unaccounted) == (Outcome.CLEAN, 0)
        assert (kept.findings, kept.missing) == ({}, ())

    def test_tells_how_many_messages_are_unaccounted(self) -> None:
        lost = [lose(1), lose(2)]
        assert audit("nightly") == "faulty"
        kept = last_audits()[Scope.NIGHTLY].last
        assert kept is not None
        assert (kept.outcome, kept.unaccounted) == (Outcome.FAULTY, 2)
        assert kept.findings["unaccounted"] == 2
        assert not any(str(each) in str(kept) for each in lost)

    @with_settings(event_log_url=NOBODY_LISTENS)
    def test_without_the_log_claims_nothing(self) -> None:
        self.check_incomplete("log")

    @with_settings(redis_url=NOBODY_LISTENS, redis_timeout_s=0.2)
    def test_without_redis_claims_nothing(self) -> None:
        self.check_incomplete("cache")

    def check_incomplete(self, missing: str) -> None:
        assert audit("hourly") == "incomplete"
        kept = last_audits()[Scope.HOURLY]
        assert kept.last is not None
        assert (kept.last.unaccounted, kept.last.findings) == (None, {})
        assert kept.last.missing == (missing,)
        assert kept.complete is None

    def test_whose_time_is_over_claims_nothing(self) -> None:
        kept = run(Scope.NIGHTLY, budget_s=0)
        assert kept is not None
        assert (kept.outcome, kept.unaccounted) == (Outcome.INCOMPLETE, None)
        assert kept.missing == ("time",)

    def test_without_the_database_is_logged_alone(
        self, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        async def refuse(*_: object) -> None:
            raise StoreUnavailable

        monkeypatch.setattr(DatabaseAuditRuns, "save", refuse)
        with caplog.at_level(logging.WARNING):
            assert audit("hourly") is None
        assert "audit.not_kept" in [getattr(each, "action", "") for each in caplog.records]
        assert not models.AuditRun.objects.exists()

    def test_is_not_made_beside_another(self) -> None:
        wiring.run(lambda backends: backends.cache.take_lease(LEASE, "another", 60))
        assert audit("hourly") is None
        assert not models.AuditRun.objects.exists()

    def test_lets_the_next_one_begin_at_once(self) -> None:
        assert audit("hourly") == "clean"
        wait_until(lambda: audit("nightly") == "clean", limit_s=30, what="the next audit runs")

    def test_ends_with_its_worker(self, monkeypatch: pytest.MonkeyPatch) -> None:
        begun = threading.Event()

        class Endless:
            def __init__(self, *_: object) -> None: ...

            async def run(self) -> None:
                begun.set()
                await asyncio.Event().wait()

        monkeypatch.setattr(scheduled, "Audit", Endless)
        with ThreadPoolExecutor(1) as worker:
            running = worker.submit(audit, "nightly")
            assert begun.wait(30)
            end_audits()
            assert running.result(30) is None
        monkeypatch.undo()
        assert not models.AuditRun.objects.exists()
        # The lease is given back by letting it end within milliseconds; its time was two hours.
        wait_until(lambda: audit("hourly") == "clean", limit_s=30, what="the next audit runs")


class TestTheRunsKept:
    def test_are_told_by_scope_with_the_last_complete_one(self) -> None:
        complete = run(Scope.NIGHTLY)
        incomplete = run(Scope.NIGHTLY, budget_s=0)
        hourly = run(Scope.HOURLY)
        assert complete is not None
        assert last_audits() == {
            Scope.NIGHTLY: LastAudits(incomplete, complete),
            Scope.HOURLY: LastAudits(hourly, hourly),
        }

    def test_are_none_at_first(self) -> None:
        assert last_audits() == dict.fromkeys(Scope, LastAudits(None, None))

    def test_are_kept_for_90_days(self) -> None:
        now_ms = wall_clock_ms()
        for age_ms in (KEPT_FOR_MS + 60_000, KEPT_FOR_MS - 60_000):
            assert run(Scope.HOURLY, started_ms=now_ms - age_ms)
        assert models.AuditRun.objects.count() == 2
        assert run(Scope.NIGHTLY, started_ms=now_ms)
        started = [each.started_at.timestamp() for each in models.AuditRun.objects.order_by("id")]
        expected_ms = [now_ms - KEPT_FOR_MS + 60_000, now_ms]
        assert [round(each * 1000) for each in started] == expected_ms


@pytest.mark.parametrize(
    ("hourly", "nightly", "names"),
    [
        ("on", "on", {"audit-hourly", "audit-nightly"}),
        ("off", "on", {"audit-nightly"}),
        ("on", "off", {"audit-hourly"}),
        ("off", "off", set()),
    ],
)
def test_each_schedule_can_be_switched_off(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, hourly: str, nightly: str, names: set[str]
) -> None:
    monkeypatch.setenv("IM_AUDIT_HOURLY", hourly)
    monkeypatch.setenv("IM_AUDIT_NIGHTLY", nightly)
    monkeypatch.setenv("VAR_DIR", str(tmp_path / "var"))
    monkeypatch.setenv("LOG_DIR", str(tmp_path / "logs"))
    schedule = runpy.run_path(str(ROOT / "imsite" / "settings.py"))["CELERY_BEAT_SCHEDULE"]
    assert schedule.keys() == names | {"compensate"}
    for name in names:
        assert schedule[name]["task"] == audit.name
        assert Scope(*schedule[name]["args"]).value == name.removeprefix("audit-")


def test_a_pending_message_is_accounted_for() -> None:
    message = make_message(1)
    accept(message)
    assert audit("hourly") == "clean"
