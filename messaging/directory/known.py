"""What was found out, by key, fresh for a while. Called by the directory, on one event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from itertools import islice
from typing import Generic, TypeVar
from weakref import WeakSet

from messaging.errors import StoreUnavailable

MAX_ENTRIES = 50_000  # about 20 MB

Key = TypeVar("Key")
Value = TypeVar("Value")


@dataclass(frozen=True, slots=True)
class Answer(Generic[Value]):
    value: Value
    fresh_until_s: float
    doubts: int  # how many there had been when it was found


class Known(Generic[Key, Value]):
    """The last answer by key; of more than `MAX_ENTRIES` those found first go.

    `ttl_s` says how long a value is fresh. One look serves all who ask for a key meanwhile. What a
    change overtakes on its way is told to those who had asked before, and not kept.
    """

    def __init__(
        self, ttl_s: Callable[[Value], float], *, monotonic_s: Callable[[], float]
    ) -> None:
        self._ttl_s = ttl_s
        self._monotonic_s = monotonic_s
        self._answers: dict[Key, Answer[Value]] = {}
        self._looks: dict[Key, asyncio.Task[Value]] = {}
        self._running: WeakSet[asyncio.Task[Value]] = WeakSet()  # also those that were overtaken
        self._doubts = 0

    def fresh(self, key: Key) -> Answer[Value] | None:
        """The answer, if nobody need look again. Never waits."""
        answer = self._answers.get(key)
        if (
            answer is not None
            and self._monotonic_s() < answer.fresh_until_s
            and answer.doubts == self._doubts
        ):
            return answer
        return None

    async def find(self, key: Key, look: Callable[[], Awaitable[Value]]) -> Value:
        """The fresh answer, else what `look` finds, else the last answer there was.

        Raises StoreUnavailable when `look` does and there was none.
        """
        if (answer := self.fresh(key)) is not None:
            return answer.value
        task = self._looks.get(key)
        if task is None:
            task = self._looks[key] = asyncio.create_task(self._look(key, look))
            self._running.add(task)
        try:
            return await asyncio.shield(task)
        except StoreUnavailable:
            if (answer := self._answers.get(key)) is None:
                raise
            return answer.value

    def forget(self, key: Key) -> None:
        """The answer is wrong now, and so may be one that is on its way."""
        self._answers.pop(key, None)
        self._looks.pop(key, None)

    def doubt(self) -> None:
        """Any answer may be wrong: look again, and fall back on it only without the store."""
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
        self._answers.pop(key, None)  # so that the oldest answer is the first
        self._answers[key] = answer
        if len(self._answers) > MAX_ENTRIES:
            # Many at once: a dictionary steps over all that were taken from its beginning.
            for oldest in list(islice(self._answers, MAX_ENTRIES // 10 + 1)):
                del self._answers[oldest]
