"""Accept: many waiting sends share one trip to the cache and one run of appends to the log.

The send use case calls `Acceptor.accept`. A lone send leaves at once; while a group is under way,
newcomers gather into the next. An Acceptor belongs to one event loop.

What is answered is what was confirmed: the log, else the cache, else the store, else an error. A
message that the cache holds is safe to acknowledge, since its pending mark brings it to the store
whatever becomes of the log.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

import msgspec
from msgspec.structs import replace

from messaging.conf import Settings
from messaging.errors import (
    ApiError,
    BackendError,
    CacheUnavailable,
    IdsUnavailable,
    LeaseLost,
    SendFailed,
    StoreUnavailable,
    TooManyRequests,
)
from messaging.events import Message, as_event, encode_message
from messaging.ids import SnowflakeIdGenerator, node_of_id, time_of_id
from messaging.pipeline.persist import persist
from messaging.ports import (
    Claim,
    EventLog,
    MessageCache,
    MessageStore,
    OutgoingRecord,
    Position,
    RateLimited,
)
from messaging.rates import SenderRates
from messaging.requests import Ack

logger = logging.getLogger(__name__)

LEASE_TRIES = 3


class Durability(StrEnum):
    """The strongest store that had confirmed a message when its send was answered."""

    CACHE = "cache"
    LOG = "log"
    STORE = "store"


class Accepted(msgspec.Struct, frozen=True, gc=False):
    """The message as it was accepted, or the claim of the earlier send that it repeats."""

    message: Message
    durability: Durability
    repeats: Claim | None = None


@dataclass(slots=True)
class _Waiting:
    message: Message
    ack: Ack
    answer: asyncio.Future[Accepted]
    text: bytes  # the message, encoded
    cached: bool = False
    appended: asyncio.Future[Position] | None = None

    def resolve(self, durability: Durability, repeats: Claim | None = None) -> None:
        if not self.answer.done():
            self.answer.set_result(Accepted(self.message, durability, repeats))

    def fail(self, error: ApiError) -> None:
        if not self.answer.done():
            self.answer.set_exception(error)

    @property
    def in_log(self) -> bool:
        future = self.appended
        return bool(future and future.done() and not future.cancelled() and not future.exception())


@dataclass(slots=True)
class Acceptor:
    """Accepts messages for asynchronous persistence.

    `renew_lease` obtains a fresh worker id; `rates` serve while the cache is away.
    """

    cache: MessageCache
    log: EventLog
    store: MessageStore
    ids: SnowflakeIdGenerator
    renew_lease: Callable[[], Awaitable[None]]
    settings: Settings
    rates: SenderRates
    _queue: deque[_Waiting] = field(default_factory=deque)
    _groups: asyncio.Task[None] | None = None

    async def accept(self, message: Message, *, ack: Ack) -> Accepted:
        """Make a new message durable, as far as `ack` asks for and the log's budget allows.

        The accepted message may have another id than the given one (its lease was lost). Raises
        TooManyRequests when the queue is full or the sender too fast, IdsUnavailable, and
        SendFailed when nothing confirmed it; a failed message may still appear, so a retry needs
        the same clientMsgId. Cancelling the call leaves the other messages of its group alone.
        """
        if len(self._queue) >= self.settings.accept_queue:
            raise TooManyRequests
        answer: asyncio.Future[Accepted] = asyncio.get_running_loop().create_future()
        self._queue.append(_Waiting(message, ack, answer, encode_message(message)))
        if self._groups is None or self._groups.done():
            self._groups = asyncio.create_task(self._run_groups())
        return await answer

    async def close(self) -> None:
        """Wait for the groups under way; each ends within the bounds of its backends."""
        while self._groups is not None and not self._groups.done():
            await asyncio.wait([self._groups])

    async def _run_groups(self) -> None:
        """One at a time: two would be smaller, and a group costs more than its messages do."""
        while self._queue:
            size = min(len(self._queue), self.settings.accept_group)
            await self._run([self._queue.popleft() for _ in range(size)])

    async def _run(self, group: list[_Waiting]) -> None:
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

    async def _commit(self, group: list[_Waiting]) -> None:
        fresh = await self._to_cache(group)
        for waiting in fresh:
            if waiting.cached and waiting.ack is Ack.CACHE:
                waiting.resolve(Durability.CACHE)
        await self._to_log(fresh)
        for waiting in fresh:
            if waiting.in_log:
                waiting.resolve(Durability.LOG)
            elif waiting.cached:
                waiting.resolve(Durability.CACHE)
        if rest := [waiting for waiting in fresh if not waiting.answer.done()]:
            await self._to_store(rest)

    async def _to_cache(self, group: Sequence[_Waiting]) -> list[_Waiting]:
        """Write the group to the cache and answer its repeats; returns the others."""
        verdicts: Sequence[Claim | RateLimited | None]
        try:
            verdicts = await self._accept_under_lease(group)
        except CacheUnavailable:
            logger.warning("cache did not confirm", extra={"action": "accept.cache_unavailable"})
            verdicts = await self._verdicts_without_cache(group)
        else:
            for waiting in group:
                waiting.cached = True
        fresh = []
        for waiting, verdict in zip(group, verdicts, strict=True):
            if verdict is None:
                fresh.append(waiting)
            elif isinstance(verdict, RateLimited):
                waiting.fail(TooManyRequests(verdict.wait_s))
            else:
                waiting.resolve(Durability.CACHE, verdict)
        return fresh

    async def _accept_under_lease(
        self, group: Sequence[_Waiting]
    ) -> list[Claim | RateLimited | None]:
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

    def _take_ids_of(self, node: int, group: Sequence[_Waiting]) -> None:
        """New ids for messages that wait under a worker id which is not ours any more."""
        for waiting in group:
            if node_of_id(waiting.message.id) != node:
                message_id = self.ids.next_id()
                waiting.message = replace(
                    waiting.message, id=message_id, send_time=time_of_id(message_id)
                )
                waiting.text = encode_message(waiting.message)

    async def _verdicts_without_cache(
        self, group: Sequence[_Waiting]
    ) -> list[Claim | RateLimited | None]:
        """By this process's own rates, and by the earlier sends that the store knows of."""
        waits_s = [self.rates.take(waiting.message.from_user_id) for waiting in group]
        keys = [(w.message.from_user_id, w.message.client_msg_id) for w in group]
        try:
            known = await self.store.find_claims([(u, k) for u, k in keys if k is not None])
        except StoreUnavailable:
            known = {}
        return [
            RateLimited(wait_s) if wait_s else known.get((user_id, key)) if key else None
            for wait_s, (user_id, key) in zip(waits_s, keys, strict=True)
        ]

    async def _to_log(self, fresh: Sequence[_Waiting]) -> None:
        """Append, and wait: the budget for those the cache holds, longer where only it is left."""
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
        all_cached = all(w.cached for w in fresh)
        budget = self.settings.log_budget_s if all_cached else self.settings.log_timeout_s
        if any(not w.answer.done() for w in fresh):
            await asyncio.wait(distinct, timeout=budget)

    async def _to_store(self, rest: Sequence[_Waiting]) -> None:
        """The last resort, when neither the cache nor the log confirmed."""
        try:
            done = await persist(self.store, [waiting.message for waiting in rest])
        except StoreUnavailable as error:
            raise SendFailed from error
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
