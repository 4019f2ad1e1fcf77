"""Test the guard of a group: doubts about rights that may have shrunk, and the floors of joins."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest
import redis
from msgspec import structs

from messaging.cache import keys
from messaging.domain.ids import first_id_at, time_of_id
from messaging.domain.message import ChatType, Message
from messaging.ports.cache import MessageCache
from messaging.ports.cached import Guarded, IdempotencyRecord, Verdict
from messaging.testing.cache import MemoryCache
from tests.contract.cache.conversation import ids, load, one, rows, stored, tail
from tests.support.messages import FIRST_ID, make_message

GROUP, OTHER_GROUP = "g7", "g8"
ALICE, BOB = 1, 2
NOW_MS = time_of_id(FIRST_ID)  # of the messages of `in_group`
LetDoubtsEnd = Callable[[], None]


def in_group(
    number: int, *, by: int = ALICE, group: int = 7, at_ms: int = NOW_MS, key: str | None = None
) -> Message:
    message = make_message(
        number, from_user_id=by, to_id=group, chat_type=ChatType.GROUP, client_msg_id=key
    )
    return structs.replace(message, id=first_id_at(at_ms) + number, send_time=at_ms)


async def send(cache: MessageCache, message: Message, *, asked_after: int | None = 0) -> Verdict:
    (verdict,) = await cache.accept([message], None, asked_after=[asked_after])
    return verdict


async def score_of(cache: MessageCache, user_id: int = ALICE, group: str = GROUP) -> int:
    return (await tail(cache, conversation_id=group, reader_id=user_id)).guard


@pytest.fixture
def let_doubts_end(cache: MessageCache, url: str | None) -> LetDoubtsEnd:
    """Return a function that lets the time of all scores pass, and not yet the guard's life."""

    def pass_time() -> None:
        if isinstance(cache, MemoryCache):
            later_s = cache.clock_s() + 16
            cache.clock_s = lambda: later_s
            return
        assert url is not None
        with redis.Redis.from_url(url) as client:
            for name in client.scan_iter(f"{keys.GUARD}*"):
                for member, score in client.zrange(name, 0, -1, withscores=True):
                    if member != b"^":
                        client.zincrby(name, -16_000, member)
                        assert client.zscore(name, member) == score - 16_000

    return pass_time


class TestADoubt:
    async def test_refuses_and_writes_nothing(self, cache: MessageCache) -> None:
        message = in_group(1, key="k")
        await cache.distrust(GROUP, [ALICE])
        score = await score_of(cache)

        assert await send(cache, message) == Guarded(score)

        assert await one(cache, message) is None
        assert await cache.pending_count() == 0
        assert ids((await tail(cache, conversation_id=GROUP)).messages) == []
        assert await cache.find_idempotency_record(ALICE, "k") is None

    async def test_is_met_by_a_right_that_was_asked_for_after_it(self, cache: MessageCache) -> None:
        await cache.distrust(GROUP, [ALICE])
        score = await score_of(cache)

        assert await send(cache, in_group(1), asked_after=score - 1) == Guarded(score)
        assert await send(cache, in_group(2), asked_after=score) is None
        assert await send(cache, in_group(3), asked_after=score + 1) is None

    async def test_is_about_one_user_in_one_group(self, cache: MessageCache) -> None:
        await cache.distrust(GROUP, [ALICE])

        assert await score_of(cache, BOB) == await score_of(cache, group=OTHER_GROUP) == 0
        assert await send(cache, in_group(1, by=BOB)) is None
        assert await send(cache, in_group(2, group=8)) is None

    async def test_about_everybody_is_about_each(self, cache: MessageCache) -> None:
        await cache.distrust(GROUP, None)
        score = await score_of(cache)

        for number, user_id in enumerate((ALICE, BOB, 2**63 - 1)):
            assert await score_of(cache, user_id) == score > 0
            assert await send(cache, in_group(number, by=user_id)) == Guarded(score)

    async def test_about_nobody_is_none(self, cache: MessageCache) -> None:
        await cache.distrust(GROUP, [])
        assert await score_of(cache) == 0

    async def test_is_newer_than_all_before_it_within_a_millisecond_too(
        self, cache: MessageCache
    ) -> None:
        seen = []
        for number in range(60):
            doubted = ([ALICE], [ALICE, BOB], None)[number % 3]
            await cache.distrust(GROUP, doubted)
            seen.append(await score_of(cache))
        # A right that was asked for after one user's doubt was not asked for after another's.
        await cache.distrust(GROUP, [BOB])
        seen.append(await score_of(cache, BOB))

        assert seen == sorted(set(seen))
        assert await score_of(cache) == seen[-2]

    async def test_does_not_judge_what_is_acknowledged_or_private(
        self, cache: MessageCache
    ) -> None:
        await cache.distrust(GROUP, None)
        await cache.open_floor(GROUP, NOW_MS + 1)

        assert await send(cache, in_group(1), asked_after=None) is None
        assert await cache.accept([in_group(2), make_message(3)], None) == [None, None]

    async def test_judges_each_message_of_a_call_by_itself(self, cache: MessageCache) -> None:
        await cache.distrust(GROUP, [ALICE])
        score = await score_of(cache)
        messages = [in_group(1), in_group(2, by=BOB), in_group(3), make_message(4), in_group(5)]

        verdicts = await cache.accept(messages, None, asked_after=[0, 0, score, None, None])

        assert verdicts == [Guarded(score), None, None, None, None]
        kept = await cache.get([m.id for m in messages])
        assert sorted(kept) == sorted(m.id for m in messages[1:])

    async def test_leaves_a_repeat_its_first_send(self, cache: MessageCache) -> None:
        first, other_body = in_group(1, key="k"), in_group(3, key="other")
        assert await send(cache, first) is None
        await cache.distrust(GROUP, [ALICE])
        await cache.open_floor(GROUP, NOW_MS + 9)

        repeat = structs.replace(in_group(2, key="k"), body_hash=first.body_hash)
        record = IdempotencyRecord(first.id, first.body_hash)
        assert await send(cache, repeat) == record
        assert await send(cache, first) is None  # the answer to the first send was lost
        assert isinstance(await send(cache, other_body), Guarded)

    async def test_takes_nothing_from_the_senders_rate(self, limiting_cache: MessageCache) -> None:
        cache = limiting_cache
        await cache.distrust(GROUP, [ALICE])
        score = await score_of(cache)
        for number in range(9):
            assert await send(cache, in_group(number)) == Guarded(score)

        verdicts = [await send(cache, in_group(n), asked_after=score) for n in range(3)]
        assert verdicts == [None] * 3

    async def test_ends(self, cache: MessageCache, let_doubts_end: LetDoubtsEnd) -> None:
        await cache.distrust(GROUP, [ALICE])
        await cache.distrust(GROUP, None)
        assert await send(cache, in_group(1), asked_after=None) is None
        let_doubts_end()

        assert await score_of(cache) == 0
        view = await cache.reader_view([in_group(1).id], reader_id=ALICE)
        assert view.guards == {}
        assert await send(cache, in_group(2)) is None
        assert await cache.judge(in_group(3), asked_after=0) is None

    async def test_that_follows_an_ended_one_is_newer(
        self, cache: MessageCache, let_doubts_end: LetDoubtsEnd
    ) -> None:
        await cache.distrust(GROUP, [ALICE])
        score = await score_of(cache)
        if isinstance(cache, MemoryCache):  # a real clock goes on by itself
            let_doubts_end()
        await cache.distrust(GROUP, [ALICE])
        assert await score_of(cache) > score


class TestAReader:
    async def test_learns_of_the_doubt_with_the_tail(self, cache: MessageCache) -> None:
        message = in_group(1)
        assert await send(cache, message) is None
        await cache.distrust(GROUP, [BOB])
        for read in (cache.cached_tail, cache.listed):
            doubted = await read(GROUP, reader_id=BOB, before=None, limit=9)
            other = await read(GROUP, reader_id=ALICE, before=None, limit=9)
            assert doubted.guard > 0
            assert other.guard == 0

    async def test_learns_of_the_doubt_about_each_message(self, cache: MessageCache) -> None:
        here, also_here, there, private = (
            *(in_group(1), in_group(2), in_group(3, group=8)),
            make_message(4),
        )
        await cache.accept([here, also_here, there, private], None)
        await cache.distrust(GROUP, [ALICE])
        score = await score_of(cache)

        asked = [here.id, private.id, also_here.id, there.id, FIRST_ID - 1]
        view = await cache.reader_view(asked, reader_id=ALICE)
        assert view.guards == {here.id: score, also_here.id: score}
        assert (await cache.reader_view(asked, reader_id=BOB)).guards == {}

        await cache.distrust(OTHER_GROUP, None)
        view = await cache.reader_view(asked, reader_id=BOB)
        assert view.guards == {there.id: await score_of(cache, BOB, OTHER_GROUP)}

    async def test_learns_of_it_about_stored_and_recalled_messages(
        self, cache: MessageCache
    ) -> None:
        message, recalled = in_group(1), in_group(2)
        await cache.mark_stored([stored(recalled, 2).recalled(5, 9)])
        await cache.add_details([stored(message, 1)])
        await cache.distrust(GROUP, [ALICE])

        view = await cache.reader_view([message.id, recalled.id], reader_id=ALICE)
        assert set(view.guards) == {message.id, recalled.id}

    async def test_of_a_private_conversation_is_in_no_doubt(self, cache: MessageCache) -> None:
        await load(cache, rows(1))
        await cache.distrust(GROUP, None)
        assert (await tail(cache)).guard == 0
        assert (await cache.reader_view([FIRST_ID + 1], reader_id=ALICE)).guards == {}


class TestAFloor:
    async def test_is_now_at_least(self, cache: MessageCache) -> None:
        assert await cache.open_floor(GROUP, NOW_MS) == NOW_MS

    async def test_is_no_earlier_than_the_newest_listed_message(self, cache: MessageCache) -> None:
        ahead_ms = NOW_MS + 250
        # The largest id of its millisecond, which Lua's numbers round up.
        newest = structs.replace(in_group(1, at_ms=ahead_ms), id=first_id_at(ahead_ms + 1) - 1)
        await cache.accept([in_group(2), newest], None)
        assert time_of_id(newest.id) == ahead_ms

        floor_ms = await cache.open_floor(GROUP, NOW_MS)

        assert ahead_ms <= floor_ms <= ahead_ms + 1

    async def test_refuses_messages_that_are_not_later(self, cache: MessageCache) -> None:
        floor_ms = await cache.open_floor(GROUP, NOW_MS)

        for early in (in_group(1, key="k"), in_group(2, at_ms=NOW_MS - 1)):
            assert await send(cache, early) == Guarded(0, floor_ms)
            assert await one(cache, early) is None
        assert await send(cache, in_group(3, at_ms=NOW_MS + 1, key="k")) is None
        assert await send(cache, in_group(4, group=8)) is None

    async def test_does_not_sink(self, cache: MessageCache) -> None:
        await cache.open_floor(GROUP, NOW_MS + 9)
        assert await cache.open_floor(GROUP, NOW_MS) >= NOW_MS
        await cache.distrust(GROUP, [BOB])

        verdict = await send(cache, in_group(1, at_ms=NOW_MS + 9))
        assert verdict == Guarded(0, NOW_MS + 9)

    async def test_is_told_with_the_doubt(self, cache: MessageCache) -> None:
        await cache.distrust(GROUP, [ALICE])
        floor_ms = await cache.open_floor(GROUP, NOW_MS)
        score = await score_of(cache)

        assert await send(cache, in_group(1)) == Guarded(score, floor_ms)
        assert await send(cache, in_group(1), asked_after=score) == Guarded(0, floor_ms)
        assert await send(cache, in_group(1, at_ms=floor_ms + 1)) == Guarded(score)

    async def test_is_no_doubt(self, cache: MessageCache) -> None:
        await cache.open_floor(GROUP, NOW_MS)
        assert await score_of(cache) == 0

    async def test_parts_what_was_accepted_before_from_what_is_accepted_after(
        self, cache: MessageCache
    ) -> None:
        """Senders' clocks differ; no message slips in at or below a floor that was told."""
        floors: list[int] = []
        late: list[Message] = []

        async def join(number: int) -> None:
            floors.append(await cache.open_floor(GROUP, NOW_MS + number))

        async def say(number: int) -> None:
            told = max(floors, default=0)
            message = in_group(number, by=BOB, at_ms=NOW_MS + number % 40)
            if await send(cache, message) is None and message.send_time <= told:
                late.append(message)

        for first in range(0, 200, 10):
            calls = [say(n) for n in range(first, first + 10)]
            calls.insert(5, join(first // 10))
            await asyncio.gather(*calls)

        assert late == []
        assert len((await tail(cache, conversation_id=GROUP, limit=300)).messages) > 20


class TestJudge:
    """For a message that the store takes without the cache's `accept`."""

    async def test_says_what_accept_would_say(self, cache: MessageCache) -> None:
        message = in_group(1)
        assert await cache.judge(message, asked_after=0) is None

        await cache.distrust(GROUP, [ALICE])
        score = await score_of(cache)
        assert await cache.judge(message, asked_after=0) == Guarded(score)
        assert await cache.judge(message, asked_after=score) is None
        assert await cache.judge(in_group(2, by=BOB), asked_after=0) is None

        floor_ms = await cache.open_floor(GROUP, NOW_MS)
        assert await cache.judge(message, asked_after=score) == Guarded(0, floor_ms)
        later = in_group(3, at_ms=floor_ms + 1)
        assert await cache.judge(later, asked_after=score) is None
        assert await cache.pending_count() == 0
