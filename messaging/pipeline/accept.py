"""Accept: many waiting sends share one trip to the cache and one run of appends to the log.

The send use case calls `Acceptor.accept`. A lone send leaves at once; while a group is under way,
newcomers gather into the next. An Acceptor belongs to one event loop.

What is answered is what was confirmed: the log, else the cache, else the store, else an error. A
message that the cache holds is safe to acknowledge, since its pending mark brings it to the store
whatever becomes of the log. What the log or the store took without the cache is handed to the
`Arrears`, which tell it as soon as they can.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

from messaging.conf import Settings
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
from messaging.domain.events import Message, as_event, encode_message
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
TURN_S = 0.15  # past it the next group does not wait for the one before
MOST_GROUPS = 8  # under way beside each other
LOOKS_EVERY_S = 0.05


@dataclass(slots=True)
class Acceptor:
    """Accepts messages for asynchronous persistence, or refuses them within `send_timeout_s`.

    `renew_lease` obtains a fresh worker id; `rates` serve while the cache is away.
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
    _groups: set[asyncio.Task[None]] = field(default_factory=set)  # under way
    _watched: deque[Waiting] = field(default_factory=deque)  # the oldest first, some of them done
    _watch: asyncio.TimerHandle | None = None

    async def accept(
        self, message: Message, *, ack: Ack, deadline_s: float | None = None
    ) -> Accepted:
        """Make a new message durable, as far as `ack` asks for and the log's budget allows.

        By `deadline_s`, of the event loop's time, it is answered; else within `send_timeout_s`. The
        accepted message may have another id than the given one (its lease was lost). Raises
        TooManyRequests when too many wait or the sender is too fast, TemporarilyUnavailable when
        too much is pending, IdsUnavailable, and SendFailed when nothing confirmed it in time; a
        failed message may still appear, so a retry needs the same clientMsgId. Cancelling the call
        leaves the other messages of its group alone.
        """
        if len(self._queue) >= self.settings.accept_queue:
            raise TooManyRequests
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[Accepted] = loop.create_future()
        if deadline_s is None:
            deadline_s = loop.time() + self.settings.send_timeout_s
        waiting = Waiting(message, ack, answer, encode_message(message), deadline_s)
        self._queue.append(waiting)
        self._watched.append(waiting)
        if self._watch is None:
            self._watch = loop.call_later(LOOKS_EVERY_S, self._look)
        if self._turns is None or self._turns.done():
            self._turns = asyncio.create_task(self._take_turns())
        return await answer

    async def close(self) -> None:
        """Wait for the groups under way; each ends within the bounds of its backends."""
        while self._queue or self._groups:
            await asyncio.wait([t for t in (self._turns, *self._groups) if t is not None])

    def _look(self) -> None:
        """Whose time is up? One timer for all of them."""
        loop = asyncio.get_running_loop()
        now_s, watched = loop.time(), self._watched
        while watched and (watched[0].answer.done() or watched[0].deadline_s <= now_s):
            watched.popleft().fail(SendFailed())
        self._watch = loop.call_later(LOOKS_EVERY_S, self._look) if self._watched else None

    async def _take_turns(self) -> None:
        """One group at a time: two would be smaller, and a group costs more than its messages do.

        Only one that is held up, by an outage for sure, is not waited for.
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
        except Exception:  # whoever waits behind must have a turn, whatever happened
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
        """Write the group to the cache and answer its repeats; returns the others."""
        verdicts: Sequence[Verdict]
        if self.arrears.claims_may_be_lost:
            group = await self._past_lost_claims(group)
        try:
            verdicts = await self._accept_under_lease(group)
        except CacheUnavailable:
            logger.warning("cache did not confirm", extra={"action": "accept.cache_unavailable"})
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
        """Accept under the lease that every id of the group was given by."""
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
        """New ids for messages that wait under a worker id which is not ours any more."""
        for waiting in group:
            if node_of_id(waiting.message.id) != node and not waiting.adopted:
                waiting.take_id(self.ids.next_id(waiting.message.conversation_id))

    async def _without_cache(self, group: Sequence[Waiting]) -> tuple[list[Waiting], list[Verdict]]:
        """Who is left of the group, and the verdicts on them.

        By this process's own rates, and by the earlier sends that it or the store knows of; the
        others' keys are reserved there, so that no other process takes a retry for a new send. What
        repeats a send of the same group is told what becomes of that one.
        """
        kept: dict[object, Waiting] = {}
        for waiting in group:
            first = kept.setdefault(waiting.key or waiting.message.id, waiting)
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
        """Answer the repeats that the store knows of; returns the others, for the cache."""
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
        """Append, and wait: the budget for those the cache holds, longer where only it is left.

        Then half of the time is kept for the store.
        """
        if not fresh:
            return
        records = [
            OutgoingRecord(w.message.conversation_id.encode(), as_event(w.text, w.message))
            for w in fresh
        ]
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
        """The last resort, when neither the cache nor the log confirmed."""
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
                waiting.resolve(Durability.STORE, Claim(first.id, first.body_hash))


def _observe(future: asyncio.Future[Position]) -> None:
    """A failure is expected here: the pending mark brings the message to the store."""
    error = None if future.cancelled() else future.exception()
    if error is not None and not isinstance(error, BackendError):
        logger.error("append failed", extra={"action": "accept.append_failed"}, exc_info=error)
