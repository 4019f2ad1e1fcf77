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
the `Arrears`, which write it to the cache as soon as they can.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from messaging.conf import Settings
from messaging.domain.errors import (
    BackendError,
    CacheUnavailable,
    IdsUnavailable,
    LeaseLost,
    SendFailed,
    StoreUnavailable,
    TemporarilyUnavailable,
    TooManyRequests,
)
from messaging.domain.events import Message
from messaging.domain.ids import SnowflakeIdGenerator, node_of_id, under_id
from messaging.domain.rates import Rates
from messaging.domain.requests import Ack
from messaging.pipeline.arrears import Arrears
from messaging.pipeline.known_sends import KnownSends
from messaging.pipeline.waiting import Durability, Waiting, share_of_time
from messaging.pipeline.write_through import OwingWrites
from messaging.ports.cache import Accepting
from messaging.ports.cached import Claim, PendingFull, RateLimited, Verdict
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
    arrears: Arrears
    writes: OwingWrites

    async def run(self, group: list[Waiting]) -> None:
        """Answer every send of the group that a part confirms or refuses.

        Raises: IdsUnavailable; SendFailed when neither the cache nor the log nor the store
        confirmed the rest of the group.
        """
        fresh = await self._to_cache(group)
        for waiting in fresh:
            if waiting.cached and waiting.ack is Ack.CACHE:
                waiting.resolve(Durability.CACHE)
        await self._to_log(fresh)
        if late := [w.message for w in fresh if w.in_log and not w.cached]:
            await self._bring(late, fresh)
        elsewhere = not self.log.rests_on_cache
        if alone := [w.message for w in fresh if w.cached and not (w.in_log and elsewhere)]:
            self.arrears.remember(alone)
        for waiting in fresh:
            if waiting.in_log:
                waiting.resolve(Durability.LOG)
            elif waiting.cached:
                waiting.resolve(Durability.CACHE)
        if rest := [w for w in fresh if not w.in_log and not w.cached and not w.answer.done()]:
            await self._to_store(rest)

    async def _to_cache(self, group: Sequence[Waiting]) -> list[Waiting]:
        """Write the group to the cache, answer the repeated and the refused, return the others."""
        verdicts: Sequence[Verdict]
        if self.arrears.claims_may_be_lost:
            group = await self._past_lost_claims(group)
        try:
            verdicts = await self._accept_under_lease(group)
        except CacheUnavailable:
            logger.warning(
                "Redis did not confirm the sends in time; going on without it",
                extra={"action": "accept.cache_unavailable"},
            )
            group, verdicts = await self._without_cache(group)
        else:
            for waiting in group:
                waiting.cached = True
        fresh = []
        for waiting, verdict in zip(group, verdicts, strict=True):
            if verdict is None:
                fresh.append(waiting)
            elif isinstance(verdict, RateLimited):
                waiting.fail(TooManyRequests(verdict.wait_s))
            elif isinstance(verdict, PendingFull):
                waiting.fail(TemporarilyUnavailable())
            else:
                waiting.resolve(Durability.CACHE, verdict)
                if waiting.cached and verdict.body_hash == waiting.message.body_hash:
                    self.arrears.remember([under_id(waiting.message, verdict.message_id)])
        return fresh

    async def _accept_under_lease(self, group: Sequence[Waiting]) -> list[Verdict]:
        """Write the group to the cache under the one lease that gave every id of the group.

        Raises: IdsUnavailable after `LEASE_TRIES` lost leases.
        """
        for _ in range(LEASE_TRIES):
            lease = self.ids.lease
            if lease is not None:
                self._take_ids_of(lease.node, group)
                try:
                    return await self.cache.accept(
                        [w.message for w in group], lease, texts=[w.text for w in group]
                    )
                except LeaseLost:
                    if self.ids.lease is lease:
                        self.ids.use(None)
            await self.renew_lease()
        raise IdsUnavailable("no worker id could be kept")

    def _take_ids_of(self, node: int, group: Sequence[Waiting]) -> None:
        """Give new ids to messages whose ids are of a worker id that this process has lost."""
        for waiting in group:
            if node_of_id(waiting.message.id) != node and not waiting.adopted:
                waiting.take_id(self.ids.next_id(waiting.message.conversation_id))

    async def _without_cache(self, group: Sequence[Waiting]) -> tuple[list[Waiting], list[Verdict]]:
        """Judge the group without the cache; return the remaining sends and their verdicts.

        The verdicts come from this process's own rates, and from the earlier sends that this
        process or the store knows. The keys of the other sends are reserved in the store, so that
        no other process takes a retry for a new send. A send that repeats another one of the same
        group is left out, and gets the answer of that one.
        """
        kept: dict[object, Waiting] = {}
        for waiting in group:
            first = kept.setdefault(waiting.message.key or waiting.message.id, waiting)
            if first is not waiting:
                first.repeats.append(waiting)
        left = list(kept.values())
        waits = [self.rates.take(w.message.from_user_id) for w in left]
        passed = [w for w, wait_s in zip(left, waits, strict=True) if not wait_s]
        claims = await KnownSends(self.store, self.arrears).reserve(passed)
        verdicts: list[Verdict] = []
        for waiting, wait_s in zip(left, waits, strict=True):
            verdicts.append(RateLimited(wait_s) if wait_s else claims.get(waiting.message.id))
        return left, verdicts

    async def _past_lost_claims(self, group: Sequence[Waiting]) -> list[Waiting]:
        """Answer the repeats that this process or the store knows; return the other sends.

        Called where the cache may have lost claims. The cache judges the returned sends.
        """
        claims = await KnownSends(self.store, self.arrears).look_up(group)
        rest = []
        for waiting in group:
            if (claim := claims.get(waiting.message.id)) is None:
                rest.append(waiting)
            elif wait_s := self.rates.take(waiting.message.from_user_id):
                waiting.fail(TooManyRequests(wait_s))
            else:
                waiting.resolve(Durability.CACHE, claim)
        return rest

    async def _to_log(self, fresh: Sequence[Waiting]) -> None:
        """Append messages to the log, and wait a bounded time for the log to confirm them.

        The bound is `log_budget_s` when the cache has all of the messages. Otherwise it is half of
        the time that is left, and the other half is kept for the store.
        """
        if not fresh:
            return
        records = [OutgoingRecord.of(w.message, w.text) for w in fresh]
        futures = await self.log.append(self.settings.topic, records)
        for waiting, future in zip(fresh, futures, strict=True):
            waiting.appended = future
        distinct = set(futures)
        for future in distinct:
            future.add_done_callback(_observe)
        budget_s = self.settings.log_budget_s
        if not all(w.cached for w in fresh):
            budget_s = share_of_time(fresh, 1 / 2) - asyncio.get_running_loop().time()
        if any(not w.answer.done() for w in fresh):
            await asyncio.wait(distinct, timeout=max(budget_s, 0.0))

    async def _bring(self, messages: Sequence[Message], group: Sequence[Waiting]) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout_at(share_of_time(group, 1 / 2)):
                await self.arrears.bring(messages)

    async def _to_store(self, rest: Sequence[Waiting]) -> None:
        """Store messages that neither the cache nor the log confirmed.

        Raises: SendFailed.
        """
        try:
            async with asyncio.timeout_at(min(waiting.deadline_s for waiting in rest)):
                done = await self.writes.add([w.message for w in rest], owed=True)
        except (StoreUnavailable, TimeoutError) as error:
            raise SendFailed from error
        await self._bring(done.all_rows, rest)
        stored = {row.id for row in done.rows}
        for waiting in rest:
            if waiting.message.id in stored:
                waiting.resolve(Durability.STORE)
            elif first := done.folded.get(waiting.message.id):
                waiting.resolve(Durability.STORE, Claim.of(first))


def _observe(future: asyncio.Future[Position]) -> None:
    """Log a failed append, unless the log was away: the pending mark gets the message stored."""
    error = None if future.cancelled() else future.exception()
    if error is not None and not isinstance(error, BackendError):
        logger.error("append failed", extra={"action": "accept.append_failed"}, exc_info=error)
