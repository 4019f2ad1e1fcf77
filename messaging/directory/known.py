"""What was found out, by key, fresh for a while. Called by the directory, on one event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Generic, TypeVar
from weakref import WeakSet

MOST_BYTES = 20_000_000  # of answers about what there is: 50,000 of the usual size
ABSENT_BYTES = 2_000_000  # of answers that there is no such thing, which a client can ask for
ENTRY_BYTES = 400  # a key, its answer and their place, the value's own contents apart

Key = TypeVar("Key")
Value = TypeVar("Value")


@dataclass(frozen=True, slots=True)
class Answer(Generic[Value]):
    value: Value
    fresh_until_s: float
    doubts: int  # how many there had been when it was found


class Shelf(Generic[Key, Value]):
    """Answers by key, in all at most `most_bytes`; of more those found first go."""

    def __init__(self, most_bytes: int, size_of: Callable[[Value], int]) -> None:
        self._most_bytes = most_bytes
        self._size_of = size_of
        self._answers: dict[Key, Answer[Value]] = {}
        self._bytes = 0
        self.get = self._answers.get

    def put(self, key: Key, answer: Answer[Value]) -> None:
        self.pop(key)  # so that the oldest answer is the first
        self._answers[key] = answer
        self._bytes += self._size_of(answer.value)
        if self._bytes > self._most_bytes:
            # Many at once: a dictionary steps over all that were taken from its beginning.
            oldest = iter(list(self._answers))
            while self._bytes > 0.9 * self._most_bytes:
                self.pop(next(oldest))

    def pop(self, key: Key) -> None:
        if (answer := self._answers.pop(key, None)) is not None:
            self._bytes -= self._size_of(answer.value)


class Known(Generic[Key, Value]):
    """The last answer by key, however old, as long as there is room.

    A value of None says that there is no such thing. These answers have a smaller room of their
    own, and push out no other; where there was such a thing before, its answer stays in its place.

    `ttl_s` says how long a value is fresh, `size_of` what it takes beside `ENTRY_BYTES`. One look
    serves all who ask for a key meanwhile. What a change overtakes on its way is told to those who
    had asked before, and not kept.
    """

    def __init__(
        self,
        ttl_s: Callable[[Value], float],
        *,
        monotonic_s: Callable[[], float],
        size_of: Callable[[Value], int] = lambda _: 0,
    ) -> None:
        self._ttl_s = ttl_s
        self._monotonic_s = monotonic_s
        self._found: Shelf[Key, Value] = Shelf(MOST_BYTES, lambda v: ENTRY_BYTES + size_of(v))
        self._absent: Shelf[Key, Value] = Shelf(ABSENT_BYTES, lambda _: ENTRY_BYTES)
        self._looks: dict[Key, asyncio.Task[Value]] = {}
        self._running: WeakSet[asyncio.Task[Value]] = WeakSet()  # also those that were overtaken
        self._doubts = 0

    def fresh(self, key: Key) -> Answer[Value] | None:
        """Return the answer, if nobody need look again. Never waits."""
        answer = self.last(key)
        if (
            answer is not None
            and self._monotonic_s() < answer.fresh_until_s
            and answer.doubts == self._doubts
        ):
            return answer
        return None

    def last(self, key: Key) -> Answer[Value] | None:
        """Return the last answer there was, however old."""
        return self._found.get(key) or self._absent.get(key)

    async def find(self, key: Key, look: Callable[[], Awaitable[Value]]) -> Value:
        """Return the fresh answer, else what `look` finds. Raises what `look` raises."""
        if (answer := self.fresh(key)) is not None:
            return answer.value
        task = self._looks.get(key)
        if task is None:
            task = self._looks[key] = asyncio.create_task(self._look(key, look))
            self._running.add(task)
        return await asyncio.shield(task)

    def note(self, key: Key, value: Value) -> None:
        """Take this for the last answer, and look again at the next question."""
        self._looks.pop(key, None)
        self._keep(key, Answer(value, float("-inf"), self._doubts))

    def doubt(self, key: Key) -> None:
        """Look again at the next question: the answer may be wrong, or one on its way."""
        self._looks.pop(key, None)
        if (answer := self.last(key)) is not None:
            self.note(key, answer.value)

    def forget(self, key: Key) -> None:
        """Drop the answer, and one that is on its way."""
        self._looks.pop(key, None)
        self._found.pop(key)
        self._absent.pop(key)

    def doubt_all(self) -> None:
        """Look again for everything."""
        self._doubts += 1
        self._looks.clear()

    async def close(self) -> None:
        """End the looks that are under way."""
        running = list(self._running)
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)

    async def _look(self, key: Key, look: Callable[[], Awaitable[Value]]) -> Value:
        task = asyncio.current_task()
        asked_at_s = self._monotonic_s()
        try:
            value = await look()
            if self._looks.get(key) is task:
                self._keep(key, Answer(value, asked_at_s + self._ttl_s(value), self._doubts))
            return value
        finally:
            if self._looks.get(key) is task:
                del self._looks[key]

    def _keep(self, key: Key, answer: Answer[Value]) -> None:
        if answer.value is None and self._found.get(key) is None:
            self._absent.put(key, answer)
        else:
            self._absent.pop(key)
            self._found.put(key, answer)
