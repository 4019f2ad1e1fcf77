"""Share reads: callers who want the same at the same time get the result of one read.

Pure.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Hashable
from typing import Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)
Result = TypeVar("Result")


class SharedReads(Generic[Key, Result]):
    """Carry out one read of a key at a time, on one event loop.

    Each caller gets a read that begins after the call, and so sees whatever was changed before it.
    All callers during a running read share the next one. No result outlives its read.
    """

    def __init__(self) -> None:
        self._running: dict[Key, asyncio.Task[Result]] = {}
        self._next: dict[Key, asyncio.Task[Result]] = {}

    async def read(self, key: Key, query: Callable[[], Awaitable[Result]]) -> Result:
        """Return the result of `query`, or of the query of a caller who came first.

        A caller who goes away leaves the read to the others.

        Raises: the errors of the query.
        """
        task = self._next.get(key)
        if task is None or task.done():  # a loop that ends cancels a read before it begins
            task = self._next[key] = asyncio.create_task(self._run(key, query))
        return await asyncio.shield(task)

    async def _run(self, key: Key, query: Callable[[], Awaitable[Result]]) -> Result:
        if (before := self._running.get(key)) is not None:
            await asyncio.wait([before])
        self._running[key] = self._next.pop(key)
        try:
            return await query()
        finally:
            del self._running[key]
