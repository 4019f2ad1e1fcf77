"""Accept sends in groups: one round trip to the cache and one run of appends to the log for many.

The send use case calls `Acceptor.accept`. A lone send is processed at once; while a group is being
processed, new sends gather into the next group. An Acceptor belongs to one event loop.

The answer names the part that confirmed the message: the log, else the cache, else the store, else
an error. A message in the cache is safe to acknowledge: through its pending mark the message gets
stored, whatever becomes of the log. A message that the log or the store took without the cache is
handed to the `Arrears`, which write it to the cache as soon as they can.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

from messaging.conf import Settings
from messaging.domain.deadline_queue import DeadlineQueue
from messaging.domain.errors import (
    ApiError,
    BackendError,
    CacheUnavailable,
    IdsUnavailable,
    LeaseLost,
    SendFailed,
    StoreUnavailable,
    TemporarilyUnavailable,
    TooManyRequests,
)
from messaging.domain.events import Message, encode_message
from messaging.domain.ids import SnowflakeIdGenerator, node_of_id, under_id
from messaging.domain.rates import Rates
from messaging.domain.requests import Ack
from messaging.pipeline.arrears import Arrears
from messaging.pipeline.known_sends import KnownSends
from messaging.pipeline.waiting import Accepted, Durability, Waiting, share_of_time
from messaging.pipeline.write_through import OwingWrites
from messaging.ports.cache import Accepting
from messaging.ports.cached import Claim, PendingFull, RateLimited, Verdict
from messaging.ports.log import EventLog, OutgoingRecord, Position
from messaging.ports.store import MessageStore

__all__ = ["Accepted", "Acceptor", "Durability"]

logger = logging.getLogger(__name__)

LEASE_TRIES = 3
TURN_S = 0.15  # past it the next group no longer waits for the one before
MOST_GROUPS = 8  # processed at the same time
LOOKS_EVERY_S = 0.05


@dataclass(slots=True)
class Acceptor:
    """Accept messages for asynchronous persistence, or refuse them within `send_timeout_s`.

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
    _queue: deque[Waiting] = field(default_factory=deque)
    _turns: asyncio.Task[None] | None = None
    _groups: set[asyncio.Task[None]] = field(default_factory=set)  # not finished
    _deadlines: DeadlineQueue[Waiting] = field(
        default_factory=lambda: DeadlineQueue(_give_up, pause_s=LOOKS_EVERY_S)
    )

    async def accept(
        self, message: Message, *, ack: Ack, deadline_s: float | None = None
    ) -> Accepted:
        """Make a new message durable, as far as `ack` asks for and the log's budget allows.

        The call ends by `deadline_s`, in the event loop's time, or within `send_timeout_s` when no
        deadline is given. The accepted message has another id than the given one when the lease of
        the given id was lost. Cancelling the call leaves the other messages of its group alone.

        Raises: TooManyRequests when too many sends wait or the sender is too fast;
        TemporarilyUnavailable when too much is pending; IdsUnavailable; SendFailed when no part
        confirmed the message in time.
        Leaves: a failed message may still appear, so a retry needs the same clientMsgId.
        """
        if len(self._queue) >= self.settings.accept_queue:
            raise TooManyRequests
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[Accepted] = loop.create_future()
        if deadline_s is None:
            deadline_s = loop.time() + self.settings.send_timeout_s
        waiting = Waiting(message, ack, answer, encode_message(message), deadline_s)
        self._queue.append(waiting)
        self._deadlines.add(waiting, deadline_s)
        if self._turns is None or self._turns.done():
            self._turns = asyncio.create_task(self._take_turns())
        try:
            return await answer
        finally:
            self._deadlines.discard(waiting)

    async def close(self) -> None:
        """Wait for all queued and started groups, each of which its backends' time limits bound."""
        while self._queue or self._groups:
            await asyncio.wait([t for t in (self._turns, *self._groups) if t is not None])

    async def _take_turns(self) -> None:
        """Process the queue one group at a time, until the queue is empty.

        Two groups at once would be smaller, and a group costs more than its messages do. A group
        that takes longer than `TURN_S` is held up by an outage: the next one does not wait for it.
        """
        while self._queue:
            size = min(len(self._queue), self.settings.accept_group)
            group = [w for _ in range(size) if not (w := self._queue.popleft()).answer.done()]
            if not group:
                continue
            task = asyncio.create_task(self._run(group))
            self._groups.add(task)
            task.add_done_callback(self._groups.discard)
            await asyncio.wait([task], timeout=TURN_S)
            if len(self._groups) >= MOST_GROUPS:
                await asyncio.wait(self._groups, return_when=asyncio.FIRST_COMPLETED)

    async def _run(self, group: list[Waiting]) -> None:
        try:
            await self._commit(group)
        except ApiError as error:
            for waiting in group:
                waiting.fail(error)
        except Exception:  # the groups behind must have a turn, whatever happened
            logger.exception("a group failed", extra={"action": "accept.group_failed"})
        finally:
            for waiting in group:
                if not waiting.answer.done():
                    waiting.fail(SendFailed())

    async def _commit(self, group: list[Waiting]) -> None:
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


def _give_up(overdue: Waiting) -> None:
    overdue.fail(SendFailed())


def _observe(future: asyncio.Future[Position]) -> None:
    """Log a failed append, unless the log was away: the pending mark gets the message stored."""
    error = None if future.cancelled() else future.exception()
    if error is not None and not isinstance(error, BackendError):
        logger.error("append failed", extra={"action": "accept.append_failed"}, exc_info=error)
