"""Test the keys that the cache writes, and how long each key lives."""

from __future__ import annotations

import pytest
import redis
from msgspec.structs import replace

from messaging.cache.redis_cache import RedisMessageCache
from messaging.domain.conversations import Entry, Floor, Head, Participant, Peer, UnreadMemo
from messaging.domain.message import Recall
from tests.integration.redis_cache.opened import HALF_AN_HOUR, NO_END, load, names, row, tail
from tests.support.deletes import know_deletes
from tests.support.messages import FIRST_ID, make_message


class TestKeys:
    async def test_of_an_accepted_message_have_no_end(
        self, cache: RedisMessageCache, server: redis.Redis
    ) -> None:
        message = make_message(1, client_msg_id="k")
        await load(cache)
        await cache.accept([message], None)
        await cache.count_attempt([message])
        await cache.set_recall_mark(message.id, Recall(5))

        lives = {name: server.ttl(name) for name in names(server)}
        assert lives == {
            f"msg:detail:{message.id}": NO_END,
            "msg:conv:1_2": NO_END,
            "msg:conv:loaded:1_2": NO_END,
            "msg:pending": NO_END,
            "msg:pending:attempts": NO_END,
            "msg:pending:bytes": NO_END,
            f"msg:cancel:{message.id}": NO_END,
            "msg:cancels": NO_END,
            "msg:dedupe:1:k": pytest.approx(24 * 60 * 60, abs=5),
        }
        assert server.lrange("msg:conv:1_2", 0, -1) == [str(message.id)]
        assert server.zscore("msg:pending", str(message.id)) == message.send_time
        assert server.get("msg:dedupe:1:k") == f"{message.id}:{message.body_hash}"
        assert server.get("msg:conv:loaded:1_2") == "0/0:0"

    async def test_of_a_stored_message_live_for_half_an_hour(
        self, cache: RedisMessageCache, server: redis.Redis
    ) -> None:
        await load(cache)
        await cache.accept([make_message(1)], None)
        await cache.mark_stored([row(1)])
        await know_deletes(cache, 7, [FIRST_ID + 1], floors={"1_2": Floor(9, 5)})

        assert {name: server.ttl(name) for name in names(server)} == {
            f"msg:detail:{FIRST_ID + 1}": HALF_AN_HOUR,
            "msg:conv:1_2": HALF_AN_HOUR,
            "msg:conv:loaded:1_2": HALF_AN_HOUR,
            "msg:head:1_2": HALF_AN_HOUR,
            "msg:deleted:7": HALF_AN_HOUR,
            "msg:deleted:floors:7": HALF_AN_HOUR,
        }
        token = await cache.begin_deletes(7)
        assert server.smembers("msg:deleted:7") == {str(FIRST_ID + 1), f"={token}"}
        assert server.hgetall("msg:deleted:floors:7") == {"": f"0/{token}:0", "1_2": "9:5"}

    @pytest.mark.parametrize("evicted", ["msg:deleted:1", "msg:deleted:floors:1"])
    async def test_of_deletes_say_nothing_once_one_of_them_is_gone(
        self, cache: RedisMessageCache, server: redis.Redis, evicted: str
    ) -> None:
        await know_deletes(cache, 1, [FIRST_ID + 1])
        server.delete(evicted)
        assert (await tail(cache)).deletes_floor is None
        await cache.add_deletes(1, [FIRST_ID + 2])
        assert (await tail(cache)).deletes_floor is None

        await know_deletes(cache, 1, [FIRST_ID + 1, FIRST_ID + 2], floor=FIRST_ID)
        assert (await tail(cache)).deletes_floor == FIRST_ID

    async def test_of_a_tail_begin_anew_when_it_is_read(
        self, cache: RedisMessageCache, server: redis.Redis
    ) -> None:
        await load(cache, row(1))
        for name in server.scan_iter("msg:conv:*"):
            server.expire(name, 60)

        await tail(cache)

        assert [server.ttl(name) for name in server.scan_iter("msg:conv:*")] == [HALF_AN_HOUR] * 2

    async def test_of_an_empty_tail_begin_anew_when_it_is_read(
        self, cache: RedisMessageCache, server: redis.Redis
    ) -> None:
        await load(cache)
        server.expire("msg:conv:loaded:1_2", 60)

        await tail(cache)

        assert server.ttl("msg:conv:loaded:1_2") == HALF_AN_HOUR

    async def test_of_a_tail_that_is_read_all_the_time_are_written_once_a_minute(
        self, cache: RedisMessageCache, server: redis.Redis
    ) -> None:
        await load(cache, row(1))
        for _ in range(3):
            await tail(cache)
        server.config_resetstat()

        for _ in range(10):
            await tail(cache)

        assert "cmdstat_expire" not in server.info("commandstats")

    async def test_of_a_reader_who_went_away_while_filling_end_soon(
        self, cache: RedisMessageCache, server: redis.Redis
    ) -> None:
        await cache.accept([make_message(1)], None)
        await cache.begin_fill("1_2")
        await cache.accept([make_message(2)], None)
        await cache.mark_stored([row(1), row(2)])
        await tail(cache)

        assert 0 < server.ttl("msg:conv:loaded:1_2") <= 10

    @pytest.mark.parametrize("end", ["stored", "duplicate", "dead"])
    async def test_of_a_pending_message_go_with_it(
        self, cache: RedisMessageCache, server: redis.Redis, end: str
    ) -> None:
        message = make_message(2)
        await cache.accept([message], None)
        await cache.count_attempt([message])

        if end == "stored":
            await cache.mark_stored([row(2)])
        elif end == "duplicate":
            first = replace(make_message(1, client_msg_id="k"), seq=1)
            await cache.mark_duplicates({message.id: first})
        else:
            await cache.dead_letter([message])

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

    async def test_of_a_recall_say_who_recalled(
        self, cache: RedisMessageCache, server: redis.Redis
    ) -> None:
        await cache.set_recall_mark(1, Recall(5))
        await cache.set_recall_mark(2, Recall(5, 7))

        assert server.mget("msg:cancel:1", "msg:cancel:2") == ["5", "5:7"]

    async def test_of_a_guard_live_for_half_a_minute(
        self, cache: RedisMessageCache, server: redis.Redis
    ) -> None:
        before_ms = int(server.time()[0]) * 1_000
        await cache.distrust("g7", [3])
        await cache.distrust("g8", None)
        await cache.open_floor("g9", 5)

        assert {name: server.ttl(name) for name in names(server)} == {
            f"msg:guard:{group}": pytest.approx(30, abs=2) for group in ("g7", "g8", "g9")
        }
        until_ms = pytest.approx(before_ms + 15_500, abs=2_000)
        assert server.zrange("msg:guard:g7", 0, -1, withscores=True) == [("3", until_ms)]
        assert server.zrange("msg:guard:g8", 0, -1, withscores=True) == [("*", until_ms)]
        assert server.zrange("msg:guard:g9", 0, -1, withscores=True) == [("^", 5)]

    async def test_of_a_guard_keep_no_doubt_that_has_ended(
        self, cache: RedisMessageCache, server: redis.Redis
    ) -> None:
        await cache.open_floor("g7", 5)
        server.zadd("msg:guard:g7", {"8": 1_000, "*": 2_000})
        await cache.distrust("g7", [3])
        assert set(server.zrange("msg:guard:g7", 0, -1)) == {"^", "3"}

    async def test_of_a_list_live_for_half_an_hour(
        self, cache: RedisMessageCache, server: redis.Redis
    ) -> None:
        mine = Participant(user_id=1, conversation_id="1_2", rev=4, read_seq=2, delivered_seq=3)
        entry = Entry(participant=mine, head=Head(last_seq=3, last_rev=5, last_id=7), peer=Peer())
        token = (await cache.listing(1)).token
        assert token is not None
        assert 0 < server.ttl("msg:mine:1") <= 10
        await cache.fill_listing(1, token, [entry])
        await cache.note_unread(1, {"1_2": UnreadMemo(seq=3, rev=5, own_rev=4, count=1)})

        lists = ("msg:head:1_2", "msg:mine:1", "msg:unread:1")
        assert {name: server.ttl(name) for name in names(server)} == dict.fromkeys(
            lists, HALF_AN_HOUR
        )
        head = server.hgetall("msg:head:1_2")
        assert head.pop("born").isdigit()
        numbers = {"last": "3,5,7", "party1": "2,3,0", "party2": "0,0,0"}
        assert head == numbers | {"stamp": "0/0/", "whole": "1"}
        packed = '[4,3,1,"1_2",true,null,0,0,2,null,null,0,null,false]'
        assert server.hgetall("msg:mine:1") == {"=": token, "1_2": packed}
        assert server.hgetall("msg:unread:1") == {"1_2": "[3,5,4,1]"}

    async def test_of_a_list_are_not_made_by_a_change(
        self, cache: RedisMessageCache, server: redis.Redis
    ) -> None:
        await cache.raise_participants([Participant(user_id=1, conversation_id="g7")])
        assert names(server) == []
        await cache.raise_participants([Participant(user_id=1, conversation_id="1_2")])
        assert names(server) == ["msg:head:1_2"]
        assert server.ttl("msg:head:1_2") == HALF_AN_HOUR

    async def test_of_an_older_release_tell_positions_without_a_time_until_a_fill(
        self, cache: RedisMessageCache, server: redis.Redis
    ) -> None:
        """Read and raise positions as they stand in Redis at the start of this release."""
        mine = Participant(user_id=1, conversation_id="1_2")
        stored = Entry(participant=mine, peer=Peer(read_seq=9, delivered_seq=9, read_time=77))

        async def fill() -> None:
            token = (await cache.listing(1)).token
            assert token is not None
            await cache.fill_listing(1, token, [stored])

        async def told() -> Peer | None:
            entries = (await cache.listing(1)).entries
            assert entries is not None
            return entries["1_2"].peer

        await fill()
        server.hset("msg:head:1_2", "party2", "10,11")
        assert await told() == Peer(read_seq=10, delivered_seq=11)

        await cache.forget_listings([1])
        await fill()  # of a reader who saw the database before the position rose
        assert await told() == Peer(read_seq=10, delivered_seq=11, read_time=77)
        later = Participant(user_id=2, conversation_id="1_2", read_seq=12, read_time=88)
        await cache.raise_participants([later])
        assert await told() == Peer(read_seq=12, delivered_seq=11, read_time=88)

    async def test_are_named_after_the_worker(
        self, cache: RedisMessageCache, server: redis.Redis
    ) -> None:
        await cache.take_lease("worker:37", "me", 600)

        assert server.get("msg:worker:37") == "me"
        assert server.ttl("msg:worker:37") == pytest.approx(600, abs=5)
