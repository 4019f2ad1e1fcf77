"""What only a real Redis shows: keys and their lives, eviction, full memory, stalls, forks."""

from __future__ import annotations

import asyncio
import itertools
import os
import signal
import time
import warnings
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import redis
from msgspec.structs import replace

from messaging.cache import RedisMessageCache, keys
from messaging.cache.marking import MARKED_AT_ONCE
from messaging.conf import Settings
from messaging.domain.errors import CacheUnavailable, LeaseLost
from messaging.domain.events import Message
from messaging.domain.ids import SnowflakeIdGenerator
from messaging.ports.cached import RateLimited, SharedRate, Window
from messaging.runtime.worker_lease import WorkerLeaseKeeper
from messaging.testing.store import MemoryStore
from tests.support.messages import FIRST_ID, make_message
from tests.support.real_services import free_port, running_redis

HALF_AN_HOUR = pytest.approx(1_800, abs=5)
NO_END = -1
TIMEOUT_S = 0.3


def open_cache(url: str, *, timeout_s: float = 5.0) -> RedisMessageCache:
    settings = Settings(
        redis_url=url, event_log_url=url, redis_timeout_s=timeout_s, datacenter_id=1, send_rate=0
    )
    return RedisMessageCache(settings)


@pytest.fixture
async def cache(redis_url: str) -> AsyncIterator[RedisMessageCache]:
    opened = open_cache(redis_url)
    yield opened
    await opened.close()


@pytest.fixture
def server(redis_url: str) -> Iterator[redis.Redis]:
    with redis.Redis.from_url(redis_url, decode_responses=True) as client:
        yield client


def names(server: redis.Redis) -> list[str]:
    """All keys but the one that is always there."""
    return [name for name in server.scan_iter() if name not in (keys.EPOCH, keys.RUN)]


def row(number: int, seq: int = 1) -> Message:
    return replace(make_message(number), seq=seq)


async def window(cache: RedisMessageCache) -> Window:
    return await cache.window("1_2", reader_id=1, before=None, limit=100)


async def load(cache: RedisMessageCache, *rows: Message) -> None:
    token = await cache.begin_fill("1_2")
    assert token is not None
    await cache.fill("1_2", token, rows, floor=0, base=0)


class TestKeys:
    async def test_of_an_accepted_message_have_no_end(
        self, cache: RedisMessageCache, server: redis.Redis
    ) -> None:
        message = make_message(1, client_msg_id="k")
        await load(cache)
        await cache.accept([message], None)
        await cache.retry([message])
        await cache.claim_recall(message.id, 5)

        lives = {name: server.ttl(name) for name in names(server)}
        assert lives == {
            f"msg:detail:{message.id}": NO_END,
            "msg:conv:1_2": NO_END,
            "msg:conv:loaded:1_2": NO_END,
            "msg:pending": NO_END,
            "msg:pending:attempts": NO_END,
            "msg:pending:bytes": NO_END,
            f"msg:cancel:{message.id}": NO_END,
            "msg:dedupe:1:k": pytest.approx(24 * 60 * 60, abs=5),
        }
        assert server.lrange("msg:conv:1_2", 0, -1) == [str(message.id)]
        assert server.zscore("msg:pending", str(message.id)) == message.send_time
        assert server.get("msg:dedupe:1:k") == f"{message.id}:{message.body_hash}"
        assert server.get("msg:conv:loaded:1_2") == "0:0"

    async def test_of_a_stored_message_live_for_half_an_hour(
        self, cache: RedisMessageCache, server: redis.Redis
    ) -> None:
        await load(cache)
        await cache.accept([make_message(1)], None)
        await cache.mark_stored([row(1)])
        await cache.add_deletes(7, [FIRST_ID + 1], floor=0)

        assert {name: server.ttl(name) for name in names(server)} == {
            f"msg:detail:{FIRST_ID + 1}": HALF_AN_HOUR,
            "msg:conv:1_2": HALF_AN_HOUR,
            "msg:conv:loaded:1_2": HALF_AN_HOUR,
            "msg:deleted:7": HALF_AN_HOUR,
            "msg:deleted:floor:7": HALF_AN_HOUR,
        }
        assert server.smembers("msg:deleted:7") == {str(FIRST_ID + 1), ">0"}
        assert server.get("msg:deleted:floor:7") == "0"

    @pytest.mark.parametrize("evicted", ["msg:deleted:1", "msg:deleted:floor:1"])
    async def test_of_deletes_say_nothing_once_one_of_them_is_gone(
        self, cache: RedisMessageCache, server: redis.Redis, evicted: str
    ) -> None:
        await cache.add_deletes(1, [FIRST_ID + 1], floor=0)
        server.delete(evicted)
        assert (await window(cache)).deletes_floor is None
        await cache.add_deletes(1, [FIRST_ID + 2])
        assert (await window(cache)).deletes_floor is None

        await cache.add_deletes(1, [FIRST_ID + 1, FIRST_ID + 2], floor=FIRST_ID)
        assert (await window(cache)).deletes_floor == FIRST_ID

    async def test_of_a_tail_begin_anew_when_it_is_read(
        self, cache: RedisMessageCache, server: redis.Redis
    ) -> None:
        await load(cache, row(1))
        for name in server.scan_iter("msg:conv:*"):
            server.expire(name, 60)

        await window(cache)

        assert [server.ttl(name) for name in server.scan_iter("msg:conv:*")] == [HALF_AN_HOUR] * 2

    async def test_of_an_empty_tail_begin_anew_when_it_is_read(
        self, cache: RedisMessageCache, server: redis.Redis
    ) -> None:
        await load(cache)
        server.expire("msg:conv:loaded:1_2", 60)

        await window(cache)

        assert server.ttl("msg:conv:loaded:1_2") == HALF_AN_HOUR

    async def test_of_a_tail_that_is_read_all_the_time_are_written_once_a_minute(
        self, cache: RedisMessageCache, server: redis.Redis
    ) -> None:
        await load(cache, row(1))
        for _ in range(3):
            await window(cache)
        server.config_resetstat()

        for _ in range(10):
            await window(cache)

        assert "cmdstat_expire" not in server.info("commandstats")

    async def test_of_a_reader_who_went_away_while_filling_end_soon(
        self, cache: RedisMessageCache, server: redis.Redis
    ) -> None:
        await cache.accept([make_message(1)], None)
        await cache.begin_fill("1_2")
        await cache.accept([make_message(2)], None)
        await cache.mark_stored([row(1), row(2)])
        await window(cache)

        assert 0 < server.ttl("msg:conv:loaded:1_2") <= 10

    @pytest.mark.parametrize("end", ["stored", "folded", "parked"])
    async def test_of_a_pending_message_go_with_it(
        self, cache: RedisMessageCache, server: redis.Redis, end: str
    ) -> None:
        message = make_message(2)
        await cache.accept([message], None)
        await cache.retry([message])

        if end == "stored":
            await cache.mark_stored([row(2)])
        elif end == "folded":
            first = replace(make_message(1, client_msg_id="k"), seq=1)
            await cache.mark_folded({message.id: first})
        else:
            await cache.park([message])

        assert [name for name in names(server) if server.ttl(name) == NO_END] == []

    async def test_of_a_recall_go_when_its_tombstone_is_found_stored(
        self, cache: RedisMessageCache, server: redis.Redis
    ) -> None:
        tombstone = row(1).recalled(5)
        await cache.mark_stored([tombstone])
        server.set(f"msg:cancel:{tombstone.id}", 5)

        await cache.confirm_recall(tombstone)

        assert server.ttl(f"msg:detail:{tombstone.id}") == HALF_AN_HOUR
        assert await cache.recall_marks([tombstone.id]) == {}

    async def test_are_named_after_the_worker(
        self, cache: RedisMessageCache, server: redis.Redis
    ) -> None:
        await cache.take_lease("worker:37", "me", 600)

        assert server.get("msg:worker:37") == "me"
        assert server.ttl("msg:worker:37") == pytest.approx(600, abs=5)


class TestEviction:
    """`volatile-lru` may take any key with a TTL, alone."""

    async def test_of_the_list_is_noticed_by_the_next_reader(
        self, cache: RedisMessageCache, server: redis.Redis
    ) -> None:
        await load(cache, row(1), row(2, 2))
        server.delete("msg:conv:1_2")

        assert await window(cache) == Window()
        await load(cache, row(1), row(2, 2))
        assert (await window(cache)).total == 2

    async def test_of_the_list_is_noticed_by_the_next_send(
        self, cache: RedisMessageCache, server: redis.Redis
    ) -> None:
        await load(cache, row(1), row(2, 2))
        server.delete("msg:conv:1_2")

        await cache.accept([make_message(3)], None)

        assert (await window(cache)).floor is None

    async def test_of_the_list_is_noticed_by_the_next_stored_row(
        self, cache: RedisMessageCache, server: redis.Redis
    ) -> None:
        await load(cache, row(1), row(2, 2))
        server.delete("msg:conv:1_2")

        await cache.mark_stored([row(3, 3)])

        assert (await window(cache)).floor is None

    async def test_of_the_list_is_noticed_by_a_fill_under_way(
        self, cache: RedisMessageCache, server: redis.Redis
    ) -> None:
        token = await cache.begin_fill("1_2")
        await cache.accept([make_message(1)], None)
        await cache.mark_stored([row(1)])
        server.delete("msg:conv:1_2")

        await cache.fill("1_2", str(token), [], floor=0, base=0)  # the store was read before

        assert (await window(cache)).floor is None

    async def test_of_the_loaded_mark_costs_a_fill(
        self, cache: RedisMessageCache, server: redis.Redis
    ) -> None:
        await load(cache, row(1))
        server.delete("msg:conv:loaded:1_2")
        assert (await window(cache)).floor is None

        await cache.accept([make_message(2)], None)
        await load(cache, row(1))

        seen = await window(cache)
        assert (seen.floor, seen.total) == (0, 2)

    async def test_of_details_leaves_ids_behind(
        self, cache: RedisMessageCache, server: redis.Redis
    ) -> None:
        await load(cache, row(1), row(2, 2))
        server.delete(f"msg:detail:{FIRST_ID + 1}")

        seen = await window(cache)

        assert (seen.missing, seen.floor, seen.total) == ((FIRST_ID + 1,), 0, 2)

    async def test_an_unreadable_detail_counts_as_missing(
        self, cache: RedisMessageCache, server: redis.Redis
    ) -> None:
        await load(cache, row(1))
        server.set(f"msg:detail:{FIRST_ID + 1}", b"\xff{")

        assert (await window(cache)).missing == (FIRST_ID + 1,)
        assert await cache.get([FIRST_ID + 1]) == {}


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
        assert len((await window(cache)).messages) == 3

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
        """A loaded list of pending messages: each must be found in it, but not one by one."""
        await load(cache)
        rows = [row(n, n + 1) for n in range(1_000)]
        for first in range(0, 1_000, 250):
            await cache.accept([make_message(n) for n in range(first, first + 250)], None)
        server.config_resetstat()

        await cache.mark_stored(rows)

        calls = {name: stats["calls"] for name, stats in server.info("commandstats").items()}
        assert calls["cmdstat_evalsha"] == 1_000 / MARKED_AT_ONCE
        assert sum(calls.values()) < 1.5 * len(rows)
        seen = await window(cache)
        assert (seen.total, len(seen.messages)) == (1_000, 100)
        cached = await cache.get([m.id for m in rows])
        assert [cached[m.id].seq for m in rows] == list(range(1, 1_001))


class TestConcurrency:
    async def test_one_of_many_sends_with_one_client_msg_id_wins(self, redis_url: str) -> None:
        caches = [open_cache(redis_url) for _ in range(4)]
        messages = [make_message(n, client_msg_id="k") for n in range(40)]

        answers = await asyncio.gather(
            *(caches[n % 4].accept([m], None) for n, m in enumerate(messages))
        )

        claims = [claim for (claim,) in answers]
        assert claims.count(None) == 1
        winner = messages[claims.index(None)]
        assert {c.message_id for c in claims if c is not None} == {winner.id}
        assert await caches[0].pending_count() == 1
        for each in caches:
            await each.close()

    async def test_more_calls_than_connections_wait_their_turn(
        self, cache: RedisMessageCache
    ) -> None:
        await cache.accept([make_message(n) for n in range(50)], None)

        seen = await asyncio.gather(*(window(cache) for _ in range(300)))

        assert all(len(each.messages) == 50 for each in seen)


class TestOutage:
    async def test_ends_when_redis_is_back_with_its_data(self, tmp_path: Path) -> None:
        port = free_port()
        cache = open_cache(f"redis://127.0.0.1:{port}/0", timeout_s=TIMEOUT_S)
        with running_redis(tmp_path, "--appendfsync", "always", port=port):
            await cache.accept([make_message(1)], None)
        for _ in range(3):
            with pytest.raises(CacheUnavailable):
                await cache.accept([make_message(2)], None)

        with running_redis(tmp_path, port=port):
            await cache.accept([make_message(3)], None)
            assert [m.id - FIRST_ID for m in (await window(cache)).messages] == [3, 1]
            await cache.close()

    async def test_of_a_stalled_redis_is_bounded_and_runs_a_write_once(
        self, tmp_path: Path
    ) -> None:
        with running_redis(tmp_path) as url, redis.Redis.from_url(url) as server:
            cache = open_cache(url, timeout_s=TIMEOUT_S)
            message = make_message(1)
            await cache.accept([message], None)
            await cache.retry([message])
            pid = server.info("server")["process_id"]
            os.kill(pid, signal.SIGSTOP)
            try:
                begun_s = time.monotonic()
                with pytest.raises(CacheUnavailable):
                    await cache.retry([message])
                assert time.monotonic() - begun_s < 3 * TIMEOUT_S
                begun_s = time.monotonic()
                answers = await asyncio.gather(
                    *(window(cache) for _ in range(100)), return_exceptions=True
                )
                assert time.monotonic() - begun_s < 5 * TIMEOUT_S
                assert all(isinstance(answer, CacheUnavailable) for answer in answers)
            finally:
                os.kill(pid, signal.SIGCONT)

            assert server.hget("msg:pending:attempts", str(message.id)) == b"2"
            assert (await window(cache)).messages == (message,)
            await cache.close()

    async def test_a_read_only_replica_is_one(
        self, cache: RedisMessageCache, server: redis.Redis
    ) -> None:
        server.replicaof("127.0.0.1", 1)
        try:
            with pytest.raises(CacheUnavailable):
                await cache.accept([make_message(1)], None)
            with pytest.raises(CacheUnavailable):
                await cache.mark_stored([row(1).recalled(5)])
        finally:
            server.replicaof("NO", "ONE")
        assert await cache.pending_count() == 0

    async def test_a_key_of_another_type_is_one(
        self, cache: RedisMessageCache, server: redis.Redis
    ) -> None:
        server.set("msg:conv:1_2", "text")

        with pytest.raises(CacheUnavailable):
            await window(cache)


class TestFullMemory:
    @pytest.fixture
    async def full(
        self, cache: RedisMessageCache, server: redis.Redis
    ) -> AsyncIterator[list[Message]]:
        """Redis full of pending messages; none of them may be evicted."""
        await load(cache)
        messages = [make_message(n, content="x" * 4_000, client_msg_id=f"k{n}") for n in range(400)]
        for first in range(0, 400, 100):
            await cache.accept(messages[first : first + 100], None)
        await cache.claim_recall(messages[0].id, 5)
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
        assert await cache.retry(full[:2]) == {full[0].id: 1, full[1].id: 1}
        first = replace(make_message(1_000, client_msg_id="k1"), seq=1)
        await cache.mark_folded({full[1].id: first})
        await cache.park([full[2]])

        assert await cache.pending_count() == 398

    async def test_never_leaves_a_hole_in_a_loaded_list(
        self, cache: RedisMessageCache, full: list[Message]
    ) -> None:
        await cache.mark_stored([row(200_000)])  # it never came by the cache

        seen = await cache.window("1_2", reader_id=1, before=None, limit=1)
        assert seen.floor is None or FIRST_ID + 200_000 in seen.missing


def in_child(check: str, url: str) -> bool:
    """Run one of the coroutines below in a forked child."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of forking beside threads
        child = os.fork()
    if child == 0:
        code = 1
        try:
            asyncio.run(CHILDREN[check](url))
            code = 0
        finally:
            os._exit(code)
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            return os.waitstatus_to_exitcode(status) == 0
        time.sleep(0.01)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return False


_inherited: list[object] = []


async def use_the_parents_cache(url: str) -> None:
    (cache,) = _inherited
    assert isinstance(cache, RedisMessageCache)
    for n in range(100, 120):
        await cache.accept([make_message(n)], None)
    await cache.close()


async def use_the_parents_keeper(url: str) -> None:
    ids, keeper = _inherited
    assert isinstance(ids, SnowflakeIdGenerator)
    assert isinstance(keeper, WorkerLeaseKeeper)
    assert ids.lease is None
    await keeper.ensure()
    node = (ids.next_id("1_2") >> 12) & 1023
    with redis.Redis.from_url(url) as server:
        server.set("the child's node", node)
    await keeper.close()


CHILDREN = {"cache": use_the_parents_cache, "keeper": use_the_parents_keeper}


class TestForkedChild:
    async def test_makes_connections_of_its_own(
        self, cache: RedisMessageCache, redis_url: str
    ) -> None:
        await asyncio.gather(*(cache.accept([make_message(n)], None) for n in range(8)))
        _inherited[:] = [cache]

        assert in_child("cache", redis_url)

        await asyncio.gather(*(cache.accept([make_message(n)], None) for n in range(8, 16)))
        assert await cache.pending_count() == 36

    async def test_never_gives_ids_under_its_parents_worker_id(
        self, cache: RedisMessageCache, redis_url: str, server: redis.Redis
    ) -> None:
        ids, keeper = open_keeper(cache)
        await keeper.ensure()
        assert ids.lease is not None
        node = ids.lease.node
        _inherited[:] = [ids, keeper]

        assert in_child("keeper", redis_url)

        assert int(server.get("the child's node")) != node
        assert server.get(f"msg:worker:{node}") == ids.lease.owner
        assert (ids.next_id("1_2") >> 12) & 1023 == node
        await keeper.close()


def open_keeper(cache: RedisMessageCache) -> tuple[SnowflakeIdGenerator, WorkerLeaseKeeper]:
    ids = SnowflakeIdGenerator()
    settings = Settings(redis_url="", event_log_url="", datacenter_id=1, worker_lease_s=600)
    return ids, WorkerLeaseKeeper(ids=ids, cache=cache, store=MemoryStore(), settings=settings)


class TestAnEmptiedRedis:
    async def test_is_noticed_by_readers_for_a_while(
        self, cache: RedisMessageCache, server: redis.Redis
    ) -> None:
        assert not (await window(cache)).recovering
        server.flushall()
        assert (await window(cache)).recovering
        run = await cache.probe()
        assert not run.is_settled
        await cache.begin_epoch(run.id, returned=False)
        assert (await window(cache)).recovering
        server.set("msg:epoch", int(server.time()[0]) - 3)
        assert (await cache.probe()).is_settled
        assert not (await window(cache)).recovering


class TestAServerClockThatIsSetBack:
    """By ten minutes: what was written before is of a time to come."""

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
        await cache.begin_epoch((await cache.probe()).id, returned=False)
        server.set("msg:epoch", int(server.time()[0]) + self.STEP_S)
        await cache.probe()
        assert int(server.get("msg:epoch") or 0) <= int(server.time()[0])
        assert (await window(cache)).recovering  # for some seconds: nobody can tell since when

    async def test_does_not_hide_that_a_process_is_missed(
        self, cache: RedisMessageCache, server: redis.Redis
    ) -> None:
        await cache.begin_epoch((await cache.probe("alive")).id, returned=False)
        now_s = int(server.time()[0])
        server.set("msg:epoch", now_s - 60)
        server.zadd("msg:present", {"dead": now_s + self.STEP_S, "alive": now_s + self.STEP_S})
        async with asyncio.timeout(5):
            while server.zscore("msg:present", "dead") is not None:
                await cache.probe("alive")
                await asyncio.sleep(0.1)
        assert (await window(cache)).recovering
        assert server.zscore("msg:present", "alive") is not None

    async def test_keeps_no_lease_for_longer_than_its_life(
        self, cache: RedisMessageCache, server: redis.Redis
    ) -> None:
        await cache.take_lease("lease:compensation", "dead", self.STEP_S)
        assert not await cache.take_lease("lease:compensation", "me", 0.2)
        async with asyncio.timeout(5):
            while not await cache.take_lease("lease:compensation", "me", 0.2):
                await asyncio.sleep(0.05)


class TestWorkerLease:
    async def test_is_fenced_when_redis_forgets_it(
        self, cache: RedisMessageCache, server: redis.Redis
    ) -> None:
        ids, keeper = open_keeper(cache)
        await keeper.ensure()
        lease = ids.lease
        assert lease is not None
        server.flushall()
        server.set(f"msg:worker:{lease.node}", "another")  # who was quicker

        with pytest.raises(LeaseLost):
            await cache.accept([replace(make_message(1), id=ids.next_id("1_2"))], lease)
        ids.use(None)
        await keeper.ensure()

        assert ids.lease is not None
        assert ids.lease.node != lease.node
        message = replace(make_message(1), id=ids.next_id("1_2"))
        assert await cache.accept([message], ids.lease) == [None]
        await keeper.close()

    async def test_is_shared_by_nobody(self, redis_url: str) -> None:
        caches = [open_cache(redis_url) for _ in range(32)]
        kept = [open_keeper(cache) for cache in caches[:24]]

        await asyncio.gather(*(keeper.ensure() for _, keeper in kept))

        nodes = {ids.lease.node for ids, _ in kept if ids.lease is not None}
        assert nodes == set(range(32, 56))
        for (_, keeper), cache in itertools.zip_longest(kept, caches, fillvalue=(None, None)):
            if keeper is not None:
                await keeper.close()
            await cache.close()

    async def test_rests_after_it_was_given_back(
        self, cache: RedisMessageCache, server: redis.Redis
    ) -> None:
        ids, keeper = open_keeper(cache)
        await keeper.ensure()
        assert ids.lease is not None
        name = f"msg:worker:{ids.lease.node}"

        await keeper.close()

        assert server.ttl(name) == pytest.approx(60, abs=2)
