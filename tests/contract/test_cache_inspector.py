"""Test each cache inspector: in memory, on a redis-server of our own, on the real one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest
from msgspec import structs

from messaging.cache.inspector import RedisCacheInspector
from messaging.cache.redis_cache import RedisMessageCache
from messaging.conf import Settings
from messaging.domain.backend_errors import CacheUnavailable
from messaging.domain.conversations import Floor
from messaging.domain.events import encode_message
from messaging.domain.ids import wall_clock_ms
from messaging.domain.message import Message, Recall
from messaging.ports.audit import CacheInspector, LoadedTail, PendingSet
from messaging.ports.cache import MessageCache
from messaging.ports.cached import IdempotencyRecord
from messaging.testing.cache import MemoryCache
from messaging.testing.inspectors import MemoryCacheInspector
from tests.support.deletes import know_deletes
from tests.support.messages import FIRST_ID, make_message
from tests.support.real_services import empty_database, free_port

CONVERSATION = "1_2"
RECOVERED_WITHIN_S = 20.0
MANY = 1_200  # more keys of a kind than one round trip returns


class CacheCase:
    def __init__(self, cache: MessageCache, inspector: CacheInspector) -> None:
        self.cache = cache
        self.inspector = inspector


@pytest.fixture(
    params=["memory", "embedded", pytest.param("connected", marks=pytest.mark.connected)]
)
async def case(request: pytest.FixtureRequest) -> AsyncIterator[CacheCase]:
    if request.param == "memory":
        memory = MemoryCache()
        yield CacheCase(memory, MemoryCacheInspector(memory))
        return
    if request.param == "embedded":
        url = str(request.getfixturevalue("redis_url"))
    else:
        url = empty_database()
    settings = Settings(redis_url=url, event_log_url=url, redis_timeout_s=5.0, send_rate=0)
    opened = CacheCase(RedisMessageCache(settings), RedisCacheInspector(settings))
    yield opened
    await opened.inspector.close()
    await opened.cache.close()


def stored(message: Message, seq: int) -> Message:
    return structs.replace(message, seq=seq)


async def load(case: CacheCase, rows: list[Message], *, floor: int = 0, base: int = 0) -> None:
    token = await case.cache.begin_fill(CONVERSATION)
    assert token is not None
    await case.cache.fill(CONVERSATION, token, rows, floor=floor, base=base)


async def recover(cache: MessageCache) -> None:
    """Let the cache be complete, and wait until it gives tokens for lists."""
    seen = await cache.heartbeat()
    await cache.note_recovered(seen.id, returned=False)
    async with asyncio.timeout(RECOVERED_WITHIN_S):
        while (await cache.listing(9)).token is None:
            await asyncio.sleep(0.1)
    await cache.forget_listings([9])


async def test_walks_every_detail(case: CacheCase) -> None:
    messages = [make_message(n) for n in range(MANY)]
    await case.cache.accept(messages, None)
    await case.cache.mark_stored([stored(messages[0], 1)])

    found = {each.id: each async for _, part in case.inspector.details() for each in part}

    assert found == {m.id: m for m in messages} | {messages[0].id: stored(messages[0], 1)}


async def test_walks_every_idempotency_record_whatever_its_name_is(case: CacheCase) -> None:
    names = [f"{n}: a:{n}*" for n in range(MANY)]
    messages = [make_message(n, client_msg_id=name) for n, name in enumerate(names)]
    await case.cache.accept(messages, None)

    found = dict([each async for _, part in case.inspector.idempotency_records() for each in part])

    assert found == {
        (m.from_user_id, m.client_msg_id): IdempotencyRecord(m.id, m.body_hash) for m in messages
    }


async def test_tells_what_idempotency_records_stand_for_now(case: CacheCase) -> None:
    message = make_message(1, client_msg_id="a:b")
    await case.cache.accept([message], None)

    assert await case.inspector.recorded_ids([(1, "a:b"), (1, "c")]) == {(1, "a:b"): message.id}
    assert await case.inspector.recorded_ids([]) == {}


async def test_walks_every_recall_mark(case: CacheCase) -> None:
    for number in range(3):
        await case.cache.set_recall_mark(FIRST_ID + number, Recall(9))

    found = [each async for _, part in case.inspector.recall_marks() for each in part]

    assert sorted(found) == [FIRST_ID, FIRST_ID + 1, FIRST_ID + 2]


async def test_a_loaded_tail_is_shown_with_what_is_pending_in_it(case: CacheCase) -> None:
    rows = [stored(make_message(n), n) for n in (3, 4)]
    await load(case, rows, floor=FIRST_ID + 2, base=2)
    await case.cache.accept([make_message(9)], None)

    assert [each async for _, part in case.inspector.loaded() for each in part] == [CONVERSATION]
    assert await case.inspector.tail(CONVERSATION) == LoadedTail(
        (FIRST_ID + 9, FIRST_ID + 4, FIRST_ID + 3), floor=FIRST_ID + 2, base=2
    )


async def test_an_empty_conversation_is_loaded_as_well(case: CacheCase) -> None:
    await load(case, [])

    assert await case.inspector.tail(CONVERSATION) == LoadedTail((), floor=0, base=0)


async def test_a_list_that_promises_nothing_is_no_loaded_tail(case: CacheCase) -> None:
    await case.cache.accept([make_message(1)], None)
    assert await case.inspector.tail(CONVERSATION) is None

    await case.cache.begin_fill(CONVERSATION)
    assert await case.inspector.tail(CONVERSATION) is None


async def test_says_how_far_a_walk_is(case: CacheCase) -> None:
    await case.cache.accept([make_message(n) for n in range(MANY)], None)

    told = [done async for done, _ in case.inspector.details()]

    assert told == sorted(told)
    assert told[-1] == 1.0


async def test_shows_deletes_that_are_known_to_be_complete(case: CacheCase) -> None:
    await know_deletes(case.cache, 1, [5, 6], floor=3, floors={"1_2": Floor(8, 2)})
    await case.cache.add_deletes(1, [9])
    await case.cache.add_deletes(2, [5])  # without a floor nobody knows the other deletes of user 2

    users = [each async for _, part in case.inspector.deleters() for each in part]
    shown = await case.inspector.deletes(1)

    assert sorted(users) == [1, 2]
    assert shown is not None
    assert (sorted(shown.message_ids), shown.floor) == ([5, 6, 9], 3)
    assert shown.floors == {"1_2": Floor(8, 2)}
    assert await case.inspector.deletes(2) is None
    assert await case.inspector.deletes(3) is None


async def test_forgets_a_users_deletes(case: CacheCase) -> None:
    await know_deletes(case.cache, 1, [5, 6], floor=3)

    for _ in range(2):
        await case.inspector.forget_deletes(1)

    assert await case.inspector.deletes(1) is None
    assert [each async for _, part in case.inspector.deleters() for each in part] == []


async def test_shows_who_has_a_cached_list(case: CacheCase) -> None:
    await recover(case.cache)
    for user_id in (1, 2):
        await case.cache.listing(user_id)

    users = [each async for _, part in case.inspector.listers() for each in part]

    assert sorted(users) == [1, 2]


async def test_tells_which_messages_their_lists_lack(case: CacheCase) -> None:
    listed = [make_message(1), make_message(3), make_message(1, to_id=3)]
    await case.cache.accept(listed, None)
    lacking = [make_message(2), make_message(9, to_id=7)]

    unlisted = await case.inspector.unlisted([*listed, *lacking])

    assert unlisted == [m.id for m in lacking]
    assert await case.inspector.unlisted([]) == []


async def test_tells_the_pending_ones_among_others(case: CacheCase) -> None:
    message = make_message(1)
    await case.cache.accept([message], None)

    assert await case.inspector.pending_among([message.id, 5]) == {message.id: message.send_time}
    assert await case.inspector.pending_among([]) == {}


async def test_forgets_only_what_ages(case: CacheCase) -> None:
    messages = [make_message(n) for n in range(3)]
    await case.cache.accept(messages, None)
    await case.cache.mark_stored([stored(m, m.id - FIRST_ID + 1) for m in messages[:2]])
    await case.cache.set_recall_mark(messages[1].id, Recall(9))
    await case.cache.confirm_recall(stored(messages[1], 2).recalled(9))

    for _ in range(2):
        await case.inspector.forget([m.id for m in messages])

    assert (await case.cache.get([m.id for m in messages])).keys() == {m.id for m in messages[1:]}


async def test_an_unloaded_list_keeps_what_is_pending(case: CacheCase) -> None:
    await load(case, [stored(make_message(n), n) for n in (1, 2)])
    await case.cache.accept([make_message(3)], None)

    for _ in range(2):
        await case.inspector.unload(CONVERSATION, orphans=[FIRST_ID + 2, FIRST_ID + 3])

    assert await case.inspector.tail(CONVERSATION) is None
    tail = await case.cache.cached_tail(CONVERSATION, reader_id=1, before=None, limit=10)
    assert tail.floor is None
    assert [m.id - FIRST_ID for m in tail.messages] == [3, 1]


@pytest.mark.parametrize("kind", ["memory", "redis"])
async def test_a_cache_that_is_away_is_told(kind: str) -> None:
    inspector: CacheInspector
    if kind == "memory":
        inspector = MemoryCacheInspector(MemoryCache(down=True))
    else:
        url = f"redis://127.0.0.1:{free_port()}/0"
        settings = Settings(redis_url=url, event_log_url=url)
        inspector = RedisCacheInspector(replace(settings, redis_timeout_s=0.5))
    with pytest.raises(CacheUnavailable):
        await inspector.tail(CONVERSATION)
    with pytest.raises(CacheUnavailable):
        async for _ in inspector.details():
            pass


async def test_describes_the_pending_set(case: CacheCase) -> None:
    assert await case.inspector.pending_set() == PendingSet(0, 0, None)
    messages = [make_message(n) for n in range(3)]
    await case.cache.accept(messages, None)

    pending = await case.inspector.pending_set()
    assert pending.count == 3
    assert pending.oldest_ms == messages[0].send_time
    assert pending.bytes == sum(len(encode_message(each)) for each in messages)

    await case.cache.mark_stored([stored(each, 1 + n) for n, each in enumerate(messages)])
    assert await case.inspector.pending_set() == PendingSet(0, 0, None)


async def test_reads_the_state_of_the_server(case: CacheCase) -> None:
    await case.inspector.ping()
    before_ms = wall_clock_ms()
    assert before_ms - 1 <= await case.inspector.clock_ms() <= wall_clock_ms() + 1
    server = await case.inspector.server()
    if isinstance(case.inspector, RedisCacheInspector):
        assert server.memory_bytes > 100_000
    assert (server.evicted, server.aof_delayed, server.replicas) >= (0, 0, 0)
