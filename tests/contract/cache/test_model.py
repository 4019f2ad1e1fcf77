"""Test, in any order of events, that a list has no hole, its total is exact and recalls hold.

Senders, consumers, readers and memory pressure take turns at random around one conversation, over
the cache in memory and over a real Redis. The model says after every step what a reader must see.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import redis
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from messaging.cache.redis_cache import RedisMessageCache
from messaging.conf import Settings
from messaging.domain.message import Message, Recall
from messaging.ports.cache import MessageCache
from messaging.ports.cached import CachedTail
from messaging.ports.store import Tail
from messaging.testing.cache import MemoryCache
from messaging.testing.store import MemoryStore
from tests.support.messages import FIRST_ID, make_message

CONVERSATION = "1_2"
STEPS = (
    "send",
    "send",
    "send past the cache",
    "accept late",
    "store",
    "store",
    "mark",
    "mark",
    "mark again",
    "begin to fill",
    "read the tail",
    "fill",
    "read a page",
    "recall",
    "count_attempt",
    "deduplicate",
    "evict the list",
    "evict the mark",
    "evict details",
    "let time pass",
)
Evict = Callable[[str], None]


@dataclass
class Reader:
    """Keep the state of a reader who found nothing loaded and is filling the list."""

    token: str
    limit: int
    tail: Tail | None = None


@dataclass
class ModelWorld:
    """Hold the true state of one conversation, and the readers that are in the middle of a fill."""

    cache: MessageCache
    evict: Evict
    store: MemoryStore = field(default_factory=MemoryStore)
    # Messages that the log will bring to the store.
    sent: dict[int, Message] = field(default_factory=dict)
    # Messages that were in the cache before they were in the store.
    accepted: set[int] = field(default_factory=set)
    unmarked: dict[int, Message] = field(default_factory=dict)
    recalled: set[int] = field(default_factory=set)
    readers: list[Reader] = field(default_factory=list)
    pressed: bool = False  # memory pressure may have taken the list of an older pending message
    # Messages for which no call can be under way any more.
    old: set[int] = field(default_factory=set)

    async def step(self, name: str, number: int) -> None:
        await getattr(self, "_" + name.replace(" ", "_"))(number)
        await self.check()

    def _new(self, number: int) -> Message:
        """Make a message whose id is a little out of order, as ids of several processes are."""
        place = FIRST_ID + 4 * len(self.sent) + 20 - number % 12
        while place in self.sent:
            place += 1
        message = make_message(place - FIRST_ID)
        self.sent[message.id] = message
        return message

    def _pick(self, number: int, among: list[int]) -> int | None:
        return sorted(among)[number % len(among)] if among else None

    async def _send(self, number: int) -> None:
        message = self._new(number)
        assert await self.cache.accept([message], None) == [None]
        self.accepted.add(message.id)

    async def _send_past_the_cache(self, number: int) -> None:
        self._new(number)

    async def _accept_late(self, number: int) -> None:
        if chosen := self._pick(number, [i for i in self.sent if i not in self.old]):
            await self.cache.accept([replace(make_message(chosen - FIRST_ID))], None)
            if chosen not in self.store.rows:
                self.accepted.add(chosen)

    async def _store(self, number: int) -> None:
        rows = self.store.rows
        waiting = [m for i, m in self.sent.items() if i not in rows or m.is_recalled]
        first = number % 3
        result = await self.store.apply(waiting[first : first + 1 + number % 4])
        self.unmarked |= {row.id: row for row in result.rows}

    async def _mark(self, number: int) -> None:
        chosen = list(self.unmarked.values())[: 1 + number % 4]
        await self.cache.mark_stored(chosen)
        for row in chosen:
            del self.unmarked[row.id]

    async def _mark_again(self, number: int) -> None:
        marked = [i for i in self.store.rows if i not in self.unmarked]
        if chosen := self._pick(number, marked):
            await self.cache.mark_stored([self.store.rows[chosen]])

    async def _begin_to_fill(self, number: int) -> None:
        token = await self.cache.begin_fill(CONVERSATION)
        if token is not None:
            self.readers.append(Reader(token, limit=1 + number % 6))

    async def _read_the_tail(self, number: int) -> None:
        for reader in self.readers:
            if reader.tail is None:
                reader.tail = await self.store.tail(CONVERSATION, limit=reader.limit)

    async def _fill(self, number: int) -> None:
        for reader in [r for r in self.readers if r.tail is not None]:
            self.readers.remove(reader)
            assert reader.tail is not None
            rows, total = reader.tail.rows, reader.tail.total
            complete = len(rows) < reader.limit
            floor = 0 if complete else rows[-1].id - 1
            base = 0 if complete else total - len(rows)
            await self.cache.fill(CONVERSATION, reader.token, rows, floor=floor, base=base)

    async def _read_a_page(self, number: int) -> None:
        before = self._pick(number, list(self.sent))
        rows = await self.store.page(CONVERSATION, before=before, limit=3)
        await self.cache.add_details(rows)

    async def _recall(self, number: int) -> None:
        known = await self.cache.get(list(self.sent)) | await self.store.get(list(self.sent))
        if chosen := self._pick(number, [i for i in known if i not in self.recalled]):
            by = number % 4 or None
            recall = await self.cache.set_recall_mark(chosen, Recall(number, by))
            tombstone = known[chosen].under(recall)
            self.sent[chosen] = replace(tombstone, seq=None)
            await self.cache.confirm_recall(tombstone)
            self.recalled.add(chosen)

    async def _count_attempt(self, number: int) -> None:
        entries = await self.cache.pending(before_ms=2**53, limit=100)
        known = await self.cache.get([entry.message_id for entry in entries])
        await self.cache.count_attempt(list(known.values()))
        self.pressed = False

    async def _deduplicate(self, number: int) -> None:
        waiting = [i for i in self.accepted if i not in self.store.rows and i not in self.recalled]
        if chosen := self._pick(number, waiting):
            first = replace(make_message(1, client_msg_id="k"), seq=1)
            await self.cache.mark_duplicates({chosen: first})
            del self.sent[chosen]
            self.accepted.discard(chosen)

    async def _evict_the_list(self, number: int) -> None:
        self._press("list")

    async def _evict_the_mark(self, number: int) -> None:
        self._press("mark")

    async def _evict_details(self, number: int) -> None:
        self._press("details")

    async def _let_time_pass(self, number: int) -> None:
        self._press("all")
        self.readers.clear()  # no reader takes half an hour

    def _press(self, what: str) -> None:
        self.pressed = True
        self.old |= set(self.sent)
        self.evict(what)

    async def check(self) -> None:
        tail = await self.cache.cached_tail(CONVERSATION, reader_id=1, before=None, limit=1_000)
        listed = [m.id for m in tail.messages] + list(tail.missing)
        assert len(listed) == len(set(listed))
        assert [m.id for m in tail.messages] == sorted(m.id for m in tail.messages)[::-1]
        self._check_recalls(tail)
        entries = await self.cache.pending(before_ms=2**53, limit=1_000)
        only_here = {e.message_id for e in entries if e.message_id not in self.store.rows}
        assert set(await self.cache.get(list(only_here))) == only_here
        if not self.pressed:
            assert only_here <= set(listed)
        marked = {i for i in self.store.rows if i not in self.unmarked}
        sure = marked | (self.accepted - self.old if self.pressed else self.accepted)
        if tail.floor is not None:
            assert {i for i in sure if i > tail.floor} <= set(listed)
            assert tail.total is not None
            assert len(sure) <= tail.total <= len(self.accepted | set(self.store.rows))

    def _check_recalls(self, tail: CachedTail) -> None:
        for message in tail.messages:
            assert message.is_recalled == (message.content == "")
            assert message.is_recalled or message.id not in self.recalled

    async def settle(self) -> None:
        """Store everything, mark it in the cache, and check."""
        await self.store.apply(list(self.sent.values()))
        await self.cache.mark_stored(list(self.store.rows.values()))
        self.unmarked.clear()
        await self.check()
        assert await self.cache.pending_count() == 0
        if token := await self.cache.begin_fill(CONVERSATION):
            self.readers[:] = [Reader(token, limit=4)]
            await self._read_the_tail(0)
            await self._fill(0)
            await self.check()


steps = st.lists(st.tuples(st.sampled_from(STEPS), st.integers(0, 60)), min_size=20, max_size=60)


# A pending message lost its list, which was filled without it; then it was stored.
STORED_AFTER_ITS_LIST_WAS_LOST = [
    *(("send", 49), ("send", 21), ("send", 28), ("store", 2), ("mark", 51)),
    *(("let time pass", 0), ("begin to fill", 19), ("read the tail", 0), ("fill", 0)),
]


async def play(cache: MessageCache, evict: Evict, turns: list[tuple[str, int]]) -> None:
    world = ModelWorld(cache, evict)
    for name, number in turns:
        await world.step(name, number)
    await world.settle()


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@example(STORED_AFTER_ITS_LIST_WAS_LOST)
@given(steps)
async def test_in_memory(turns: list[tuple[str, int]]) -> None:
    cache = MemoryCache()
    await play(cache, lambda what: cache.run_out() if what == "all" else None, turns)


def _evict(server: redis.Redis, what: str) -> None:
    """Delete the keys of this kind that `volatile-lru` may evict."""
    patterns = {
        "list": ["msg:conv:1_2"],
        "mark": ["msg:conv:loaded:1_2"],
        "details": ["msg:detail:*"],
        "all": ["msg:*"],
    }
    for pattern in patterns[what]:
        for name in server.scan_iter(pattern):
            if server.ttl(name) >= 0:
                server.delete(name)


@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
@example(turns=STORED_AFTER_ITS_LIST_WAS_LOST)
@given(turns=steps)
async def test_in_redis(redis_url: str, turns: list[tuple[str, int]]) -> None:
    cache = RedisMessageCache(
        Settings(redis_url=redis_url, event_log_url="", redis_timeout_s=5.0, send_rate=0)
    )
    try:
        with redis.Redis.from_url(redis_url) as server:
            server.flushall()
            await play(cache, lambda what: _evict(server, what), turns)
    finally:
        await cache.close()
