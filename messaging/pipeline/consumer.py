"""Read the log in batches, persist each batch, show the rows to the cache, then commit.

`manage.py run_kafka_consumer` runs one consumer per process. A position is committed only when
every record up to it is stored or set aside, and when the cache has the rows. The steps of
neighbouring batches overlap, each step in the order of the batches.

While the cache is away the consumer goes on storing without committing, and reads again from the
committed position when the cache is back. The consumer does the same after a commit that the log
did not take. Replaying stored records changes nothing.

An event of a newer release holds its partition: from that event on nothing of the partition is
stored or committed, and the other partitions go on. The consumer reads the held partition again
from time to time, until a consumer of that release replaces it or the partition is assigned to
another one.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import Awaitable, Iterable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TypeVar

from messaging.conf import Settings
from messaging.domain.backend_errors import CacheUnavailable, CommitRefused, LogUnavailable
from messaging.domain.backoff import Backoff
from messaging.links import reason
from messaging.metrics.catalogue import batch_rows, batch_step_seconds
from messaging.pipeline.batch import Batch, read_batch
from messaging.pipeline.batch_persister import (
    FIRST_PAUSE_S,
    LONGEST_PAUSE_S,
    BatchPersister,
    Stopped,
    TooManyDeadLetters,
    pause,
)
from messaging.ports.cache import MessageCache
from messaging.ports.log import EventLog, LogReader, Record
from messaging.ports.store import MessageStore

__all__ = ["Consumer", "Consuming", "TooManyDeadLetters"]

logger = logging.getLogger(__name__)
T = TypeVar("T")

IN_HAND = 3  # batches: one read ahead, one being stored, one being shown to the cache
KEEP_ALIVE_EVERY_S = 1.0
HELD_FOR_S = 30.0  # until held partitions are read again
POLL_HELD_EVERY_S = 0.1  # until the next poll, when one returned only held records


class Consuming(StrEnum):
    """Name the states of the site's consumers."""

    WELL = "well"
    HELD = "held"  # a consumer holds a partition until the consumers are upgraded


@dataclass(slots=True)
class _InHand:
    batch: Batch
    persisting: asyncio.Task[bool]


@dataclass(slots=True)
class Consumer:
    """Consume the log: poll, hand batches to the `BatchPersister`, commit in their order."""

    reader: LogReader
    log: EventLog
    cache: MessageCache
    store: MessageStore
    settings: Settings
    stop: asyncio.Event = field(default_factory=asyncio.Event)
    _persister: BatchPersister = field(init=False)
    _in_hand: deque[_InHand] = field(default_factory=deque, init=False)  # oldest first
    _next_read_s: float = field(default=0.0, init=False)
    _held: set[int] = field(default_factory=set, init=False)  # partitions with a newer event
    _reread_held_s: float = field(default=0.0, init=False)
    _behind: bool = field(default=False, init=False)  # commit nothing before the rewind

    def __post_init__(self) -> None:
        self._persister = BatchPersister(self.log, self.cache, self.store, self.settings, self.stop)

    async def run(self) -> None:
        """Consume until `stop` is set; finish and commit the batches being stored by then.

        Outages are waited out, without a limit.

        Raises: TooManyDeadLetters, once the batches before the failing one are committed.
        """
        backoff = Backoff(FIRST_PAUSE_S, LONGEST_PAUSE_S)
        try:
            while not self.stop.is_set():
                try:
                    await self._read_ahead()
                    backoff.reset()
                except LogUnavailable as error:
                    logger.warning(
                        "log unavailable",
                        extra={"action": "consumer.log_unavailable", "reason": reason(error)},
                    )
                    await self._kept_alive(pause(backoff.next_s(), until=self.stop))
            await self._settle(leave=0)
        except Stopped:
            logger.info(
                "stopped before a batch was stored; it is read again at the next start",
                extra={"action": "consumer.batch_dropped"},
            )
        finally:
            await self._drop()
            await self.reader.close()

    async def step(self) -> int:
        """Process one batch from the poll to the commit; return the number of records."""
        await self._read_anew()
        count = await self._read()
        await self._settle(leave=0)
        return count

    async def _read_ahead(self) -> None:
        """Read one more batch when its poll is due, and make room for the next batch."""
        await self._read_anew()
        left_s = self._next_read_s - asyncio.get_running_loop().time()
        if left_s > 0 and await pause(left_s, until=self.stop):
            return
        await self._read()
        await self._settle(leave=IN_HAND - 1)

    async def _read(self) -> int:
        loop = asyncio.get_running_loop()
        began_s = loop.time()
        records = await self.reader.poll(
            max_records=self.settings.consumer_batch, timeout_s=self.settings.consumer_poll_s
        )
        if records:  # a poll that brought none has waited for the senders
            batch_step_seconds.observe(loop.time() - began_s, "poll")
            batch_rows.observe(len(records))
        batch = read_batch(records, held=self._held)
        if batch.newer:
            await self._hold(batch.newer.values())
        if batch.last:
            persisting = asyncio.create_task(self._persister.persist(batch))
            self._in_hand.append(_InHand(batch, persisting))
        if records and not batch.last:
            self._next_read_s = began_s + max(self.settings.consumer_interval_s, POLL_HELD_EVERY_S)
        elif 0 < len(records) < self.settings.consumer_batch:
            self._next_read_s = began_s + self.settings.consumer_interval_s
        return len(records)

    async def _hold(self, newer: Iterable[Record]) -> None:
        """Store and commit nothing of these records' partitions from them on."""
        self._reread_held_s = asyncio.get_running_loop().time() + HELD_FOR_S
        with contextlib.suppress(CacheUnavailable):  # the error log has it too
            await self.cache.note_held(1.5 * HELD_FOR_S)
        for record in newer:
            self._held.add(record.position.partition)
            logger.error(
                "an event of a newer release holds its partition: upgrade the consumers",
                extra={
                    "action": "consumer.newer_event",
                    "partition": record.position.partition,
                    "position": record.position.offset,
                },
            )

    async def _settle(self, *, leave: int) -> None:
        """Commit the finished batches, and wait until at most `leave` batches are in hand.

        Order: oldest first.
        """
        while self._in_hand and (len(self._in_hand) > leave or self._in_hand[0].persisting.done()):
            oldest = self._in_hand[0]
            cache_knows = await self._kept_alive(oldest.persisting)
            self._in_hand.popleft()
            self._behind = self._behind or not cache_knows
            if not self._behind:
                await self._commit(oldest.batch)

    async def _commit(self, batch: Batch) -> None:
        try:
            with batch_step_seconds.timed("commit"):
                await self.reader.commit(batch.last)
        except CommitRefused:
            logger.warning(
                "commit refused: another consumer has the partition now",
                extra={"action": "consumer.commit_refused"},
            )
        except LogUnavailable:
            logger.warning(
                "the log did not confirm a commit; trying again",
                extra={"action": "consumer.log_unavailable"},
            )
            self._behind = True  # no later batch may follow that commits for this one

    async def _read_anew(self) -> None:
        """Go back to the committed positions, if the cache lacks rows or a held partition is due.

        Nothing happens while the cache lacks rows and is still away.
        """
        is_time = self._held and asyncio.get_running_loop().time() >= self._reread_held_s
        if not self._behind and not is_time:
            return
        if self._behind:
            try:
                await self.cache.ping()
            except CacheUnavailable:
                return
        await self._settle(leave=0)
        await self.reader.rewind()
        self._behind = False
        self._held.clear()

    async def _drop(self) -> None:
        for dropped in self._in_hand:
            dropped.persisting.cancel()
        await asyncio.gather(*(d.persisting for d in self._in_hand), return_exceptions=True)

    async def _kept_alive(self, awaited: Awaitable[T]) -> T:
        """Wait for this call without losing the membership in the consumer group."""
        task = asyncio.ensure_future(awaited)
        while True:
            done, _ = await asyncio.wait([task], timeout=KEEP_ALIVE_EVERY_S)
            if done:
                return task.result()
            try:
                await self.reader.keep_alive()
            except LogUnavailable:
                logger.warning("log unavailable", extra={"action": "consumer.log_unavailable"})
