"""End calls that take too long, with one timer for all calls under way."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import Any, TypeVar

from messaging.domain.deadline_queue import DeadlineQueue

T = TypeVar("T")

CHECKS_PER_LIMIT = 8  # so that a call ends at most an eighth of its limit late
LONGEST_PAUSE_S = 0.5


class Deadlines:
    """Bound the duration of awaitables to one limit.

    An instance belongs to one event loop.
    """

    def __init__(self, limit_s: float) -> None:
        self._limit_s = limit_s
        pause_s = min(limit_s / CHECKS_PER_LIMIT, LONGEST_PAUSE_S)
        self._loop = asyncio.get_running_loop()
        self._under_way = DeadlineQueue(self._end, pause_s=pause_s)
        self._overdue: set[asyncio.Task[Any]] = set()

    async def bound(self, call: Awaitable[T]) -> T:
        """Return the result of the call, ended when it passes the limit; runs must not be nested.

        Raises: TimeoutError when the call was ended.
        """
        task = asyncio.current_task()
        assert task is not None
        self._under_way.add(task, self._loop.time() + self._limit_s)
        try:
            return await call
        except asyncio.CancelledError as error:
            if task in self._overdue and task.uncancel() == 0:
                raise TimeoutError from error
            raise
        finally:
            self._under_way.discard(task)
            self._overdue.discard(task)

    def _end(self, task: asyncio.Task[Any]) -> None:
        self._overdue.add(task)
        task.cancel()
