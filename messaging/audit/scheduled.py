"""Run one audit of a schedule, and keep its result.

A run that could not read everything is kept as incomplete: such a run does not know the number of
unaccounted messages, and says so instead of 0.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import secrets
from collections.abc import Callable
from pathlib import Path

from messaging.audit.audit import Audit, AuditPlan
from messaging.audit.check import AuditBackends
from messaging.audit.findings import Defect
from messaging.audit.report import Report
from messaging.domain.backend_errors import (
    BackendError,
    CacheUnavailable,
    LogUnavailable,
    StoreUnavailable,
)
from messaging.domain.modes import CACHE, LOG, STORE
from messaging.ports.audit_runs import AuditRun, AuditRuns, Outcome, Scope
from messaging.progress import Progress

logger = logging.getLogger(__name__)

LEASE = "lease:audit"
LEASE_MARGIN_S = 30.0
SHORTEST_LEASE_S = 0.01
BUDGET_S = {Scope.HOURLY: 900.0, Scope.NIGHTLY: 7_200.0}
LOOKS_BACK_MS = 2 * 3_600_000  # an hourly audit; two hours, so that a skipped run leaves no gap
KEPT_FOR_MS = 90 * 86_400_000
TIME = "time"
PARTS: dict[type[BackendError], str] = {
    CacheUnavailable: CACHE,
    LogUnavailable: LOG,
    StoreUnavailable: STORE,
}


async def run_scheduled(
    scope: Scope,
    backends: AuditBackends,
    runs: AuditRuns,
    *,
    clock_ms: Callable[[], int],
    budget_s: float | None = None,
) -> AuditRun | None:
    """Run the audit of this schedule within its budget of time, keep the result, and return it.

    Only one audit runs at a time: a call that finds the lease taken returns None. The audit mends
    nothing. Runs that are older than 90 days are deleted.

    Raises: StoreUnavailable when the result cannot be kept. Leaves: nothing kept.
    """
    budget_s = BUDGET_S[scope] if budget_s is None else budget_s
    owner, started_ms = secrets.token_hex(8), clock_ms()
    report, missing = None, None
    try:
        if not await backends.cache.take_lease(LEASE, owner, budget_s + LEASE_MARGIN_S):
            logger.info("another audit runs", extra={"action": "audit.skipped", "scope": scope})
            return None
        try:
            async with asyncio.timeout(budget_s):
                report = await _audit(scope, backends, started_ms)
        finally:
            with contextlib.suppress(CacheUnavailable):  # the lease ends by itself
                await backends.cache.take_lease(LEASE, owner, SHORTEST_LEASE_S)
    except TimeoutError:
        missing = TIME
    except (CacheUnavailable, LogUnavailable, StoreUnavailable) as error:
        missing = next(part for kind, part in PARTS.items() if isinstance(error, kind))
    run = _run_of(scope, started_ms, clock_ms(), report, missing)
    _log(run)
    await runs.save(run)
    await runs.forget_before(started_ms - KEPT_FOR_MS)
    return run


async def _audit(scope: Scope, backends: AuditBackends, started_ms: int) -> Report:
    since_ms = started_ms - LOOKS_BACK_MS if scope is Scope.HOURLY else None
    with Path(os.devnull).open("w") as nowhere:
        return await Audit(backends, AuditPlan(since_ms=since_ms), Progress(nowhere)).run()


def _run_of(
    scope: Scope, started_ms: int, ended_ms: int, report: Report | None, missing: str | None
) -> AuditRun:
    if report is None:
        return AuditRun(
            scope=scope,
            started_ms=started_ms,
            ended_ms=ended_ms,
            outcome=Outcome.INCOMPLETE,
            findings={},
            unaccounted=None,
            missing=(missing,) if missing else (),
        )
    findings = {kind.value: tally.found for kind, tally in report.findings.kinds.items()}
    return AuditRun(
        scope=scope,
        started_ms=started_ms,
        ended_ms=ended_ms,
        outcome=Outcome.CLEAN if report.is_clean else Outcome.FAULTY,
        findings=findings,
        unaccounted=findings.get(Defect.UNACCOUNTED.value, 0),
    )


def _log(run: AuditRun) -> None:
    level = logging.INFO if run.outcome is Outcome.CLEAN else logging.ERROR
    logger.log(
        level,
        "scheduled audit done",
        extra={
            "action": f"audit.{run.outcome}",
            "scope": run.scope,
            "took_ms": run.ended_ms - run.started_ms,
            "unaccounted": run.unaccounted,
            "findings": dict(run.findings),
            "missing": list(run.missing),
        },
    )
