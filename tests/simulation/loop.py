"""Run an event loop whose clock jumps to the next timer, without waiting and without I/O."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


class Stuck(Exception):
    """Report that nothing is ready and no timer is set: every waiting task waits for ever."""


class VirtualLoop(asyncio.BaseEventLoop):
    """Run ready callbacks in the order of their calls, as the loop of asyncio does.

    The order of two calls of ports follows from their delays, which a seed draws. The steps of one
    process between two calls run in the order that asyncio promises.
    """

    def __init__(self) -> None:
        super().__init__()
        self._now_s = 0.0
        self.is_over = False
        self._futures: list[asyncio.Future[Any]] = []
        self._selector = self

    def time(self) -> float:
        return self._now_s

    def create_future(self) -> asyncio.Future[Any]:
        """Return a future that is kept to the end of the run, with any task that awaits it."""
        self._futures.append(super().create_future())
        return self._futures[-1]

    def select(self, timeout: float | None) -> list[object]:
        """Jump to the next timer, in place of a selector that waits for I/O."""
        if timeout is None:
            raise Stuck
        self._now_s += timeout
        return []

    def _process_events(self, events: list[object]) -> None:
        pass

    def play(self, main: Coroutine[Any, Any, T]) -> T:
        """Run to the end of `main`, then cancel everything else that is under way."""
        try:
            return self.run_until_complete(main)
        finally:
            self.is_over = True
            if left := asyncio.all_tasks(self):
                for task in left:
                    task.cancel()
                self.run_until_complete(asyncio.wait(left))
            self.close()
