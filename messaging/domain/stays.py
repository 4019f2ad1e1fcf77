"""Bound the calls that may have to stay for seconds, before such a call has changed anything.

Pure.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from messaging.domain.errors import TemporarilyUnavailable


class Stays:
    """Give `most` places, on one event loop, to calls of which each may have to stay for seconds.

    A call waits for a place as long as a call in a place may leave at once. Where the calls in all
    places stay, a further call is refused: each call that waits holds a thread of its process.
    `staying`: how many calls stay now.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._inside = self.staying = 0
        self._moved = asyncio.Event()

    @asynccontextmanager
    async def place(self) -> AsyncIterator[None]:
        """Hold a place within the context.

        Raises: TemporarilyUnavailable where the calls in all places stay.
        """
        while self._inside == self._most:
            if self.staying == self._most:
                raise TemporarilyUnavailable
            await self._moved.wait()
        self._inside += 1
        try:
            yield
        finally:
            self._inside -= 1
            self._wake()

    async def stay(self, seconds: float) -> None:
        """Stay in the place of this call for so long."""
        self.staying += 1
        self._wake()
        try:
            await asyncio.sleep(seconds)
        finally:
            self.staying -= 1

    def _wake(self) -> None:
        """Let all calls that wait look again."""
        self._moved.set()
        self._moved = asyncio.Event()
