"""Run scheduled audits in a worker of Celery, each on an event loop of its own.

So an audit, which decodes many messages, does not hold up the loop of the worker.
"""

from __future__ import annotations

import asyncio
import logging

from messaging.audit.scheduled import run_scheduled
from messaging.conf import settings
from messaging.domain.ids import wall_clock_ms
from messaging.ports.audit_runs import AuditRun, Scope
from messaging.runtime import adapters
from messaging.store.audit_runs import DatabaseAuditRuns

logger = logging.getLogger(__name__)


def open_audit_runs() -> DatabaseAuditRuns:
    """Open the results of the scheduled audits on the running loop; the caller closes them."""
    return DatabaseAuditRuns(settings())


_running: dict[asyncio.Task[AuditRun | None], asyncio.AbstractEventLoop] = {}


def run_audit(scope: Scope) -> AuditRun | None:
    """Run the audit of this schedule from a synchronous thread, and return its result.

    Return None where another audit runs, and after `cancel_audits`.

    Raises: StoreUnavailable when the result cannot be kept; TimeoutError when the parts do not
    close in time. Leaves: the result kept, in the second case.
    """
    try:
        return asyncio.run(_run(scope))
    except asyncio.CancelledError:
        logger.info("the audit ends with its worker", extra={"action": "audit.ended"})
        return None


def cancel_audits() -> None:
    """End the audits that this process runs, without a result; any thread may call this function.

    A worker that is told to stop would otherwise wait for them, for an hour or two.
    """
    for task, loop in list(_running.items()):
        loop.call_soon_threadsafe(task.cancel)


async def _run(scope: Scope) -> AuditRun | None:
    backends, runs = adapters.open_audit_backends(), open_audit_runs()
    task = asyncio.create_task(run_scheduled(scope, backends, runs, clock_ms=wall_clock_ms))
    _running[task] = asyncio.get_running_loop()
    try:
        return await task
    finally:
        del _running[task]
        await runs.close()
        await adapters.close_audit_backends(backends)
