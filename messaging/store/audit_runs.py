"""Keep the scheduled audits in the database, behind `ports.audit_runs.AuditRuns`."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

from django.db.backends.base.base import BaseDatabaseWrapper

from messaging import models
from messaging.conf import Settings
from messaging.ports.audit_runs import AuditRun, LastAudits, Outcome, Scope
from messaging.store.in_threads import InThreads
from messaging.store.tables import Tables

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MILLISECOND = timedelta(milliseconds=1)


class DatabaseAuditRuns(InThreads[Tables]):
    """Implement `ports.audit_runs.AuditRuns`, with a bound on each call."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(Tables, name="audits", threads=1, timeout_s=settings.store_timeout_s)

    async def save(self, run: AuditRun) -> None:
        await self._threads.run(lambda connection: _save(connection, run))

    async def forget_before(self, time_ms: int) -> None:
        await self._threads.run(lambda connection: _forget_before(connection, time_ms))

    async def last_audits(self) -> Mapping[Scope, LastAudits]:
        return await self._threads.run(
            lambda connection: {scope: _last(connection, scope) for scope in Scope}
        )


def _save(connection: BaseDatabaseWrapper, run: AuditRun) -> None:
    models.AuditRun.objects.using(connection.alias).create(
        scope=run.scope.value,
        started_at=EPOCH + run.started_ms * MILLISECOND,
        ended_at=EPOCH + run.ended_ms * MILLISECOND,
        outcome=run.outcome.value,
        findings=dict(run.findings),
        unaccounted=run.unaccounted,
        missing=list(run.missing),
    )


def _forget_before(connection: BaseDatabaseWrapper, time_ms: int) -> None:
    runs = models.AuditRun.objects.using(connection.alias)
    runs.filter(started_at__lt=EPOCH + time_ms * MILLISECOND).delete()


def _last(connection: BaseDatabaseWrapper, scope: Scope) -> LastAudits:
    runs = models.AuditRun.objects.using(connection.alias).filter(scope=scope.value).order_by("-id")
    complete = runs.exclude(outcome=Outcome.INCOMPLETE.value).first()
    return LastAudits(_read(runs.first()), _read(complete))


def _read(row: models.AuditRun | None) -> AuditRun | None:
    if row is None:
        return None
    return AuditRun(
        scope=Scope(row.scope),
        started_ms=(row.started_at - EPOCH) // MILLISECOND,
        ended_ms=(row.ended_at - EPOCH) // MILLISECOND,
        outcome=Outcome(row.outcome),
        findings=row.findings,
        unaccounted=row.unaccounted,
        missing=tuple(row.missing),
    )
