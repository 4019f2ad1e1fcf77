"""Bound the calls that one client has at a time; further calls of that client wait.

Pure.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Hashable
from contextlib import asynccontextmanager
from dataclasses import dataclass


@dataclass(slots=True)
class _Places:
    free: asyncio.Semaphore
    asked: int = 0  # calls that hold a place or wait for one


class Turns:
    """Give each key `most` places, on one event loop."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._places: dict[Hashable, _Places] = {}

    @asynccontextmanager
    async def turn(self, key: Hashable, *, wait_s: float | None = None) -> AsyncIterator[None]:
        """Wait for one of the key's places, and hold the place within the context.

        Raises: TimeoutError where there is no place for `wait_s`.
        """
        places = self._places.get(key)
        if places is None:
            places = self._places[key] = _Places(asyncio.Semaphore(self._most))
        places.asked += 1
        try:
            async with asyncio.timeout(wait_s):
                await places.free.acquire()
            try:
                yield
            finally:
                places.free.release()
        finally:
            places.asked -= 1
            if not places.asked:
                del self._places[key]
