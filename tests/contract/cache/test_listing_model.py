"""Test, in any order of events, that a list lacks no change that was told or that a loss covers.

Changes of the database, the calls that tell of them, readers who fill, evictions, restarts and lost
processes take turns at random, over the cache in memory and over a real Redis. The model says after
every step what each list must have at least, and that no list is ahead of the database.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import redis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import astuple, replace

from messaging.cache.redis_cache import RedisMessageCache
from messaging.conf import Settings
from messaging.domain.conversations import Entry, Head, Participant, Peer, peer_of
from messaging.domain.ids import is_group
from messaging.domain.message import Message
from messaging.ports.cache import MessageCache
from messaging.testing.cache import MemoryCache
from tests.contract.cache.events import Events, events_of
from tests.support.messages import make_message
from tests.support.real_services import empty_server

USERS = (1, 2)
NAMES = ("1_2", "1_1", "g7")
STEPS = (
    "read a conversation",
    "get a message",
    "store a message",
    "store a message",
    "join",
    "leave",
    "tell",
    "tell",
    "tell",
    "lose a call",
    "list",
    "list",
    "begin to fill",
    "read the database",
    "read the database",
    "fill",
    "evict a list",
    "evict a head",
    "age a list",
    "save the file",
    "restart",
)
Seat = tuple[int, str]
Tell = Callable[[], Awaitable[None]]


@dataclass
class State:
    """Hold participants and heads, as the database has them or as every list has them at least."""

    participants: dict[Seat, Participant] = field(default_factory=dict)
    heads: dict[str, Head] = field(default_factory=dict)

    def copy(self) -> State:
        return State(dict(self.participants), dict(self.heads))

    def entries(self, user_id: int) -> list[Entry]:
        return [self.entry(each) for each in self.participants.values() if each.user_id == user_id]

    def entry(self, participant: Participant) -> Entry:
        name = participant.conversation_id
        peer_id = peer_of(name, participant.user_id)
        other = None if peer_id is None else self.participants.get((peer_id, name))
        peer = None if peer_id is None else Peer()
        if other is not None:
            peer = other.position
        return Entry(participant=participant, head=self.heads.get(name, Head()), peer=peer)


@dataclass
class Reader:
    """Keep the state of a reader who found no list and is filling one."""

    user_id: int
    token: str
    entries: list[Entry] | None = None


@dataclass
class ListWorld:
    """Hold the database, the lower bound of all lists, and the calls that are under way."""

    cache: MessageCache
    events: Events
    file: Any
    truth: State = field(default_factory=State)
    least: State = field(default_factory=State)
    calls: list[Tell] = field(default_factory=list)
    readers: list[Reader] = field(default_factory=list)

    async def step(self, name: str, number: int) -> None:
        await getattr(self, "_" + name.replace(" ", "_"))(number)
        await self.check()

    async def _read_a_conversation(self, number: int) -> None:
        if (seat := self._seat(number)) is not None:
            known = self.truth.participants[seat]
            read_seq = known.read_seq + 1
            delivered_seq = max(known.delivered_seq, read_seq)
            self._change(
                replace(known, rev=known.rev + 1, read_seq=read_seq, delivered_seq=delivered_seq)
            )

    async def _get_a_message(self, number: int) -> None:
        if (seat := self._seat(number)) is not None:
            known = self.truth.participants[seat]
            self._change(replace(known, delivered_seq=known.delivered_seq + 1))

    async def _store_a_message(self, number: int) -> None:
        name = NAMES[number % len(NAMES)]
        head = self.truth.heads.get(name, Head())
        changed = number % 3 == 0
        row = replace(
            make_message(number % 7 + 3 * head.last_seq),
            conversation_id=name,
            seq=head.last_seq + 1,
            rev=head.last_rev + 1 if changed else 0,
        )
        self.truth.heads[name] = _risen(head, row)
        begins = row.seq == 1 and not is_group(name)
        if begins:
            for user_id in {int(each) for each in name.split("_")}:
                seat = (user_id, name)
                self.truth.participants[seat] = Participant(user_id=user_id, conversation_id=name)
        seats = [seat for seat in self.truth.participants if seat[1] == name]

        async def tell() -> None:
            await self.cache.mark_stored([row])
            self.least.heads[name] = _risen(self.least.heads.get(name, Head()), row)
            if begins:
                self._told(seats)

        self.calls.append(tell)

    async def _join(self, number: int) -> None:
        self._move(number, is_in=True)

    async def _leave(self, number: int) -> None:
        self._move(number, is_in=False)

    def _move(self, number: int, *, is_in: bool) -> None:
        seat = USERS[number % len(USERS)], "g7"
        new = Participant(user_id=seat[0], conversation_id=seat[1])
        known = self.truth.participants.get(seat, new)
        self.truth.participants[seat] = changed = replace(known, rev=known.rev + 1, is_in=is_in)

        async def tell() -> None:
            await self.cache.forget_listings([seat[0]])
            self._told([seat], at_least=changed)

        self.calls.append(tell)

    def _change(self, changed: Participant) -> None:
        seat = changed.user_id, changed.conversation_id
        self.truth.participants[seat] = changed

        async def tell() -> None:
            await self.cache.raise_participants([changed])
            self._told([seat], at_least=changed)

        self.calls.append(tell)

    def _told(self, seats: Any, at_least: Participant | None = None) -> None:
        for seat in seats:
            told = at_least or Participant(user_id=seat[0], conversation_id=seat[1])
            known = self.least.participants.get(seat, told)
            self.least.participants[seat] = max(known, told, key=_rank)

    async def _tell(self, number: int) -> None:
        if self.calls:
            await self.calls.pop(number % len(self.calls))()

    async def _lose_a_call(self, number: int) -> None:
        """Lose a call whose process finds the cache again, which then knows of a loss."""
        if self.calls:
            self.calls.pop(number % len(self.calls))
            await self.cache.note_recovered((await self.cache.heartbeat()).id, returned=True)
            await self.events.pass_recovery()
            self.least = self.truth.copy()

    async def _list(self, number: int) -> None:
        """Fill a list without a break, as most readers do."""
        user_id = USERS[number % len(USERS)]
        if (token := (await self.cache.listing(user_id)).token) is not None:
            await self.cache.fill_listing(user_id, token, self.truth.entries(user_id))

    async def _begin_to_fill(self, number: int) -> None:
        user_id = USERS[number % len(USERS)]
        if (token := (await self.cache.listing(user_id)).token) is not None:
            self.readers.append(Reader(user_id, token))

    async def _read_the_database(self, number: int) -> None:
        for reader in self.readers[number % 2 :]:
            if reader.entries is None:
                reader.entries = self.truth.entries(reader.user_id)

    async def _fill(self, number: int) -> None:
        ready = [reader for reader in self.readers if reader.entries is not None]
        if ready:
            reader = ready[number % len(ready)]
            self.readers.remove(reader)
            assert reader.entries is not None
            await self.cache.fill_listing(reader.user_id, reader.token, reader.entries)

    async def _evict_a_list(self, number: int) -> None:
        await self.events.evict_listing(USERS[number % len(USERS)])

    async def _evict_a_head(self, number: int) -> None:
        await self.events.evict_head(NAMES[number % len(NAMES)])

    async def _age_a_list(self, number: int) -> None:
        user_id = USERS[number % len(USERS)]
        if (await self.cache.listing(user_id)).entries is not None:
            await self.events.age_listing(user_id, 61)

    async def _save_the_file(self, number: int) -> None:
        self.file = await self.events.file()

    async def _restart(self, number: int) -> None:
        """Lose the writes since the file, and every call that is under way."""
        await self.events.restart(self.file)
        await self.cache.note_recovered((await self.cache.heartbeat()).id, returned=False)
        await self.events.pass_recovery()
        self.calls.clear()
        self.least = self.truth.copy()

    def _seat(self, number: int) -> Seat | None:
        seats = sorted(self.truth.participants)
        return seats[number % len(seats)] if seats else None

    async def check(self) -> None:
        for user_id in USERS:
            seen = (await self.cache.listing(user_id)).entries
            if seen is not None:
                self._check(user_id, seen.values())

    def _check(self, user_id: int, seen: Any) -> None:
        entries = {entry.conversation_id: entry for entry in seen}
        least = {entry.conversation_id: entry for entry in self.least.entries(user_id)}
        truth = {entry.conversation_id: entry for entry in self.truth.entries(user_id)}
        assert least.keys() <= entries.keys() <= truth.keys()
        for name, entry in entries.items():
            if name in least:
                assert _rank(least[name].participant) <= _rank(entry.participant)
            assert _rank(entry.participant) <= _rank(truth[name].participant)
            low = self.least.entry(entry.participant)
            facts = zip(_facts(low), _facts(entry), _facts(truth[name]), strict=True)
            assert all(floor <= fact <= top for floor, fact, top in facts)

    async def settle(self) -> None:
        """Tell of everything, read every list anew, and check that each one is the database's."""
        for call in self.calls:
            await call()
        for user_id in USERS:
            await self.cache.forget_listings([user_id])
            for _ in range(2):
                seen = await self.cache.listing(user_id)
                if seen.token is not None:
                    entries = self.truth.entries(user_id)
                    await self.cache.fill_listing(user_id, seen.token, entries)
            entries_by_name = {entry.conversation_id: entry for entry in entries}
            assert (await self.cache.listing(user_id)).entries == entries_by_name


def _risen(head: Head, row: Message) -> Head:
    assert row.seq is not None
    return Head(
        last_seq=max(head.last_seq, row.seq),
        last_rev=max(head.last_rev, row.rev),
        last_id=max(head.last_id, row.id),
    )


def _rank(participant: Participant) -> tuple[int, int]:
    return participant.rev, participant.delivered_seq


def _facts(entry: Entry) -> tuple[int, ...]:
    """Return the numbers of an entry that never sink, without those of the participant."""
    peer, head = entry.peer or Peer(), entry.head
    return (head.last_seq, head.last_rev, head.last_id, *astuple(peer))


steps = st.lists(st.tuples(st.sampled_from(STEPS), st.integers(0, 60)), min_size=30, max_size=100)


async def play(cache: MessageCache, events: Events, turns: list[tuple[str, int]]) -> None:
    world = ListWorld(cache, events, await events.file())
    for name, number in turns:
        await world.step(name, number)
    await world.settle()


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(steps)
async def test_in_memory(turns: list[tuple[str, int]]) -> None:
    cache = MemoryCache()
    await play(cache, events_of(cache, None), turns)


@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
@given(turns=steps)
async def test_in_redis(redis_url: str, turns: list[tuple[str, int]]) -> None:
    cache = RedisMessageCache(
        Settings(redis_url=redis_url, event_log_url="", redis_timeout_s=5.0, send_rate=0)
    )
    try:
        with redis.Redis.from_url(redis_url, decode_responses=True) as server:
            empty_server(redis_url)
            await play(cache, events_of(cache, server), turns)
    finally:
        await cache.close()
