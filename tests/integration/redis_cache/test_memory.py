"""Test a Redis that evicts keys, that is full, and that has lost all keys."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import redis
from msgspec.structs import replace

from messaging.cache import keys
from messaging.cache.redis_cache import RedisMessageCache
from messaging.domain.backend_errors import CacheUnavailable
from messaging.domain.message import Message, Recall
from messaging.ports.cached import CachedTail
from messaging.ports.listings import CachedListing
from tests.contract.cache.lists import by_name, entries_of, fill, group, private, seat
from tests.integration.redis_cache.opened import load, row, tail
from tests.support.messages import FIRST_ID, make_message


class TestEviction:
    """`volatile-lru` may evict any single key with a TTL."""

    async def test_of_the_list_is_noticed_by_the_next_reader(
        self, cache: RedisMessageCache, server: redis.Redis
    ) -> None:
        await load(cache, row(1), row(2, 2))
        server.delete("msg:conv:1_2")

        assert await tail(cache) == CachedTail()
        await load(cache, row(1), row(2, 2))
        assert (await tail(cache)).total == 2

    async def test_of_the_list_is_noticed_by_the_next_send(
        self, cache: RedisMessageCache, server: redis.Redis
    ) -> None:
        await load(cache, row(1), row(2, 2))
        server.delete("msg:conv:1_2")

        await cache.accept([make_message(3)], None)

        assert (await tail(cache)).floor is None

    async def test_of_the_list_is_noticed_by_the_next_stored_row(
        self, cache: RedisMessageCache, server: redis.Redis
    ) -> None:
        await load(cache, row(1), row(2, 2))
        server.delete("msg:conv:1_2")

        await cache.mark_stored([row(3, 3)])

        assert (await tail(cache)).floor is None

    async def test_of_the_list_is_noticed_by_a_fill_under_way(
        self, cache: RedisMessageCache, server: redis.Redis
    ) -> None:
        token = await cache.begin_fill("1_2")
        await cache.accept([make_message(1)], None)
        await cache.mark_stored([row(1)])
        server.delete("msg:conv:1_2")

        # The store was read before the list was lost.
        await cache.fill("1_2", str(token), [], floor=0, base=0)

        assert (await tail(cache)).floor is None

    async def test_of_the_loaded_mark_costs_a_fill(
        self, cache: RedisMessageCache, server: redis.Redis
    ) -> None:
        await load(cache, row(1))
        server.delete("msg:conv:loaded:1_2")
        assert (await tail(cache)).floor is None

        await cache.accept([make_message(2)], None)
        await load(cache, row(1))

        seen = await tail(cache)
        assert (seen.floor, seen.total) == (0, 2)

    async def test_of_details_leaves_ids_behind(
        self, cache: RedisMessageCache, server: redis.Redis
    ) -> None:
        await load(cache, row(1), row(2, 2))
        server.delete(f"msg:detail:{FIRST_ID + 1}")

        seen = await tail(cache)

        assert (seen.missing, seen.floor, seen.total) == ((FIRST_ID + 1,), 0, 2)

    async def test_an_unreadable_detail_counts_as_missing(
        self, cache: RedisMessageCache, server: redis.Redis
    ) -> None:
        await load(cache, row(1))
        server.set(f"msg:detail:{FIRST_ID + 1}", b"\xff{")

        assert (await tail(cache)).missing == (FIRST_ID + 1,)
        assert await cache.get([FIRST_ID + 1]) == {}

    async def test_an_unreadable_participant_costs_a_fill(
        self, cache: RedisMessageCache, server: redis.Redis
    ) -> None:
        await fill(cache, [group(), private()])
        server.hset("msg:mine:1", "g7", b"\xff{")
        assert await cache.listing(1) == CachedListing()
        await fill(cache, [group(), private()])
        assert await entries_of(cache) == by_name([group(), private()])

    async def test_an_unreadable_participant_ends_with_the_next_change(
        self, cache: RedisMessageCache, server: redis.Redis
    ) -> None:
        await fill(cache, [group()])
        server.hset("msg:mine:1", "g7", b"\xff{")
        await cache.raise_participants([seat("g7")])
        assert await entries_of(cache) == by_name([group()])


class TestFullMemory:
    @pytest.fixture
    async def full(
        self, cache: RedisMessageCache, server: redis.Redis
    ) -> AsyncIterator[list[Message]]:
        """Fill Redis with pending messages; none of them may be evicted."""
        await load(cache)
        messages = [make_message(n, content="x" * 4_000, client_msg_id=f"k{n}") for n in range(400)]
        for first in range(0, 400, 100):
            await cache.accept(messages[first : first + 100], None)
        await cache.set_recall_mark(messages[0].id, Recall(5))
        server.config_set("maxmemory", server.info("memory")["used_memory"] - 200_000)
        yield messages
        server.config_set("maxmemory", 0)

    async def test_refuses_a_send_and_writes_nothing_of_it(
        self, cache: RedisMessageCache, full: list[Message], server: redis.Redis
    ) -> None:
        with pytest.raises(CacheUnavailable):
            await cache.accept([make_message(9_999, client_msg_id="new")], None)

        assert await cache.pending_count() == 400
        assert server.exists("msg:dedupe:1:new", f"msg:detail:{FIRST_ID + 9_999}") == 0
        assert len(await cache.get([m.id for m in full])) == 400

    async def test_is_freed_by_marking_messages_as_stored(
        self, cache: RedisMessageCache, full: list[Message]
    ) -> None:
        first, *others = [replace(m, seq=n) for n, m in enumerate(full, 1)]

        await cache.mark_stored([first.recalled(5)])
        for start in range(0, len(others), 100):
            await cache.mark_stored(others[start : start + 100])

        assert await cache.pending_count() == 0
        assert await cache.recall_marks([first.id]) == {}
        cached = await cache.get([m.id for m in full])
        assert first.id not in cached or cached[first.id].content == ""
        await cache.accept([make_message(9_999)], None)

    async def test_does_not_hinder_compensation(
        self, cache: RedisMessageCache, full: list[Message]
    ) -> None:
        assert await cache.take_lease("lease:compensation", "me", 60)
        assert await cache.take_lease("lease:compensation", "me", 60)
        assert await cache.count_attempt(full[:2]) == {full[0].id: 1, full[1].id: 1}
        first = replace(make_message(1_000, client_msg_id="k1"), seq=1)
        await cache.mark_duplicates({full[1].id: first})
        await cache.dead_letter([full[2]])

        assert await cache.pending_count() == 398

    async def test_never_leaves_a_hole_in_a_loaded_list(
        self, cache: RedisMessageCache, full: list[Message]
    ) -> None:
        await cache.mark_stored([row(200_000)])  # this message was never accepted by the cache

        seen = await cache.cached_tail("1_2", reader_id=1, before=None, limit=1)
        assert seen.floor is None or FIRST_ID + 200_000 in seen.missing


class TestAnEmptiedRedis:
    async def test_is_noticed_by_readers_for_a_while(
        self, cache: RedisMessageCache, server: redis.Redis
    ) -> None:
        assert not (await tail(cache)).recovering
        server.flushall()
        assert (await tail(cache)).recovering
        seen = await cache.heartbeat()
        assert not seen.is_recovered
        await cache.note_recovered(seen.id, returned=False)
        assert (await tail(cache)).recovering
        server.hset(keys.INCARNATION, "complete_from", int(server.time()[0]) - 3)
        assert (await cache.heartbeat()).is_recovered
        assert not (await tail(cache)).recovering
