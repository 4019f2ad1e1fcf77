"""The consumer: reads the log in batches, persists them, tells the cache, then commits.

`manage.py run_kafka_consumer` runs one per process. The order of the steps is the promise: a
position is committed only when every record up to it is stored or set aside, and when the cache
knows. While the cache is away the consumer goes on storing without committing, and reads on from
the committed position when the cache is back; replaying what is stored changes nothing.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TypeVar

from messaging.conf import Settings
from messaging.errors import (
    BackendError,
    CacheUnavailable,
    CommitRefused,
    LogUnavailable,
    MessagingError,
)
from messaging.events import Message
from messaging.pipeline.batch import Batch, dead_letter, read_batch
from messaging.pipeline.dead_letters import set_aside
from messaging.pipeline.persist import Persisted, mark, persist
from messaging.ports import DeadLetter, EventLog, LogReader, MessageCache, MessageStore

logger = logging.getLogger(__name__)
T = TypeVar("T")

FIRST_PAUSE_S = 0.1
LONGEST_PAUSE_S = 5.0
KEEP_ALIVE_S = 1.0


class TooManyDeadLetters(MessagingError):
    """Record after record cannot be persisted: stopped before the topic ends in the dead letters.

    Nothing of the last batch was committed or set aside. Look at the first dead letters and at what
    was deployed last, then start the consumer again.
    """


class Stopped(Exception):
    """The consumer is asked to stop while it holds a batch; nothing of it is committed."""


@dataclass(slots=True)
class Consumer:
    reader: LogReader
    log: EventLog
    cache: MessageCache
    store: MessageStore
    settings: Settings
    stop: asyncio.Event = field(default_factory=asyncio.Event)
    _behind: bool = False  # stored batches are not committed, because the cache does not know
    _dead_in_a_row: int = 0

    async def run(self) -> None:
        """Consume until `stop` is set; the batch in hand is finished and committed first.

        Outages are waited out, for ever. Raises TooManyDeadLetters.
        """
        pause_s = FIRST_PAUSE_S
        try:
            while not self.stop.is_set():
                try:
                    await self.step()
                    pause_s = FIRST_PAUSE_S
                except LogUnavailable:
                    logger.warning("log unavailable", extra={"action": "consumer.log_unavailable"})
                    await self._pause(pause_s)
                    pause_s = min(pause_s * 2, LONGEST_PAUSE_S)
        except Stopped:
            logger.info("stopped with a batch in hand", extra={"action": "consumer.batch_dropped"})
        finally:
            await self.reader.close()

    async def step(self) -> int:
        """One poll and all that follows from it; returns the number of records."""
        if self._behind:
            await self._catch_up()
        records = await self.reader.poll(
            max_records=self.settings.consumer_batch, timeout_s=self.settings.consumer_poll_s
        )
        if records:
            await self._handle(read_batch(records))
        return len(records)

    async def _handle(self, batch: Batch) -> None:
        messages = await self._under_recall_marks(batch.messages)
        done = await self._hold(lambda: persist(self.store, messages))
        letters = batch.poison + [
            dead_letter(batch.sources[m.id], reason=reason, error=error, message_id=m.id)
            for m, reason, error in done.refused
        ]
        if letters:
            await self._set_aside(letters, done)
        await self._mark_and_commit(batch, done)
        logger.info(
            "batch persisted",
            extra={
                "action": "batch.persisted",
                "count": len(done.rows),
                "folded": len(done.folded),
                "dead_letters": len(letters),
                "partitions": sorted(batch.last),
            },
        )

    async def _under_recall_marks(self, messages: dict[int, Message]) -> list[Message]:
        """The states to store: a message with a recall mark becomes its tombstone at once."""
        unrecalled = [message_id for message_id, m in messages.items() if not m.is_recalled]
        try:
            marks = await self.cache.recall_marks(unrecalled)
        except CacheUnavailable:
            marks = {}  # the RECALL event follows in the log
        recalled = {i: messages[i].recalled(recall_time) for i, recall_time in marks.items()}
        return list((messages | recalled).values())

    async def _set_aside(self, letters: list[DeadLetter], done: Persisted) -> None:
        in_a_row = len(letters) if done.rows else self._dead_in_a_row + len(letters)
        if not done.rows and in_a_row > self.settings.dead_letters_in_a_row:
            raise TooManyDeadLetters
        await self._hold(
            lambda: set_aside(
                letters,
                [message for message, _, _ in done.refused],
                topic=self.settings.dead_letter_topic,
                log=self.log,
                store=self.store,
                cache=self.cache,
            )
        )
        self._dead_in_a_row = in_a_row

    async def _mark_and_commit(self, batch: Batch, done: Persisted) -> None:
        if done.rows:
            self._dead_in_a_row = 0
        try:
            await mark(self.cache, done)
        except CacheUnavailable:
            logger.warning("cache not told", extra={"action": "consumer.cache_unavailable"})
            self._behind = True
        if self._behind:
            return
        try:
            await self.reader.commit(batch.last)
        except (CommitRefused, LogUnavailable):
            logger.warning("commit refused", extra={"action": "consumer.commit_refused"})

    async def _catch_up(self) -> None:
        """Once the cache answers again, read on from what is committed."""
        try:
            await self.cache.ping()
        except CacheUnavailable:
            return
        await self.reader.rewind()
        self._behind = False

    async def _hold(self, attempt: Callable[[], Awaitable[T]]) -> T:
        """Try until it goes through, keeping the group membership meanwhile.

        Raises Stopped when the consumer is asked to stop between two tries.
        """
        pause_s = FIRST_PAUSE_S
        while True:
            try:
                return await self._kept_alive(attempt)
            except BackendError as error:
                logger.warning(
                    "holding the batch",
                    extra={"action": "consumer.holding", "error": type(error).__name__},
                )
            await self._pause(pause_s)
            pause_s = min(pause_s * 2, LONGEST_PAUSE_S)
            if self.stop.is_set():
                raise Stopped

    async def _kept_alive(self, attempt: Callable[[], Awaitable[T]]) -> T:
        task = asyncio.ensure_future(attempt())
        while True:
            done, _ = await asyncio.wait([task], timeout=KEEP_ALIVE_S)
            if done:
                return task.result()
            await self._keep_alive()

    async def _keep_alive(self) -> None:
        try:
            await self.reader.keep_alive()
        except LogUnavailable:
            logger.warning("log unavailable", extra={"action": "consumer.log_unavailable"})

    async def _pause(self, pause_s: float) -> None:
        """Wait about this long, jittered, no longer than until the stop."""
        deadline = asyncio.get_running_loop().time() + pause_s * random.uniform(0.5, 1.0)
        while (left_s := deadline - asyncio.get_running_loop().time()) > 0:
            await self._keep_alive()
            try:
                await asyncio.wait_for(self.stop.wait(), min(left_s, KEEP_ALIVE_S))
            except TimeoutError:
                continue
            return
