"""Test how the cache tells that it may lack writes, and that it is away."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from msgspec import structs

from messaging.cache.redis_cache import RedisMessageCache
from messaging.conf import Settings
from messaging.domain.backend_errors import CacheUnavailable
from messaging.domain.conversations import UnreadMemo
from messaging.domain.events import encode_message
from messaging.domain.message import Recall
from messaging.ports.cache import MessageCache
from messaging.ports.cached import CachedTail
from messaging.testing.cache import MemoryCache
from tests.contract.cache.conversation import (
    CONVERSATION,
    LEASE,
    READER,
    stored,
    tail,
)
from tests.contract.cache.lists import private, seat
from tests.support.messages import make_message


async def test_tells_every_process_for_a_while_that_a_partition_is_held(
    cache: MessageCache,
) -> None:
    assert not (await cache.heartbeat()).has_held
    await cache.note_held(0.3)
    assert (await cache.heartbeat()).has_held
    async with asyncio.timeout(5):
        while (await cache.heartbeat()).has_held:
            await asyncio.sleep(0.02)


async def test_a_heartbeat_tells_the_bytes_of_the_pending_messages(cache: MessageCache) -> None:
    message = make_message(1)
    assert (await cache.heartbeat()).pending_bytes == 0
    await cache.accept([message], LEASE)
    assert (await cache.heartbeat()).pending_bytes == len(encode_message(message))
    await cache.mark_stored([stored(message, 1)])
    assert (await cache.heartbeat()).pending_bytes == 0


class TestAReturn:
    async def test_is_told_to_readers(self, cache: MessageCache) -> None:
        seen = await cache.heartbeat()
        assert seen.is_recovered
        assert not (await tail(cache)).recovering
        assert not (await cache.reader_view([1], reader_id=READER)).recovering
        await cache.note_recovered(seen.id, returned=False)
        assert not (await tail(cache)).recovering
        await cache.note_recovered(seen.id, returned=True)

        assert (await tail(cache)).recovering
        assert (await cache.reader_view([1], reader_id=READER)).recovering

    async def test_to_another_start_is_refused(self, cache: MessageCache) -> None:
        with pytest.raises(CacheUnavailable):
            await cache.note_recovered("99", returned=True)


class TestAProcessThatAccepts:
    async def test_is_missed_when_it_says_nothing_for_a_second(self, cache: MessageCache) -> None:
        for _ in range(3):
            await cache.heartbeat("a")
            await cache.heartbeat("b")
            await asyncio.sleep(0.5)
        assert not (await tail(cache)).recovering
        await asyncio.sleep(0.1)
        await cache.heartbeat("a")
        await asyncio.sleep(0.5)
        await cache.heartbeat("a")
        assert (await tail(cache)).recovering

    async def test_is_not_missed_when_it_has_left(self, cache: MessageCache) -> None:
        await cache.heartbeat("a")
        for _ in range(2):
            await cache.deregister("a")
        await asyncio.sleep(1.1)
        await cache.heartbeat()
        assert not (await tail(cache)).recovering


class TestNothing:
    async def test_is_done_for_nothing(self, cache: MessageCache) -> None:
        assert await cache.accept([], LEASE) == []
        assert await cache.get([]) == {}
        assert await cache.recall_marks([]) == {}
        assert await cache.marked() == []
        assert await cache.count_attempt([]) == {}
        await cache.mark_stored([])
        await cache.mark_duplicates({})
        await cache.dead_letter([])
        await cache.add_details([])
        await cache.add_deletes(READER, [])
        await cache.raise_participants([])
        await cache.forget_listings([])
        await cache.note_unread(READER, {})
        assert await cache.newest_ids([]) == {}
        await cache.ping()
        assert await tail(cache) == CachedTail()

    async def test_is_told_when_the_cache_is_away(self, cache: MessageCache) -> None:
        if isinstance(cache, MemoryCache):
            cache.down = True
        else:
            cache = RedisMessageCache(
                Settings(redis_url="redis://127.0.0.1:1/0", event_log_url="", redis_timeout_s=0.5)
            )
        message = make_message(1)
        calls: list[Callable[[], Awaitable[object]]] = [
            lambda: cache.accept([message], None),
            lambda: cache.get([1]),
            lambda: cache.mark_stored([stored(message, 1)]),
            lambda: cache.mark_duplicates({2: structs.replace(message, client_msg_id="k")}),
            lambda: cache.dead_letter([message]),
            lambda: cache.set_recall_mark(1, Recall(1)),
            lambda: cache.clear_recall_mark(1, Recall(1)),
            lambda: cache.confirm_recall(message.recalled(1)),
            lambda: cache.recall_marks([1]),
            lambda: cache.marked(),
            lambda: tail(cache),
            lambda: cache.begin_fill(CONVERSATION),
            lambda: cache.fill(CONVERSATION, "ab", [message], floor=0, base=0),
            lambda: cache.add_details([message]),
            lambda: cache.add_deletes(1, [1]),
            lambda: cache.listing(1),
            lambda: cache.fill_listing(1, "0/0/1/0", [private()]),
            lambda: cache.newest_ids([CONVERSATION]),
            lambda: cache.newest_tails({CONVERSATION: 1}, reader_id=1),
            lambda: cache.raise_participants([seat(CONVERSATION)]),
            lambda: cache.forget_listings([1]),
            lambda: cache.note_unread(1, {CONVERSATION: UnreadMemo(1, 0, 0, 1)}),
            lambda: cache.pending(before_ms=1, limit=1),
            lambda: cache.pending_count(),
            lambda: cache.newest_pending(offset=0, limit=1),
            lambda: cache.count_attempt([message]),
            lambda: cache.distrust("g7", [1]),
            lambda: cache.open_floor("g7", 1),
            lambda: cache.judge(message, asked_after=0),
            lambda: cache.take_lease("x", "a", 1),
            lambda: cache.is_leased("x"),
            lambda: cache.ping(),
            lambda: cache.heartbeat(),
            lambda: cache.deregister("a"),
            lambda: cache.note_recovered("a", returned=True),
        ]
        for call in calls:
            with pytest.raises(CacheUnavailable):
                await call()
