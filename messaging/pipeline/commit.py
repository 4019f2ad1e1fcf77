"""Make a group of sends durable: one round trip to the cache, and one run of appends to the log.

`accept` alone calls `GroupCommit.run`. The answer to a send names the part that confirmed the
message:

|            | in the log | not in the log                                |
|------------|------------|-----------------------------------------------|
| cached     | LOG        | CACHE                                         |
| not cached | LOG        | STORE, or SendFailed when the store is away   |

A send that asks for the cache alone (`Ack.CACHE`) is answered CACHE before the log has confirmed.

A message in the cache is safe to acknowledge: through its pending mark the message gets stored,
whatever becomes of the log. A message that the log or the store took without the cache is handed to
the `CacheHints`, which write it to the cache as soon as they can.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from messaging.conf import Settings
from messaging.domain.backend_errors import (
    BackendError,
    CacheUnavailable,
    LeaseLost,
    StoreUnavailable,
)
from messaging.domain.errors import IdsUnavailable, SendFailed, TooManyRequests
from messaging.domain.ids import SnowflakeIdGenerator, node_of_id, under_id
from messaging.domain.message import Message
from messaging.domain.rates import Rates
from messaging.domain.requests import Ack
from messaging.metrics.catalogue import accept_step_seconds
from messaging.pipeline.hints import CacheHints
from messaging.pipeline.known_sends import KnownSends
from messaging.pipeline.queued_send import (
    Durability,
    QueuedSend,
    beyond_doubt,
    deadline_after,
)
from messaging.pipeline.write_through import HintedWrites
from messaging.ports.cache import Accepting
from messaging.ports.cached import IdempotencyRecord, RateLimited, Verdict
from messaging.ports.log import EventLog, OutgoingRecord, Position
from messaging.ports.store import MessageStore

logger = logging.getLogger(__name__)

LEASE_TRIES = 3


@dataclass(slots=True)
class GroupCommit:
    """Commit groups to the cache, else to the log, else to the store.

    `renew_lease` obtains a fresh worker id. `rates` are this process's own, for while the cache is
    away.
    """

    cache: Accepting
    log: EventLog
    store: MessageStore
    ids: SnowflakeIdGenerator
    renew_lease: Callable[[], Awaitable[None]]
    settings: Settings
    rates: Rates
    hints: CacheHints
    writes: HintedWrites

    async def run(self, group: list[QueuedSend]) -> None:
        """Answer every send of the group that a part confirms or refuses.

        Raises: IdsUnavailable; SendFailed when neither the cache nor the log nor the store
        confirmed the rest of the group.
        """
        fresh = await self._to_cache(group)
        for send in fresh:
            if send.cached and send.ack is Ack.CACHE:
                send.resolve(Durability.CACHE)
        if fresh:
            with accept_step_seconds.timed("log"):
                await self._to_log(fresh)
        if late := [send.message for send in fresh if send.in_log and not send.cached]:
            await self._hand_over(late, fresh)
        elsewhere = not self.log.shares_cache_disk
        if alone := [
            send.message for send in fresh if send.cached and not (send.in_log and elsewhere)
        ]:
            self.hints.keep_until_written(alone)
        for send in fresh:
            if send.in_log:
                send.resolve(Durability.LOG)
            elif send.cached:
                send.resolve(Durability.CACHE)
        if rest := [
            send for send in fresh if not send.in_log and not send.cached and not send.answer.done()
        ]:
            with accept_step_seconds.timed("store"):
                await self._to_store(rest)

    async def _to_cache(self, group: Sequence[QueuedSend]) -> list[QueuedSend]:
        """Write the group to the cache, answer the repeated and the refused, return the others."""
        verdicts: Sequence[Verdict]
        if self.hints.idempotency_records_may_be_lost:
            group = await self._past_lost_idempotency_records(group)
        try:
            with accept_step_seconds.timed("cache"):
                verdicts = await self._accept_under_lease(group)
        except CacheUnavailable:
            logger.warning(
                "Redis did not confirm the sends in time; going on without it",
                extra={"action": "accept.cache_unavailable"},
            )
            group, verdicts = await self._without_cache(beyond_doubt(group))
        else:
            for send in group:
                send.cached = True
        fresh = []
        for send, verdict in zip(group, verdicts, strict=True):
            if verdict is None:
                fresh.append(send)
            elif isinstance(verdict, IdempotencyRecord):
                send.resolve(Durability.CACHE, verdict)
                if send.cached and verdict.body_hash == send.message.body_hash:
                    self.hints.keep_until_written([under_id(send.message, verdict.message_id)])
            else:
                send.refuse(verdict)
        return fresh

    async def _accept_under_lease(self, group: Sequence[QueuedSend]) -> list[Verdict]:
        """Write the group to the cache under the one lease that gave every id of the group.

        Raises: IdsUnavailable after `LEASE_TRIES` lost leases.
        """
        for _ in range(LEASE_TRIES):
            lease = self.ids.lease
            if lease is not None:
                self._take_ids_of(lease.node, group)
                try:
                    return await self.cache.accept(
                        [send.message for send in group],
                        lease,
                        texts=[send.text for send in group],
                        asked_after=[send.asked_after for send in group],
                    )
                except LeaseLost:
                    if self.ids.lease is lease:
                        self.ids.use(None)
            await self.renew_lease()
        raise IdsUnavailable("no worker id could be kept")

    def _take_ids_of(self, node: int, group: Sequence[QueuedSend]) -> None:
        """Give new ids to messages whose ids are of a worker id that this process has lost."""
        for send in group:
            if node_of_id(send.message.id) != node and not send.adopted:
                send.take_id(self.ids.next_id(send.message.conversation_id))

    async def _without_cache(
        self, group: Sequence[QueuedSend]
    ) -> tuple[list[QueuedSend], list[Verdict]]:
        """Judge the group without the cache; return the remaining sends and their verdicts.

        The verdicts come from this process's own rates, and from the earlier sends that this
        process or the store knows. The keys of the other sends are reserved in the store, so that
        no other process takes a retry for a new send. A send that repeats another one of the same
        group is left out, and gets the answer of that one.
        """
        kept: dict[object, QueuedSend] = {}
        for send in group:
            first = kept.setdefault(send.message.key or send.message.id, send)
            if first is not send:
                first.repeats.append(send)
        left = list(kept.values())
        waits = [self.rates.take(send.message.from_user_id) for send in left]
        passed = [send for send, wait_s in zip(left, waits, strict=True) if not wait_s]
        records = await KnownSends(self.store, self.hints).reserve(passed)
        verdicts: list[Verdict] = []
        for send, wait_s in zip(left, waits, strict=True):
            verdicts.append(RateLimited(wait_s) if wait_s else records.get(send.message.id))
        return left, verdicts

    async def _past_lost_idempotency_records(self, group: Sequence[QueuedSend]) -> list[QueuedSend]:
        """Answer the repeats that this process or the store knows; return the other sends.

        Called where the cache may have lost idempotency records. The cache judges the returned
        sends.
        """
        records = await KnownSends(self.store, self.hints).find(group)
        rest = []
        for send in group:
            if (record := records.get(send.message.id)) is None:
                rest.append(send)
            elif wait_s := self.rates.take(send.message.from_user_id):
                send.fail(TooManyRequests(wait_s))
            else:
                send.resolve(Durability.CACHE, record)
        return rest

    async def _to_log(self, fresh: Sequence[QueuedSend]) -> None:
        """Append messages to the log, and wait a bounded time for the log to confirm them.

        The bound is `log_budget_s` when the cache has all of the messages. Otherwise it is half of
        the time that is left, and the other half is kept for the store.
        """
        records = [OutgoingRecord.of(send.message, send.text) for send in fresh]
        futures = await self.log.append(self.settings.topic, records)
        for send, future in zip(fresh, futures, strict=True):
            send.appended = future
        distinct = set(futures)
        for future in distinct:
            future.add_done_callback(_observe)
        budget_s = self.settings.log_budget_s
        if not all(send.cached for send in fresh):
            budget_s = deadline_after(fresh, 1 / 2) - asyncio.get_running_loop().time()
        if any(not send.answer.done() for send in fresh):
            await asyncio.wait(distinct, timeout=max(budget_s, 0.0))

    async def _hand_over(self, messages: Sequence[Message], group: Sequence[QueuedSend]) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout_at(deadline_after(group, 1 / 2)):
                await self.hints.hand_over(messages)

    async def _to_store(self, rest: Sequence[QueuedSend]) -> None:
        """Store messages that neither the cache nor the log confirmed.

        Raises: SendFailed.
        """
        try:
            async with asyncio.timeout_at(min(send.deadline_s for send in rest)):
                done = await self.writes.add([send.message for send in rest], hinted=True)
        except (StoreUnavailable, TimeoutError) as error:
            raise SendFailed from error
        await self._hand_over(done.all_rows, rest)
        stored = {row.id for row in done.rows}
        for send in rest:
            if send.message.id in stored:
                send.resolve(Durability.STORE)
            elif first := done.duplicates.get(send.message.id):
                send.resolve(Durability.STORE, IdempotencyRecord.of(first))


def _observe(future: asyncio.Future[Position]) -> None:
    """Log a failed append, unless the log was away: the pending mark gets the message stored."""
    error = None if future.cancelled() else future.exception()
    if error is not None and not isinstance(error, BackendError):
        logger.error("append failed", extra={"action": "accept.append_failed"}, exc_info=error)
