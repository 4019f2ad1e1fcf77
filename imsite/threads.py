"""Run synchronous calls of an event loop in a bounded number of threads, behind a bounded queue."""

from __future__ import annotations

import asyncio
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
        self._pool = ThreadPoolExecutor(number, thread_name_prefix=name)
        self._free = asyncio.Semaphore(number)
        self._waiting = 0

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
        if self._free.locked() and self._waiting >= queue:
            raise TooManyRequests
        self._waiting += 1
        try:
            async with asyncio.timeout(wait_s):
                await self._free.acquire()
        except TimeoutError as error:
            raise TooManyRequests from error
        finally:
            self._waiting -= 1

    def _end(self, loop: asyncio.AbstractEventLoop, _job: Future[Any]) -> None:
        """Give the place back; called in the thread whose call has ended."""
        try:
            loop.call_soon_threadsafe(self._free.release)
        except RuntimeError:  # the loop has ended, and nobody waits on it
            self._free.release()
