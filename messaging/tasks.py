"""Define the periodic task of the compensation, which Celery beat asks for and a worker runs.

The module also begins and ends the runtime of the worker's process with the process.
"""

from __future__ import annotations

import logging
from dataclasses import asdict
from typing import Any

from celery import shared_task
from celery.signals import worker_ready, worker_shutdown

from messaging.domain.backend_errors import CacheUnavailable
from messaging.domain.errors import TemporarilyUnavailable
from messaging.runtime import wiring

logger = logging.getLogger(__name__)


def begin_worker(**_: object) -> None:
    wiring.begin_worker()


def end_worker(**_: object) -> None:
    wiring.reset()


worker_ready.connect(begin_worker)
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
