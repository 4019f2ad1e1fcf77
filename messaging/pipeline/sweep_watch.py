"""Notice when no sweep runs, because Celery's beat, its worker or both have ended.

Pending messages may stay pending then. Each sweep leaves a mark in the cache that lives for a few
sweeps. A process that finds no mark for as long reports that in its log and by `GET /api/health`.
No clocks of different machines are compared.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from enum import StrEnum

from messaging.conf import Settings
from messaging.domain.backend_errors import BackendError
from messaging.ports.cache_service import Leases

logger = logging.getLogger(__name__)

MARK = "swept"
SWEEPERS = "sweepers"  # one owner for all sweepers, so that each can renew the mark
MISSED = 5  # sweeps, before they count as late
LATE_AFTER_AT_LEAST_S = 300.0
CHECK_EVERY_S = 15.0


class Sweeps(StrEnum):
    ON_TIME = "closed"  # the word of the breakers in the same answer for a healthy part
    LATE = "late"


def late_after_s(settings: Settings) -> float:
    """Return after how many seconds without a sweep the sweeps are late."""
    return max(MISSED * settings.compensate_every_s, LATE_AFTER_AT_LEAST_S)


async def mark_swept(cache: Leases, settings: Settings) -> None:
    """Note in the cache that a sweep was done.

    Raises: CacheUnavailable. Safe to repeat.
    """
    await cache.take_lease(MARK, SWEEPERS, late_after_s(settings))


class SweepWatch:
    """Check the mark every `CHECK_EVERY_S`, and keep the state of the sweeps.

    Belongs to one event loop. While the cache is away the last state stays.
    """

    def __init__(
        self,
        cache: Leases,
        settings: Settings,
        *,
        monotonic_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._cache = cache
        self._late_after_s = late_after_s(settings)
        self._monotonic_s = monotonic_s
        self._seen_s = monotonic_s()
        self._task: asyncio.Task[None] | None = None
        self.state = Sweeps.ON_TIME

    def start(self) -> None:
        self._task = asyncio.create_task(self._keep_checking())

    async def close(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    async def check(self) -> None:
        """Check the mark once, and set the state by it.

        The mark may have ended before this process began to check, so the time counts from then.
        """
        try:
            is_marked = await self._cache.is_leased(MARK)
        except BackendError:
            return
        now_s = self._monotonic_s()
        if is_marked:
            self._seen_s = now_s
        is_late = now_s - self._seen_s > self._late_after_s
        before, self.state = self.state, Sweeps.LATE if is_late else Sweeps.ON_TIME
        if before is not self.state and is_late:
            logger.error(
                "no compensation sweep for too long: start Celery's beat and worker",
                extra={"action": "compensation.late"},
            )
        elif before is not self.state:
            logger.info("compensation sweeps run again", extra={"action": "compensation.again"})

    async def _keep_checking(self) -> None:
        while True:
            await self.check()
            await asyncio.sleep(CHECK_EVERY_S)
