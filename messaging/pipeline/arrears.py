"""What was made durable past the cache, and how the cache is told of it.

While Redis is out of reach, messages are sent, recalled and deleted all the same, and Redis may
come back with what it knew before. So a process that has lost it uses it again only once everything
that was done without it has been told to it: that is the probe of the cache's circuit breaker.

Two kinds are owed. What the store knows (tombstones, deletes, messages that went to it directly) is
noted there, so that every process can tell it. What the log alone has taken is kept in the memory
of the process that accepted it; should that die, the consumer brings it a little later.

A Redis that was started again may lack its last writes: what it had answered, but not yet written
to its file, for seconds where the disk is busy. So it is believed in nothing but what nobody else
has: copies of the store are dropped, the store is asked what became of the pending messages, and
what a process has told Redis alone, just before, it tells once more.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Sequence
from dataclasses import dataclass, field

from messaging.domain.breakers import Breaker
from messaging.domain.errors import CacheUnavailable, StoreUnavailable
from messaging.domain.events import Message
from messaging.pipeline.keeping import Late, Told
from messaging.pipeline.teller import AT_ONCE, Teller
from messaging.ports.cache import MessageCache
from messaging.ports.cached import CacheRun, Claim
from messaging.ports.store import Arrear, MessageStore

logger = logging.getLogger(__name__)

HEARTBEAT_S = 0.2
SLEPT_S = 1.5  # without a heartbeat: the process stood still, and knows nothing of the cache
STORE_S = 1.0  # for what is noted; what is not told by then is told by the next probe
ROWS_S = 0.2  # for what is late: it may be told as pending, though it is stored
GRACE_S = 0.3  # by then every process has found out
CLAIMS_S = 60.0  # after a restart, for which retries may come of sends whose claims it has cost
TOLD_S = 5.0  # after an outage; by then every process has told the claims that it kept
UNWRITTEN_S = 5.0  # Redis waits two seconds for its disk before it stops answering


@dataclass(slots=True)
class Arrears:
    """Keep what this process owes to the cache, and pay it as soon as the cache answers.

    `cache` is the bare one. `breaker` guards it for the use cases, and probes by `settle`.
    """

    cache: MessageCache
    store: MessageStore
    breaker: Breaker
    _teller: Teller = field(init=False)
    _name: str | None = None
    _run: str | None = None  # of the cache, in which this process has told it what it owes
    _seen_run: str | None = None
    _started_s: float = float("-inf")  # when this process saw that the cache was started again
    has_held: bool = False  # when it was looked at last, a consumer held a partition
    _in_reach: bool = True  # when it was looked at last, it took a write
    _late: Late = field(default_factory=Late)
    _claims: dict[tuple[int, str], Claim] = field(default_factory=dict)  # of the late ones
    _told: Told = field(default_factory=Told)  # just now
    _has_forgotten: bool = False  # since all was told last
    _lost: dict[int, Message] = field(default_factory=dict)  # of these, with the run before

    def __post_init__(self) -> None:
        self._teller = Teller(self.cache, self.store)

    async def note(self, arrears: Sequence[Arrear], *recalled: Message) -> None:
        """Note these and `tell`. Raises StoreUnavailable, with nothing noted for sure."""
        await self.store.note_arrears(arrears)
        await self.tell(*recalled)

    async def tell(self, *recalled: Message) -> None:
        """Return when the cache was told what is noted, or when nobody reads it.

        Whoever reaches it later reads the notes first. That takes the store, which may be lost as
        well by now, while others still read the cache: so it is told of these, which are noted,
        without it.
        """
        self._owe(recalled)
        if not await self.breaker.try_now():
            await asyncio.sleep(GRACE_S)

    async def bring(self, messages: Sequence[Message]) -> None:
        """Have accepted messages told to the cache: now if it answers, else once it does.

        It may be told of them before it is told the rest: they only add to what it shows. Where it
        was lost just now, return when it is told, or when every process has found out.
        """
        self._owe(messages)
        if self._in_reach:
            try:
                await self._tell_late()
            except (CacheUnavailable, StoreUnavailable):
                self.breaker.trip()
        left_s = self.breaker.opened_s + GRACE_S - asyncio.get_running_loop().time()
        if left_s > 0 and not self.breaker.is_closed:  # others may still read the cache
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(left_s):
                    await self.breaker.try_now()

    def _owe(self, messages: Sequence[Message]) -> None:
        for message in messages:
            self._late.put(message)
            if message.client_msg_id is not None:
                key = (message.from_user_id, message.client_msg_id)
                self._claims[key] = Claim(message.id, message.body_hash)
        while (oldest := self._late.excess()) is not None:
            self._note_forgetting("late")
            self._forget(oldest)

    def _note_forgetting(self, kind: str) -> None:
        """The log or the store has what is late; the cache itself has what it was told."""
        if not self._has_forgotten:
            self._has_forgotten = True
            logger.error(
                "more is owed to the cache than may be kept: the oldest is forgotten",
                extra={"action": "arrears.forgotten", "kind": kind},
            )

    def remember(self, messages: Sequence[Message]) -> None:
        """Keep for some seconds what the cache was told, and nobody else has confirmed.

        In the order in which it was told; a recall as its tombstone.
        """
        now_s = asyncio.get_running_loop().time()
        if not self._told.put(now_s, messages, keep_from_s=now_s - UNWRITTEN_S):
            self._note_forgetting("told")

    def claim_of(self, user_id: int, client_msg_id: str) -> Claim | None:
        """The send of this process that the cache has not been told of yet."""
        return self._claims.get((user_id, client_msg_id))

    @property
    def _nothing_noted(self) -> bool:
        """Tell whether the store was away before the cache was lost, so that it has no notes."""
        store = self.store.breaker
        return not store.is_closed and store.opened_s <= self.breaker.opened_s

    async def look(self) -> None:
        """Raises CacheUnavailable unless the cache takes a write: one that does not is stale.

        And for one that was started again, as soon as the store can tell what it may lack.
        """
        run = await self._probe(self._name)
        if (self._lost or not run.is_settled) and not self._nothing_noted:
            self.breaker.trip()
            raise CacheUnavailable("it was started again")

    def watch(self, *, name: str | None = None) -> None:
        """Look all the time, so that no process goes on with a cache that another has lost.

        A process with a name is missed by the others when it does not: see `MessageCache.probe`.
        """
        self._name = name
        self.breaker.watch(self.look, every_s=HEARTBEAT_S, longest_s=HEARTBEAT_S + SLEPT_S)

    async def leave(self) -> None:
        """Look no more. Not missed by anybody unless something is owed."""
        await self.breaker.close()
        if self._name is not None and not self._late and not self._lost:
            with contextlib.suppress(CacheUnavailable):
                await self.cache.leave(self._name)

    async def settle(self) -> None:
        """Tell the cache everything that is owed. Raises CacheUnavailable, StoreUnavailable."""
        run = await self._probe()
        recalled = [] if run.is_settled else await self.cache.drop_copies()
        if run.id != self._run:
            self._lost |= self._told_before(self.breaker.opened_s)
            self._run = run.id
        await self._tell_late()
        try:
            async with asyncio.timeout(STORE_S):
                await self._teller.tell_noted()
            await self._tell_again()
            if not run.is_settled:
                await self._teller.tell_what_became_of(recalled)
        except (StoreUnavailable, TimeoutError) as error:
            if not self._nothing_noted:
                raise StoreUnavailable from error
            if not run.is_settled:
                return  # until the store is back it only takes messages: see `look`
        was_away = not self.breaker.is_closed
        if was_away or not run.is_settled:
            await self.cache.begin_epoch(run.id, returned=was_away)

    async def _probe(self, present: str | None = None) -> CacheRun:
        try:
            run = await self.cache.probe(present)
        except CacheUnavailable:
            self._in_reach = False
            self.breaker.trip()
            raise
        self._in_reach, self.has_held = True, run.has_held
        if self._seen_run not in (None, run.id):
            self._started_s = asyncio.get_running_loop().time()
        self._seen_run = run.id
        return run

    @property
    def claims_may_be_lost(self) -> bool:
        """Whether the cache was away or started again just now, so that a retry may look new."""
        known_s = max(self.breaker.closed_s + TOLD_S, self._started_s + CLAIMS_S)
        return asyncio.get_running_loop().time() < known_s

    def _told_before(self, moment_s: float) -> dict[int, Message]:
        """What may not have been in the file of the run that ended then."""
        return {message.id: message for message in self._told.since(moment_s - UNWRITTEN_S)}

    async def _tell_late(self) -> None:
        """Those that are stored by now as rows, the others as they were accepted."""
        while late := self._late.first(AT_ONCE):
            try:
                async with asyncio.timeout(ROWS_S):
                    rows = await self._teller.rows_of(late)
            except (StoreUnavailable, TimeoutError):
                rows = {}
            await self._teller.tell_messages(late, rows)
            for message in late:
                self._forget(message)
            logger.info(
                "told the cache late",
                extra={"action": "arrears.brought", "count": len(late), "stored": len(rows)},
            )
        self._has_forgotten = False

    async def _tell_again(self) -> None:
        """By the store's word: what was accepted with this content may have been recalled since."""
        while lost := list(self._lost.values())[:AT_ONCE]:
            rows = await self._teller.rows_of(lost)
            # A repeat that the cache alone had is in no log that would bring it to the store.
            await self._teller.fold(await self._teller.tell_messages(lost, rows))
            for message in lost:
                del self._lost[message.id]
            logger.info(
                "told the cache again", extra={"action": "arrears.again", "count": len(lost)}
            )

    def _forget(self, message: Message) -> None:
        self._late.drop(message.id)
        if message.client_msg_id is not None:
            self._claims.pop((message.from_user_id, message.client_msg_id), None)
