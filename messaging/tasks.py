"""The periodic task: Celery beat asks, a worker sweeps."""

from __future__ import annotations

import logging
from dataclasses import asdict
from typing import Any

from celery import shared_task

from messaging.domain.errors import CacheUnavailable, TemporarilyUnavailable
from messaging.runtime import wiring

logger = logging.getLogger(__name__)


@shared_task(name="messaging.compensate", ignore_result=True)  # type: ignore[untyped-decorator]
def compensate(**_: Any) -> dict[str, int]:
    """One sweep over what stays pending. Harmless when two run at once or one runs twice."""
    try:
        return asdict(wiring.compensate())
    except (CacheUnavailable, TemporarilyUnavailable):
        logger.warning("sweep given up", extra={"action": "compensation.given_up"})
        return {}
