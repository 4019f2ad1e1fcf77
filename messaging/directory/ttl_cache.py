"""Cache the answers of look-ups by key, each fresh for a while.

Called by the directory, on one event loop.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar
from weakref import WeakSet

MOST_BYTES = 20_000_000  # of answers about things that exist: 50,000 of the usual size
ABSENT_BYTES = 2_000_000  # of answers that a thing does not exist, which a client can provoke
ENTRY_BYTES = 400  # a key, its answer and the dictionary's entry, without the value's own contents

Key = TypeVar("Key")
Value = TypeVar("Value")


@dataclass(frozen=True, slots=True)
class Entry(Generic[Value]):
    value: Value
    fresh_until_s: float
    generation: int  # the number of calls of `expire_all` when the answer was found


class Shelf(Generic[Key, Value]):
    """Hold answers by key, at most `most_bytes` in all; past that the oldest answers go."""

    def __init__(self, most_bytes: int, size_of: Callable[[Value], int]) -> None:
        self._most_bytes = most_bytes
        self._size_of = size_of
        self._answers: dict[Key, Entry[Value]] = {}
        self._bytes = 0
        self.get = self._answers.get

    def put(self, key: Key, answer: Entry[Value]) -> None:
        self.pop(key)  # so that the oldest answer is the first
        self._answers[key] = answer
        self._bytes += self._size_of(answer.value)
        if self._bytes > self._most_bytes:
            # Answers go in bulk: a search for the first key of a dictionary steps over every entry
            # that was removed before.
            oldest = iter(list(self._answers))
            while self._bytes > 0.9 * self._most_bytes:
                self.pop(next(oldest))

    def clear(self) -> None:
        self._answers.clear()
        self._bytes = 0

    def pop(self, key: Key) -> None:
        if (answer := self._answers.pop(key, None)) is not None:
            self._bytes -= self._size_of(answer.value)


class TtlCache(Generic[Key, Value]):
    """Keep the last answer by key, however old, as long as there is room.

    `is_absent` tells whether a value says that a thing does not exist. Such answers have a smaller
    room of their own, and push out no other answer. Such an answer that follows an answer about an
    existing thing takes the place of that answer.

    `ttl_s` says how long a value is fresh, and `size_of` the bytes that a value takes beside
    `ENTRY_BYTES`. One look-up serves all who ask for a key at the same time. The result of a
    look-up that a change overtakes goes to those who had asked before the change, and is not kept.
    """

    def __init__(
        self,
        ttl_s: Callable[[Value], float],
        *,
        monotonic_s: Callable[[], float],
        size_of: Callable[[Value], int] = lambda _: 0,
        is_absent: Callable[[Value], bool] = lambda value: value is None,
    ) -> None:
        self._ttl_s = ttl_s
        self._monotonic_s = monotonic_s
        self._is_absent = is_absent
        self._found: Shelf[Key, Value] = Shelf(MOST_BYTES, lambda v: ENTRY_BYTES + size_of(v))
        self._absent: Shelf[Key, Value] = Shelf(ABSENT_BYTES, lambda _: ENTRY_BYTES)
        self._lookups: dict[Key, asyncio.Task[Value]] = {}
        self._running: WeakSet[asyncio.Task[Value]] = WeakSet()  # also those that were overtaken
        self._generation = 0

    def fresh(self, key: Key) -> Entry[Value] | None:
        """Return the answer if it is fresh, without a look-up."""
        answer = self.last(key)
        return answer if answer is not None and self.is_fresh(answer) else None

    def is_fresh(self, answer: Entry[Value], *, early_s: float = 0.0) -> bool:
        """Tell whether a kept answer is fresh, for `early_s` less than its value is by itself."""
        return (
            self._monotonic_s() < answer.fresh_until_s - early_s
            and answer.generation == self._generation
        )

    def last(self, key: Key) -> Entry[Value] | None:
        """Return the last answer, however old."""
        return self._found.get(key) or self._absent.get(key)

    async def find(self, key: Key, query: Callable[[], Awaitable[Value]]) -> Value:
        """Return the fresh answer, or else the result of `query`.

        Raises: the errors of `query`.
        """
        if (answer := self.fresh(key)) is not None:
            return answer.value
        return await asyncio.shield(self._lookups.get(key) or self.look_up_anew(key, query))

    def look_up_anew(self, key: Key, query: Callable[[], Awaitable[Value]]) -> asyncio.Task[Value]:
        """Begin a look-up, whatever is kept; the result of one under way is not kept."""
        task = self._lookups[key] = asyncio.create_task(self._look_up(key, query))
        self._running.add(task)
        task.add_done_callback(_take_error)
        return task

    def note(self, key: Key, value: Value) -> None:
        """Keep this value as the last answer, not fresh: the next question looks it up again."""
        self._lookups.pop(key, None)
        self._keep(key, Entry(value, float("-inf"), self._generation))

    def overtake(self, key: Key) -> None:
        """Do not keep an answer that is on its way."""
        self._lookups.pop(key, None)

    def expire(self, key: Key) -> None:
        """Let the next question look up again: the answer, or one on its way, may be wrong."""
        self._lookups.pop(key, None)
        if (answer := self.last(key)) is not None:
            self.note(key, answer.value)

    def invalidate(self, key: Key) -> None:
        """Drop the answer, and do not keep one that is on its way."""
        self._lookups.pop(key, None)
        self._found.pop(key)
        self._absent.pop(key)

    def invalidate_all(self) -> None:
        self._lookups.clear()
        self._found.clear()
        self._absent.clear()

    def expire_all(self) -> None:
        """Let the next question of every key look up again."""
        self._generation += 1
        self._lookups.clear()

    async def close(self) -> None:
        """Cancel the look-ups that run."""
        running = list(self._running)
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)

    async def _look_up(self, key: Key, query: Callable[[], Awaitable[Value]]) -> Value:
        task = asyncio.current_task()
        asked_at_s = self._monotonic_s()
        try:
            value = await query()
            if self._lookups.get(key) is task:
                self._keep(key, Entry(value, asked_at_s + self._ttl_s(value), self._generation))
            return value
        finally:
            if self._lookups.get(key) is task:
                del self._lookups[key]

    def _keep(self, key: Key, answer: Entry[Value]) -> None:
        if self._is_absent(answer.value) and self._found.get(key) is None:
            self._absent.put(key, answer)
        else:
            self._absent.pop(key)
            self._found.put(key, answer)


def _take_error(task: asyncio.Task[Any]) -> None:
    """Take the error of a look-up that nobody waits for any more; asyncio would log the error."""
    if not task.cancelled():
        task.exception()
