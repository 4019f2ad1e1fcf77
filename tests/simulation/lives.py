"""Follow one life of a process: from its start to its crash, with its calls in between."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from tests.simulation.loop import VirtualLoop

CHECK_EVERY_S = 0.5


class Life:
    """Stop the tasks of a process at their next call.

    The tasks of a dead process never get past that call, and nothing of the process is cleaned up.
    The tasks of a paused process wait there until the pause is over.
    """

    def __init__(self, name: str, loop: VirtualLoop, on_death: Callable[[], None]) -> None:
        self.name = name
        self.died: asyncio.Future[None] = loop.create_future()
        self._loop = loop
        self._on_death = on_death
        self._awake_s = 0.0
        self.was_paused = False

    @property
    def is_dead(self) -> bool:
        return self.died.done()

    def crash(self) -> None:
        if not self.is_dead:
            self.died.set_result(None)
            self._on_death()

    @property
    def is_paused(self) -> bool:
        return self._awake_s > self._loop.time()

    def wake(self) -> None:
        self._awake_s = 0.0

    def pause(self, for_s: float) -> None:
        self._awake_s = self._loop.time() + for_s
        self.was_paused = True

    async def attend(self) -> None:
        """Return if and when this process runs."""
        loop = self._loop
        if loop.is_over:
            raise asyncio.CancelledError
        while (left_s := self._awake_s - loop.time()) > 0:
            await asyncio.sleep(min(left_s, CHECK_EVERY_S))
        if self.is_dead:
            await loop.create_future()
