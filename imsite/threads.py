"""Run synchronous calls of an event loop in a bounded number of threads, behind a bounded queue."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import copy_context
from functools import partial
from typing import Any, TypeVar

from messaging.domain.errors import TooManyRequests

T = TypeVar("T")


class Threads:
    """Give each call a thread, or let the call wait for one within bounds.

    A running call whose caller has given up goes on in its thread, and keeps the thread until the
    call ends.
    """

    def __init__(self, number: int, *, name: str) -> None:
        self._number = number
        self._pool = ThreadPoolExecutor(number, thread_name_prefix=name)
        self._busy = 0
        self._waiting: deque[asyncio.Future[None]] = deque()

    async def run(self, call: Callable[[], T], *, queue: int, wait_s: float) -> T:
        """Run the call in a thread, and return its result.

        Raises: TooManyRequests, at once where `queue` others wait, and after `wait_s` without a
        thread.
        """
        await self._take_place(queue, wait_s)
        job = self._pool.submit(copy_context().run, call)
        job.add_done_callback(partial(self._end, asyncio.get_running_loop()))
        return await asyncio.shield(asyncio.wrap_future(job))

    async def _take_place(self, queue: int, wait_s: float) -> None:
        if self._busy < self._number:
            self._busy += 1
            return
        if len(self._waiting) >= queue:
            raise TooManyRequests
        place = asyncio.get_running_loop().create_future()
        self._waiting.append(place)
        try:
            async with asyncio.timeout(wait_s):
                await place
        except (TimeoutError, asyncio.CancelledError) as ended:
            if not place.cancelled():  # the place was given just then
                self._give_place()
            elif place in self._waiting:
                self._waiting.remove(place)
            if isinstance(ended, TimeoutError):
                raise TooManyRequests from ended
            raise

    def _end(self, loop: asyncio.AbstractEventLoop, _job: Future[Any]) -> None:
        """Give the place back; called in the thread whose call has ended."""
        try:
            loop.call_soon_threadsafe(self._give_place)
        except RuntimeError:  # the loop has ended, and nobody waits on it
            self._busy -= 1

    def _give_place(self) -> None:
        while self._waiting:
            place = self._waiting.popleft()
            if not place.done():
                place.set_result(None)
                return
        self._busy -= 1
