"""Find messages that stay pending, and get them persisted (the compensation).

Celery beat starts a sweep every minute. The first remedy is to append the message to the log again.
After enough such attempts, or when the log is away, the message is stored directly, through the
same code as the consumer's. Both are harmless for a message that the consumer is about to store.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from messaging.conf import Settings
from messaging.domain.backend_errors import BackendError, StoreUnavailable
from messaging.domain.events import encode_event
from messaging.domain.message import ID_MAX, Message, join
from messaging.metrics import catalogue
from messaging.pipeline.dead_letters import set_aside
from messaging.pipeline.write_through import Persisted, ShownCache, WriteThrough
from messaging.ports.cache import PendingMessages
from messaging.ports.cache_service import Leases
from messaging.ports.cached import PendingEntry
from messaging.ports.log import EventLog, OutgoingRecord
from messaging.ports.store import DeadLetter, MessageStore

logger = logging.getLogger(__name__)

LEASE = "lease:compensation"
LEASE_MARGIN_S = 10.0
SHORTEST_LEASE_S = 0.01
DUE = 0.9  # of the time between two sweeps
LAST_MS = 2**53 - 1  # the largest score that a sorted set keeps exactly


@dataclass(slots=True)
class Sweep:
    """Count what one sweep did, in messages."""

    examined: int = 0
    confirmed: int = 0  # stored already; only their pending marks were left
    appended: int = 0
    applied: int = 0
    set_aside: int = 0
    without_detail: int = 0
    past_the_log: bool = False  # stored directly: the log is away, or a person asked

    @property
    def left(self) -> int:
        """Return the number of messages that stay pending, because the store was away."""
        dealt_with = self.confirmed + self.appended + self.applied + self.set_aside
        return self.examined - dealt_with - self.without_detail


class SweptCache(ShownCache, PendingMessages, Leases, Protocol):
    """Name the roles of the cache that a sweep needs."""


@dataclass(slots=True)
class Compensator:
    """Run sweeps over the pending messages, and repair single ones for a person."""

    cache: SweptCache
    log: EventLog
    store: MessageStore
    settings: Settings
    clock_ms: Callable[[], int]
    _owner: str = field(default_factory=lambda: secrets.token_hex(8))

    @property
    def _writes(self) -> WriteThrough:
        return WriteThrough(self.cache, self.store, path="compensation")

    async def sweep(self) -> Sweep:
        """Repair the messages that have been pending for too long, within the time budget.

        Order: oldest first. Only one sweep runs at a time: a sweep that finds the lease taken does
        nothing. The lease is not given back but ends shortly before the next sweep is due, so that
        two schedulers do not sweep in turn.

        Raises: CacheUnavailable. Leaves: a part repaired; the next sweep starts over.
        """
        done = Sweep()
        budget_s = self.settings.compensate_budget_s
        due_s = asyncio.get_running_loop().time() + DUE * self.settings.compensate_every_s
        if not await self.cache.take_lease(LEASE, self._owner, budget_s + LEASE_MARGIN_S):
            return done
        try:
            async with asyncio.timeout(budget_s):
                await self._sweep_all(done)
        except TimeoutError:
            logger.warning(
                "the sweep ran out of time; the next one goes on",
                extra={"action": "compensation.out_of_time"},
            )
        left_s = max(due_s - asyncio.get_running_loop().time(), SHORTEST_LEASE_S)
        await self.cache.take_lease(LEASE, self._owner, min(left_s, budget_s + LEASE_MARGIN_S))
        if done.examined:
            logger.info("sweep done", extra={"action": "compensation.swept", **_counts(done)})
        _count(done)
        return done

    async def repair(self, ids: Sequence[int]) -> Sweep:
        """Persist these pending messages now, straight into the store, whatever their age.

        Called on behalf of a person who looks at the pending messages.

        Raises: CacheUnavailable. Safe to repeat.
        """
        done = Sweep(examined=len(ids), past_the_log=True)
        await self._repair(ids, done)
        logger.info(
            "repair of pending messages done",
            extra={"action": "compensation.repaired", **_counts(done)},
        )
        _count(done)
        return done

    async def _sweep_all(self, done: Sweep) -> None:
        now_ms, after_ms = self.clock_ms(), round(self.settings.compensate_after_s * 1000)
        await self._sweep_from(None, now_ms - after_ms, done)
        # A message from before the clock was set back has a send time in the future, and nobody
        # can tell for how long it has been pending.
        await self._sweep_from(PendingEntry(ID_MAX, now_ms + after_ms), LAST_MS, done)

    async def _sweep_from(self, after: PendingEntry | None, before_ms: int, done: Sweep) -> None:
        while entries := await self.cache.pending(
            before_ms=before_ms, limit=self.settings.compensate_batch, after=after
        ):
            after = entries[-1]
            done.examined += len(entries)
            if not await self._repair([entry.message_id for entry in entries], done):
                return

    async def _repair(self, ids: Sequence[int], done: Sweep) -> bool:
        """Repair these pending messages; return False, with nothing done, without the store.

        Without the store no message is appended either: the log keeps its events until the store
        is back, and would only get them once more.
        """
        cached = await self.cache.get(ids)
        try:
            rows = await self.store.find(ids)
        except StoreUnavailable:
            logger.warning(
                "the database is away; messages stay pending",
                extra={"action": "compensation.store_unavailable"},
            )
            return False
        own = {i: row for i, row in rows.items() if row.id == i}
        stored = [row for i, row in own.items() if not _ahead(cached.get(i), row)]
        duplicates = {i: row for i, row in rows.items() if i not in own and i not in cached}
        if stored or duplicates:
            unshown = {row.id for row in stored}
            await self._writes.show(Persisted(stored, duplicates, fresh=unshown))
            done.confirmed += len(stored) + len(duplicates)
        known = {row.id for row in stored}
        stuck = [cached[i] for i in ids if i in cached and i not in known]
        for message_id in ids:
            if message_id not in cached and message_id not in rows:
                done.without_detail += 1
                logger.error(
                    "pending without its message; the log may still bring it",
                    extra={"action": "compensation.no_detail", "message_id": message_id},
                )
        if stuck:
            await self._push_on(stuck, done)
        return True

    async def _push_on(self, stuck: Sequence[Message], done: Sweep) -> None:
        attempts = await self.cache.count_attempt(stuck)
        again = [m for m in stuck if attempts[m.id] <= self.settings.compensate_attempts]
        appended = set() if done.past_the_log else await self._append(again)
        done.past_the_log |= bool(again) and not appended
        done.appended += len(appended)
        direct = [m for m in stuck if m.id not in appended]
        if not direct:
            return
        try:
            persisted = await self._writes.write(direct)
        except StoreUnavailable:
            logger.warning(
                "the database is away; messages stay pending",
                extra={"action": "compensation.store_unavailable"},
            )
            return
        done.applied += len(direct) - len(persisted.refused)
        if persisted.refused:
            await self._set_aside(persisted.refused, attempts, done)

    async def _append(self, messages: Sequence[Message]) -> set[int]:
        """Append the messages again; return the ids that the log has confirmed."""
        records = [OutgoingRecord.of(message) for message in messages]
        futures = await self.log.append(self.settings.topic, records) if records else []
        outcomes = await asyncio.gather(*futures, return_exceptions=True)
        return {
            message.id
            for message, outcome in zip(messages, outcomes, strict=True)
            if not isinstance(outcome, BaseException)
        }

    async def _set_aside(
        self,
        refused: Sequence[tuple[Message, str, str]],
        attempts: dict[int, int],
        done: Sweep,
    ) -> None:
        letters = [
            DeadLetter(
                topic=self.settings.topic,
                partition=-1,  # the message did not come out of the log
                offset=str(message.id),
                key=message.conversation_id.encode(),
                value=encode_event(message),
                reason=reason,
                error=error,
                attempts=attempts[message.id],
                message_id=message.id,
            )
            for message, reason, error in refused
        ]
        try:
            await set_aside(
                letters,
                [message for message, _, _ in refused],
                topic=self.settings.dead_letter_topic,
                log=self.log,
                store=self.store,
                cache=self.cache,
            )
        except BackendError:
            logger.warning("not set aside", extra={"action": "compensation.not_set_aside"})
            return
        done.set_aside += len(letters)


def _ahead(cached: Message | None, row: Message) -> bool:
    """Tell whether the cache has a recall that the row lacks."""
    return cached is not None and join(row, cached).status is not row.status


def _count(done: Sweep) -> None:
    for (result,) in catalogue.compensation.series():
        catalogue.compensation.add(result, n=getattr(done, result))


def _counts(done: Sweep) -> dict[str, int]:
    return {name: getattr(done, name) for name in Sweep.__slots__}
