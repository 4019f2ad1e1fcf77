"""Write to Redis the changes that were made durable while Redis was away (its hints).

While Redis is away, messages are still sent, recalled and deleted, and Redis may come back with its
old state. So a process that has lost Redis uses Redis again only once all of these changes are
written to Redis. The probe of the cache's circuit breaker (`CacheHints.recover`) writes them.

There are two kinds of hints:

- Changes that the database has: tombstones, deletes, and messages that were stored directly. The
  database keeps a hint of each one, so that every process can write it to Redis.
- Messages that only the log has. The process that accepted such a message keeps it in memory. If
  the process dies, the consumer writes the message to Redis a little later.

A Redis that was restarted may lack its last writes: those that Redis had confirmed and not yet
written to its file. With a busy disk these are the writes of some seconds. So such a Redis is
trusted only with data that no other part has. The first heartbeat after the restart hides the
copies of database rows. The pending and the recalled messages are looked up in the database, and
each process repeats the last writes that it made to Redis alone.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from messaging.domain.backend_errors import CacheUnavailable, StoreUnavailable
from messaging.domain.breakers import Breaker
from messaging.domain.message import Message
from messaging.pipeline.cache_loss import GRACE_S, CacheLoss
from messaging.pipeline.hint_delivery import HintDelivery
from messaging.pipeline.kept_messages import KeptMessages
from messaging.ports.cache import MessageCache
from messaging.ports.cached import IdempotencyRecord, Incarnation
from messaging.ports.store import CacheHint, MessageStore

logger = logging.getLogger(__name__)

HEARTBEAT_S = 0.2
SLEPT_S = 1.5  # without a heartbeat: the process stood still, and its state of the cache is stale
STORE_S = 1.0  # for the store's hints; the next probe goes on with the rest
RECORDS_LOST_FOR_S = 60.0  # after a restart: retries come of sends whose records are lost
RECORDS_LATE_FOR_S = 5.0  # after an outage: until every process has written its kept records


@dataclass(slots=True)
class CacheHints:
    """Keep this process's hints of the cache, and write them to the cache when it answers.

    `cache` is the adapter without the circuit breaker. `breaker` guards the cache for the use
    cases, and its probe is `recover`. `on_return` is called before this process believes a cache
    that it had lost, or that was restarted.
    """

    cache: MessageCache
    store: MessageStore
    breaker: Breaker
    on_return: Callable[[], None]
    loss: CacheLoss = field(init=False)
    _delivery: HintDelivery = field(init=False)
    _kept: KeptMessages = field(init=False)
    _name: str | None = None
    _recovered: str | None = None  # the start of the cache that `recover` has seen last
    _seen: str | None = None  # the start of the cache that any heartbeat has seen last
    _is_recovered: bool = False  # the cache, from that start
    _started_s: float = float("-inf")  # when the first process noticed the cache's last start
    has_held: bool = False  # at the last heartbeat a consumer held a partition
    pending_bytes: int = 0  # at the last heartbeat, of the messages that the store lacks
    _in_reach: bool = True  # at the last heartbeat the cache took a write
    _has_delivered: bool = False  # the recorded hints, once since the start of this process
    _is_vouched: bool = False  # at the last heartbeat another process believed the cache
    _writing: set[asyncio.Task[None]] = field(default_factory=set)  # handed over and not written

    def __post_init__(self) -> None:
        self._delivery = HintDelivery(self.cache, self.store)
        self._kept = KeptMessages(self._delivery)
        self.loss = CacheLoss(self.store, self.breaker, self._stand_in)

    async def record(self, hints: Sequence[CacheHint], *recalled: Message) -> None:
        """Record these hints in the store, then write them to the cache as `deliver` does.

        Raises: StoreUnavailable. Leaves: the hints perhaps recorded.
        """
        await self.store.record_hints(hints)
        await self.deliver(*recalled)

    async def deliver(self, *recalled: Message) -> None:
        """Wait until the cache has the recorded hints, or until no process reads the cache.

        A process that reaches the cache later reads the hints first. Reading the hints needs the
        store, and the store may be away by now while other processes still read the cache. So the
        `recalled` messages, which are recorded, are also kept here and written without the store.
        """
        self._kept.keep_late(recalled)
        if not await self.breaker.try_now():
            await self.loss.until_announced()
            await asyncio.sleep(GRACE_S)

    async def hand_over(self, messages: Sequence[Message]) -> None:
        """Write accepted messages to the cache now, or as soon as the cache answers.

        The messages may reach the cache before the other hints do, because they only add to the
        messages that the cache shows. A message with a `seq` is a row that was stored just now.
        Return when the messages are written, or when every process has noticed that this process
        has lost the cache. A cancelled call leaves the write under way.
        """
        self._kept.keep_late(messages)
        if self._in_reach:
            writing = asyncio.create_task(self._write_now(messages))
            self._writing.add(writing)
            writing.add_done_callback(self._writing.discard)
            await asyncio.shield(writing)
        if any(self.owes(message.id) for message in messages):  # other processes may still read
            await self.loss.until_noticed()

    async def _write_now(self, messages: Sequence[Message]) -> None:
        try:
            await self._kept.deliver_rows([m for m in messages if m.seq is not None])
            await self._kept.deliver_late()
        except (CacheUnavailable, StoreUnavailable):
            self.breaker.trip()

    def keep_until_written(self, messages: Sequence[Message]) -> None:
        """Keep for some seconds the messages that the cache alone has confirmed.

        Order: that in which the cache took them. A recalled message is given as its tombstone.
        """
        self._kept.keep_recent(messages)

    def idempotency_record(self, user_id: int, client_msg_id: str) -> IdempotencyRecord | None:
        """Return the record of a send of this process that the cache does not have yet."""
        return self._kept.late.record_of((user_id, client_msg_id))

    def owes(self, message_id: int) -> bool:
        """Tell whether this process is to write this message to the cache when it answers."""
        return message_id in self._kept.late

    @property
    def owed(self) -> int:
        """Return how many messages this process is to write to the cache when it answers."""
        return len(self._kept.late)

    @property
    def incarnation(self) -> str | None:
        """Return the start of the cache that this process has seen last."""
        return self._seen

    @property
    def _nothing_recorded(self) -> bool:
        """Tell whether the store has no hints, being away since before the cache was lost.

        A process that has not read the hints since its start cannot tell when the cache was lost.
        Such a process follows another one that believes the cache.
        """
        if not (self._has_delivered or self._is_vouched):
            return False
        store = self.store.breaker
        return not store.is_closed and store.opened_s <= self.breaker.opened_s

    async def heartbeat(self) -> None:
        """Write this process's heartbeat to the cache.

        Raises: CacheUnavailable when the cache takes no write (down, full or a replica: its data
        is stale), and when the cache was restarted, its lost writes are not repaired yet, and the
        store can tell which they are.
        """
        seen = await self._beat(self._name)
        if (self._kept.lost or not seen.is_recovered) and not self._nothing_recorded:
            self.breaker.trip()
            raise CacheUnavailable("Redis was restarted, and its lost writes are not repaired yet")

    def watch(self, *, name: str | None = None) -> None:
        """Start the heartbeat, so that no process goes on with a cache that another has lost.

        Other processes notice when the heartbeat of a named process stops: see
        `CacheHealth.heartbeat`.
        """
        self._name = name
        self.breaker.watch(self.heartbeat, every_s=HEARTBEAT_S, longest_s=HEARTBEAT_S + SLEPT_S)
        self.loss.watch(every_s=HEARTBEAT_S)

    async def leave(self) -> None:
        """Stop the heartbeat, and sign off from the cache unless this process has hints.

        With hints the process stays signed on, so that the others notice its end.
        """
        for writing in self._writing:
            writing.cancel()
        await asyncio.gather(*self._writing, return_exceptions=True)
        await self.breaker.close()
        await self.loss.close()
        if self._name is not None and not self._kept:
            with contextlib.suppress(CacheUnavailable):
                await self.cache.deregister(self._name)

    async def recover(self) -> None:
        """Write all hints to the cache, and repair what a restart of the cache may have lost.

        Return with part of the hints unwritten when the store was away before the cache was lost
        and the cache was restarted: until the store is back, such a cache only takes messages (see
        `heartbeat`).

        Raises: CacheUnavailable, StoreUnavailable. Safe to repeat.
        """
        seen = await self._beat()
        if not self.breaker.is_closed:
            self.on_return()
        if seen.id != self._recovered:
            self._kept.lose_recent(self.breaker.opened_s)
            self._recovered = seen.id
        await self._kept.deliver_late()
        try:
            async with asyncio.timeout(STORE_S):
                await self._delivery.deliver_recorded()
            self._has_delivered = True
            await self._kept.deliver_lost()
            if not seen.is_recovered:
                await self._delivery.refresh_pending()
        except (StoreUnavailable, TimeoutError) as error:
            if not self._nothing_recorded:
                raise StoreUnavailable from error
            if not seen.is_recovered:
                return  # `heartbeat` trips the breaker once the store is back
        was_away = not self.breaker.is_closed
        if was_away or not seen.is_recovered:
            await self.cache.note_recovered(seen.id, returned=was_away)
        self.loss.withdraw()

    async def _stand_in(self) -> None:
        """Make pages partial, and write the recorded hints to the cache for a process without it.

        Raises: CacheUnavailable, StoreUnavailable. Leaves: a part written.
        """
        if self._seen is not None and self._is_recovered and self.breaker.is_closed:
            await self.cache.note_recovered(self._seen, returned=True)
            await self._delivery.deliver_recorded()

    async def _beat(self, name: str | None = None) -> Incarnation:
        try:
            seen = await self.cache.heartbeat(name)
        except CacheUnavailable:
            if self._in_reach:
                self.loss.announce()  # in time for the first message that the cache lacks
            self._in_reach = False
            self.breaker.trip()
            raise
        self._in_reach, self.has_held, self._is_vouched = True, seen.has_held, seen.is_vouched
        self.pending_bytes = seen.pending_bytes
        self._started_s = asyncio.get_running_loop().time() - seen.age_s
        if seen.id != self._seen:
            self.on_return()
        self._seen, self._is_recovered = seen.id, seen.is_recovered
        return seen

    @property
    def idempotency_records_may_be_lost(self) -> bool:
        """Tell whether a retry may look new, as the cache was away or restarted just now."""
        known_s = max(
            self.breaker.closed_s + RECORDS_LATE_FOR_S, self._started_s + RECORDS_LOST_FOR_S
        )
        return asyncio.get_running_loop().time() < known_s
