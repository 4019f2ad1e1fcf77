"""End calls that take too long, with one timer for all calls under way.

A timer for each request would cost more than a whole request of the gateway may cost.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import Any, TypeVar

T = TypeVar("T")

LOOKS_A_LIMIT = 8  # so that a call ends at most an eighth of its limit late
LONGEST_PAUSE_S = 0.5


class Deadlines:
    """Bound the duration of awaitables to one limit.

    An instance belongs to one event loop.
    """

    def __init__(self, limit_s: float) -> None:
        self._limit_s = limit_s
        self._pause_s = min(limit_s / LOOKS_A_LIMIT, LONGEST_PAUSE_S)
        self._loop = asyncio.get_running_loop()
        self._under_way: dict[asyncio.Task[Any], float] = {}  # the oldest deadline first
        self._overdue: set[asyncio.Task[Any]] = set()
        self._timer: asyncio.TimerHandle | None = None

    async def run(self, call: Awaitable[T]) -> T:
        """Return the result of the call, ended when it passes the limit; runs must not be nested.

        Raises: TimeoutError when the call was ended.
        """
        task = asyncio.current_task()
        assert task is not None
        self._under_way[task] = self._loop.time() + self._limit_s
        if self._timer is None:
            self._timer = self._loop.call_later(self._pause_s, self._look)
        try:
            return await call
        except asyncio.CancelledError as error:
            if task in self._overdue and task.uncancel() == 0:
                raise TimeoutError from error
            raise
        finally:
            del self._under_way[task]
            self._overdue.discard(task)

    def _look(self) -> None:
        now_s = self._loop.time()
        for task, deadline_s in self._under_way.items():
            if deadline_s > now_s:
                break
            if task not in self._overdue:
                self._overdue.add(task)
                task.cancel()
        self._timer = self._loop.call_later(self._pause_s, self._look) if self._under_way else None
