"""Gather calls that wait, and carry many of them out by one call.

The read marks of all clients of a process go through a gatherer: one transaction and one trip to
the cache serve many marks. A gatherer belongs to one event loop.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from messaging.domain.errors import MessagingError, TooManyRequests

logger = logging.getLogger(__name__)

MOST_AT_ONCE = 500  # items of one batch
MOST_WAITING = 5_000  # items; past it 429
MOST_BATCHES = 2  # under way, those held up included; of four database threads
TURN_TIMEOUT_S = 0.15  # past it the next batch no longer waits for the one before

Key = TypeVar("Key", bound=Hashable)
Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass(slots=True)
class _Waiting(Generic[Item, Result]):
    item: Item
    answers: list[asyncio.Future[Result | None]] = field(default_factory=list)

    def resolve(self, result: Result | None) -> None:
        for answer in self._open():
            answer.set_result(result)

    def fail(self, error: Exception) -> None:
        for answer in self._open():
            answer.set_exception(error)

    def _open(self) -> list[asyncio.Future[Result | None]]:
        """Return the answers that a client still waits for."""
        return [answer for answer in self.answers if not answer.done()]


class Gatherer(Generic[Key, Item, Result]):
    """Carry out items, those that wait together by one call, and answer each by its own result.

    `carry_out`: takes items of distinct keys, and returns the results by key; an item without a
    result is answered by None. `key_of`: the key of an item. `fold`: joins two items of one key, of
    which only the joint item is carried out.
    """

    def __init__(
        self,
        carry_out: Callable[[Sequence[Item]], Awaitable[Mapping[Key, Result]]],
        *,
        key_of: Callable[[Item], Key],
        fold: Callable[[Item, Item], Item],
    ) -> None:
        self._carry_out = carry_out
        self._key_of = key_of
        self._fold = fold
        self._waiting: dict[Key, _Waiting[Item, Result]] = {}
        self._turn: asyncio.Task[None] | None = None  # carries out the last batch
        self._tasks: set[asyncio.Task[None]] = set()

    async def submit(self, items: Sequence[Item]) -> list[Result | None]:
        """Carry out items, and return the result of each; None where an item has none.

        Raises: TooManyRequests when too many items wait; the errors of `carry_out`.
        Leaves: perhaps some of the items carried out, after an error.
        """
        self._check_room(items, MOST_WAITING)
        loop = asyncio.get_running_loop()
        answers: list[asyncio.Future[Result | None]] = [loop.create_future() for _ in items]
        for item, answer in zip(items, answers, strict=True):
            self._add(item).answers.append(answer)
        self._begin()
        results = await asyncio.gather(*answers, return_exceptions=True)
        for result in results:
            if isinstance(result, BaseException):
                raise result
        return list(results)  # type: ignore[arg-type]

    def submit_later(self, items: Sequence[Item]) -> None:
        """Carry out items without an answer; they leave half of the room to those with one.

        Raises: TooManyRequests when too many items wait.
        """
        self._check_room(items, MOST_WAITING // 2)
        for item in items:
            self._add(item)
        self._begin()

    async def close(self) -> None:
        """Wait for all items to be carried out."""
        while self._tasks:
            await asyncio.wait(self._tasks)

    def _check_room(self, items: Sequence[Item], most: int) -> None:
        if len(self._waiting) + len(items) > most:
            raise TooManyRequests

    def _add(self, item: Item) -> _Waiting[Item, Result]:
        key = self._key_of(item)
        if (waiting := self._waiting.get(key)) is None:
            waiting = self._waiting[key] = _Waiting(item)
        else:
            waiting.item = self._fold(waiting.item, item)
        return waiting

    def _begin(self) -> None:
        """Begin the next batch, unless no item waits or the last batch is under way."""
        if self._waiting and self._turn is None and len(self._tasks) < MOST_BATCHES:
            self._turn = asyncio.create_task(self._run())
            self._tasks.add(self._turn)
            self._turn.add_done_callback(self._end)

    def _end(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if task.cancelled():  # the loop ends
            return
        self._pass_on(task)
        self._begin()

    def _pass_on(self, task: asyncio.Task[None]) -> None:
        """Let the next batch begin, because this one has ended or takes too long."""
        if self._turn is task:
            self._turn = None
            self._begin()

    async def _run(self) -> None:
        """Carry out a batch; one that waits for a lock does not hold up the next ones for long."""
        task = asyncio.current_task()
        assert task is not None
        keys = list(self._waiting)[:MOST_AT_ONCE]
        batch = {key: self._waiting.pop(key) for key in keys}
        late = asyncio.get_running_loop().call_later(TURN_TIMEOUT_S, self._pass_on, task)
        try:
            results = await self._carry_out([each.item for each in batch.values()])
        except Exception as error:
            if not isinstance(error, MessagingError):
                logger.exception("a batch failed", extra={"action": "gather.failed"})
            for waiting in batch.values():
                waiting.fail(error)
        else:
            for key, waiting in batch.items():
                waiting.resolve(results.get(key))
        finally:
            late.cancel()
