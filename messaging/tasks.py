"""Define the periodic tasks, which Celery beat asks for and a worker runs: sweeps and audits.

The module also begins and ends the runtime of the worker's process with the process.
"""

from __future__ import annotations

import logging
from dataclasses import asdict
from typing import Any

from celery import shared_task
from celery.signals import worker_ready, worker_shutdown, worker_shutting_down

from messaging.domain.backend_errors import CacheUnavailable, StoreUnavailable
from messaging.domain.errors import TemporarilyUnavailable
from messaging.ports.audit_runs import Scope
from messaging.runtime import audits, wiring

logger = logging.getLogger(__name__)


def begin_worker(**_: object) -> None:
    wiring.begin_worker()


def end_audits(**_: object) -> None:
    audits.cancel_audits()


def end_worker(**_: object) -> None:
    wiring.reset()


worker_ready.connect(begin_worker)
worker_shutting_down.connect(end_audits)
worker_shutdown.connect(end_worker)


@shared_task(name="messaging.compensate", ignore_result=True)  # type: ignore[untyped-decorator]
def compensate(**_: Any) -> dict[str, int]:
    """Run one sweep over the messages that stay pending.

    Safe to repeat, also at the same time.
    """
    try:
        return asdict(wiring.compensate())
    except (CacheUnavailable, TemporarilyUnavailable):
        logger.warning("sweep given up", extra={"action": "compensation.given_up"})
        return {}


@shared_task(name="messaging.audit", ignore_result=True)  # type: ignore[untyped-decorator]
def audit(scope: str, **_: Any) -> str | None:
    """Run the audit of this schedule (`Scope`), and keep its result in the table `audit_run`.

    Return the outcome, or None where nothing was kept: another audit runs, the worker ends, or the
    database is away. Safe to repeat, also at the same time.
    """
    try:
        run = audits.run_audit(Scope(scope))
    except StoreUnavailable:
        logger.warning(
            "the result of an audit cannot be kept: the database is away",
            extra={"action": "audit.not_kept", "scope": scope},
        )
        return None
    return None if run is None else run.outcome.value
