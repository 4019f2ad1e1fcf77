"""An event loop whose clock jumps to the next timer: no waiting, and no outside."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


class Stuck(Exception):
    """Nothing is ready and no timer is set: whoever waits now waits for ever."""


class VirtualLoop(asyncio.BaseEventLoop):
    """Runs what is ready in the order of its calls, as asyncio's own loop does.

    Which of two calls of ports comes first is a matter of their delays, which a seed decides; what
    lies between two calls of one process runs in the order that asyncio promises.
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
        """Kept to the end of the run, and with it whoever waits for it in vain."""
        self._futures.append(super().create_future())
        return self._futures[-1]

    def select(self, timeout: float | None) -> list[object]:
        """In the place of a selector: called whenever the loop would wait for the outside."""
        if timeout is None:
            raise Stuck
        self._now_s += timeout
        return []

    def _process_events(self, events: list[object]) -> None:
        pass

    def play(self, main: Coroutine[Any, Any, T]) -> T:
        """Run to the end of `main`; whatever else is under way then is cancelled."""
        try:
            return self.run_until_complete(main)
        finally:
            self.is_over = True
            if left := asyncio.all_tasks(self):
                for task in left:
                    task.cancel()
                self.run_until_complete(asyncio.wait(left))
            self.close()
