"""Process a batch that was read: store it, set the refused messages aside, show it to the cache.

Used by `consumer` alone, which reads and commits. Several batches may be in hand: while one batch
is being stored, the batch before is shown to the cache.

Order: each step takes the batches in the order in which they were read.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TypeVar

from messaging.conf import Settings
from messaging.domain.backend_errors import BackendError, CacheUnavailable
from messaging.domain.backoff import Backoff
from messaging.domain.errors import MessagingError
from messaging.metrics.catalogue import batch_step_seconds
from messaging.pipeline.batch import Batch, dead_letter
from messaging.pipeline.dead_letters import set_aside
from messaging.pipeline.write_through import Persisted, WriteThrough
from messaging.ports.cache import MessageCache
from messaging.ports.log import EventLog
from messaging.ports.store import DeadLetter, MessageStore

logger = logging.getLogger(__name__)
T = TypeVar("T")

FIRST_PAUSE_S = 0.1
LONGEST_PAUSE_S = 5.0


class TooManyDeadLetters(MessagingError):
    """Too many records in a row cannot be persisted: mend the cause, then restart.

    Nothing of the last batch was committed or set aside. Look at the first dead letters and at what
    was deployed last, then start the consumer again.
    """


class Stopped(Exception):
    """Report that the consumer has to stop before this batch is stored: it is not committed."""


@dataclass(slots=True)
class BatchPersister:
    """Store batches and show them to the cache, until `stop` is set."""

    log: EventLog
    cache: MessageCache
    store: MessageStore
    settings: Settings
    stop: asyncio.Event
    writes: WriteThrough = field(init=False)
    # These locks are fair: first come, first served.
    _storing: asyncio.Lock = field(default_factory=asyncio.Lock)
    _updating_cache: asyncio.Lock = field(default_factory=asyncio.Lock)
    _dead_in_a_row: int = 0
    _too_many: bool = False

    def __post_init__(self) -> None:
        self.writes = WriteThrough(self.cache, self.store, path="consumer")

    async def persist(self, batch: Batch) -> bool:
        """Store the batch and show it to the cache; return False when the cache was away.

        Outages of the log and the store are waited out, and of the cache while a message is set
        aside.

        Raises: TooManyDeadLetters; Stopped for a batch that is not stored yet when the consumer is
        to stop, or when a batch before it had too many dead letters.
        """
        async with self._storing:
            if self._too_many or self.stop.is_set():
                raise Stopped
            with batch_step_seconds.timed("store"):
                done = await self._store(batch)
        async with self._updating_cache:
            with batch_step_seconds.timed("mark"):
                return await self._update_cache(batch, done)

    async def _store(self, batch: Batch) -> Persisted:
        done = await self._hold(lambda: self.writes.store_states(list(batch.messages.values())))
        letters = batch.poison + [
            dead_letter(batch.sources[m.id], reason=reason, error=error, message_id=m.id)
            for m, reason, error in done.refused
        ]
        if letters:
            await self._set_aside(letters, done)
        if done.rows:
            self._dead_in_a_row = 0
        return done

    async def _set_aside(self, letters: list[DeadLetter], done: Persisted) -> None:
        # A record without bytes was lost by a disk: nothing is drained by setting it aside.
        dead = sum(1 for letter in letters if letter.value)
        in_a_row = dead if done.rows else self._dead_in_a_row + dead
        if not done.rows and in_a_row > self.settings.dead_letters_in_a_row:
            self._too_many = True
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

    async def _update_cache(self, batch: Batch, done: Persisted) -> bool:
        try:
            await self.writes.show(done)
        except CacheUnavailable:
            logger.warning(
                "Redis did not take the stored batch; trying again",
                extra={"action": "consumer.cache_unavailable"},
            )
            return False
        logger.info(
            "batch persisted",
            extra={
                "action": "batch.persisted",
                "count": len(done.rows),
                "duplicates": len(done.duplicates),
                "dead_letters": len(batch.poison) + len(done.refused),
                "partitions": sorted(batch.last),
            },
        )
        return True

    async def _hold(self, attempt: Callable[[], Awaitable[T]]) -> T:
        """Repeat a call until no backend fails it.

        Raises: Stopped when the consumer is to stop between two attempts.
        """
        backoff = Backoff(FIRST_PAUSE_S, LONGEST_PAUSE_S)
        while True:
            try:
                return await attempt()
            except BackendError as error:
                logger.warning(
                    "holding the batch",
                    extra={
                        "action": "consumer.holding",
                        "error": type(error).__name__,
                        "reason": str(error),
                    },
                )
            if await pause(backoff.next_s(), until=self.stop):
                raise Stopped


async def pause(pause_s: float, *, until: asyncio.Event) -> bool:
    """Wait for a jittered time, at most until the event is set; tell whether the event is set.

    The time is between half of `pause_s` and all of it.
    """
    try:
        await asyncio.wait_for(until.wait(), pause_s * random.uniform(0.5, 1.0))
    except TimeoutError:
        return False
    return True
