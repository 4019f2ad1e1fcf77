"""Test the cache's scripts: loading, calls beside each other, a clock that is set back."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable

import redis
from msgspec.structs import replace

from messaging.cache import keys
from messaging.cache.listing import RAISED_AT_ONCE
from messaging.cache.marking import MARKED_AT_ONCE
from messaging.cache.redis_cache import RedisMessageCache
from messaging.conf import Settings
from messaging.domain.conversations import Entry
from messaging.domain.message import ChatType
from messaging.ports.cached import RateLimited, SharedRate
from messaging.ports.listings import MOST_LISTED
from tests.contract.cache.lists import USER, head, seat
from tests.integration.redis_cache.opened import load, open_cache, row, tail
from tests.support.messages import make_message


class TestScripts:
    async def test_shorten_a_long_list_a_part_at_a_time(
        self, cache: RedisMessageCache, server: redis.Redis
    ) -> None:
        messages = [make_message(n) for n in range(1_300)]
        for first in range(0, 1_300, 325):
            await cache.accept(messages[first : first + 325], None)
        for first in range(0, 1_300, 325):
            part = messages[first : first + 325]
            await cache.mark_stored([replace(m, seq=n) for n, m in enumerate(part, first + 1)])
        lengths = []
        for n in range(1_300, 1_304):
            await cache.accept([make_message(n)], None)
            lengths.append(server.llen("msg:conv:1_2"))

        assert lengths == [1_201, 1_102, 1_003, 1_000]

    async def test_are_sent_again_where_redis_lost_them(
        self, cache: RedisMessageCache, server: redis.Redis
    ) -> None:
        await cache.accept([make_message(1)], None)
        server.script_flush()

        await cache.accept([make_message(2)], None)
        await cache.accept([make_message(3)], None)

        assert await cache.pending_count() == 3
        calls = server.info("commandstats")
        assert calls["cmdstat_eval"]["calls"] >= 1
        assert len((await tail(cache)).messages) == 3

    async def test_run_once_a_call_without_their_text(
        self, cache: RedisMessageCache, server: redis.Redis
    ) -> None:
        await cache.accept([make_message(1)], None)
        server.config_resetstat()

        await cache.accept([make_message(2), make_message(3, to_id=4)], None)

        calls = server.info("commandstats")
        assert calls["cmdstat_evalsha"]["calls"] == 1
        assert "cmdstat_eval" not in calls

    async def test_mark_a_long_backlog_with_few_commands_and_never_for_long(
        self, cache: RedisMessageCache, server: redis.Redis
    ) -> None:
        """All pending messages are in a loaded list, and are found in it, but not one by one."""
        await load(cache)
        rows = [row(n, n + 1) for n in range(1_000)]
        for first in range(0, 1_000, 250):
            await cache.accept([make_message(n) for n in range(first, first + 250)], None)
        server.config_resetstat()

        await cache.mark_stored(rows)

        calls = {name: stats["calls"] for name, stats in server.info("commandstats").items()}
        assert calls["cmdstat_evalsha"] == 1_000 / MARKED_AT_ONCE
        assert sum(calls.values()) < 1.5 * len(rows)
        seen = await tail(cache)
        assert (seen.total, len(seen.messages)) == (1_000, 100)
        cached = await cache.get([m.id for m in rows])
        assert [cached[m.id].seq for m in rows] == list(range(1, 1_001))

    async def test_guard_groups_with_one_command_a_message_and_private_chats_with_none(
        self, cache: RedisMessageCache, server: redis.Redis
    ) -> None:
        private = [make_message(n) for n in range(1, 4)]
        group = [make_message(n, chat_type=ChatType.GROUP) for n in range(11, 17)]
        await cache.accept([make_message(7), make_message(8, chat_type=ChatType.GROUP)], None)

        async def commands(call: Awaitable[object]) -> Counter[str]:
            server.config_resetstat()
            await call
            stats = server.info("commandstats")
            return Counter({name.removeprefix("cmdstat_"): s["calls"] for name, s in stats.items()})

        assert (await commands(cache.accept(private, None)))["zmscore"] == 0
        plain = await commands(cache.accept(group[:3], None))
        judged = await commands(cache.accept(group[3:], None, asked_after=[0] * 3))
        assert judged - plain == Counter(zmscore=3, time=1)
        assert (await commands(tail(cache)))["zmscore"] == 0
        ids = [m.id for m in private]
        assert (await commands(cache.reader_view(ids, reader_id=1)))["zmscore"] == 0
        ids += [m.id for m in group]
        assert (await commands(cache.reader_view(ids, reader_id=1)))["zmscore"] == 1

    async def test_read_a_list_with_two_commands_a_conversation(
        self, cache: RedisMessageCache, server: redis.Redis
    ) -> None:
        entries = [Entry(participant=seat(f"g{n}"), head=head(n)) for n in range(1, MOST_LISTED)]
        token = (await cache.listing(USER)).token
        assert token is not None
        server.config_resetstat()
        await cache.fill_listing(USER, token, entries)
        filled = server.info("commandstats")
        assert filled["cmdstat_evalsha"]["calls"] == MOST_LISTED / RAISED_AT_ONCE + 1
        assert sum(stats["calls"] for stats in filled.values()) < 3 * len(entries) + 100

        server.config_resetstat()
        assert len((await cache.listing(USER)).entries or {}) == len(entries)
        read = {name: stats["calls"] for name, stats in server.info("commandstats").items()}
        assert read["cmdstat_evalsha"] == 1
        assert sum(read.values()) < 2 * len(entries) + 10

    async def test_tell_a_list_of_stored_messages_with_three_commands_a_conversation(
        self, cache: RedisMessageCache, server: redis.Redis
    ) -> None:
        rows = [replace(row(n, 2), conversation_id=f"g{n % 10}") for n in range(100)]
        server.config_resetstat()
        await cache.mark_stored(rows)
        calls = {name: stats["calls"] for name, stats in server.info("commandstats").items()}
        assert calls["cmdstat_hset"] == 10
        assert calls["cmdstat_hmget"] == 10 + 1  # and one for the start of the server


class TestConcurrency:
    async def test_one_of_many_sends_with_one_client_msg_id_wins(self, redis_url: str) -> None:
        caches = [open_cache(redis_url) for _ in range(4)]
        messages = [make_message(n, client_msg_id="k") for n in range(40)]

        answers = await asyncio.gather(
            *(caches[n % 4].accept([m], None) for n, m in enumerate(messages))
        )

        records = [record for (record,) in answers]
        assert records.count(None) == 1
        winner = messages[records.index(None)]
        assert {c.message_id for c in records if c is not None} == {winner.id}
        assert await caches[0].pending_count() == 1
        for each in caches:
            await each.close()

    async def test_more_calls_than_connections_wait_their_turn(
        self, cache: RedisMessageCache
    ) -> None:
        await cache.accept([make_message(n) for n in range(50)], None)

        seen = await asyncio.gather(*(tail(cache) for _ in range(300)))

        assert all(len(each.messages) == 50 for each in seen)


class TestAServerClockThatIsSetBack:
    """The clock is set back by ten minutes, so earlier writes bear a time to come."""

    STEP_S = 600

    async def test_limits_no_sender_for_what_was_sent_before(
        self, redis_url: str, server: redis.Redis
    ) -> None:
        settings = Settings(redis_url=redis_url, event_log_url="", send_rate=2, send_burst=3)
        cache = RedisMessageCache(settings)
        server.set("msg:rate:1", (int(server.time()[0]) + self.STEP_S) * 1_000_000)
        assert await cache.accept([make_message(n) for n in range(3)], None) == [None] * 3
        (verdict,) = await cache.accept([make_message(4)], None)
        assert isinstance(verdict, RateLimited)
        assert verdict.wait_s <= 0.5
        await cache.close()

    async def test_limits_nobody_for_passwords_that_were_tried_before(
        self, cache: RedisMessageCache, server: redis.Redis
    ) -> None:
        rate = SharedRate("login-name", "x", rate=2, burst=3)
        await cache.take_rates([rate])
        (key,) = server.keys("msg:rate:login-name:*")
        server.set(key, (int(server.time()[0]) + self.STEP_S) * 1_000_000)
        assert [await cache.take_rates([rate]) for _ in range(3)] == [0, 0, 0]
        assert 0 < await cache.take_rates([rate]) <= 0.5

    async def test_does_not_keep_pages_partial(
        self, cache: RedisMessageCache, server: redis.Redis
    ) -> None:
        await cache.note_recovered((await cache.heartbeat()).id, returned=False)
        server.hset(keys.INCARNATION, "complete_from", int(server.time()[0]) + self.STEP_S)
        await cache.heartbeat()
        complete_from = server.hget(keys.INCARNATION, "complete_from")
        assert int(complete_from or 0) <= int(server.time()[0])
        # For some seconds, since nobody can tell when the server started.
        assert (await tail(cache)).recovering

    async def test_does_not_hide_that_a_process_is_missed(
        self, cache: RedisMessageCache, server: redis.Redis
    ) -> None:
        await cache.note_recovered((await cache.heartbeat("alive")).id, returned=False)
        now_s = int(server.time()[0])
        server.hset(keys.INCARNATION, "complete_from", now_s - 60)
        server.zadd(keys.HEARTBEATS, {"dead": now_s + self.STEP_S, "alive": now_s + self.STEP_S})
        async with asyncio.timeout(5):
            while server.zscore(keys.HEARTBEATS, "dead") is not None:
                await cache.heartbeat("alive")
                await asyncio.sleep(0.1)
        assert (await tail(cache)).recovering
        assert server.zscore(keys.HEARTBEATS, "alive") is not None

    async def test_keeps_no_lease_for_longer_than_its_life(
        self, cache: RedisMessageCache, server: redis.Redis
    ) -> None:
        await cache.take_lease("lease:compensation", "dead", self.STEP_S)
        assert not await cache.take_lease("lease:compensation", "me", 0.2)
        async with asyncio.timeout(5):
            while not await cache.take_lease("lease:compensation", "me", 0.2):
                await asyncio.sleep(0.05)
