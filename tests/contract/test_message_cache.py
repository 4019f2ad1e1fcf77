"""What every message cache promises: in memory, on a redis-server of our own, on the real one."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import replace

import pytest
import redis
from msgspec import structs

from messaging.cache import RedisMessageCache, keys
from messaging.conf import Settings
from messaging.domain.errors import CacheUnavailable, LeaseLost
from messaging.domain.events import Message, PersistStatus, encode_message
from messaging.domain.ids import WorkerLease
from messaging.domain.rates import Rates
from messaging.limits import MAX_WINDOW_BYTES
from messaging.ports.cache import MessageCache
from messaging.ports.cached import (
    Claim,
    Look,
    PendingEntry,
    PendingFull,
    RateLimited,
    SharedRate,
    Window,
)
from messaging.testing.cache import MemoryCache
from tests.support.messages import FIRST_ID, make_message
from tests.support.real_services import call_whole, connected

READER = 1
CONVERSATION = "1_2"
DATABASE_OF_THE_TESTS = 9
LEASE = WorkerLease(node=5, owner="me", valid_until_s=float("inf"), fenced=True)

real = pytest.param("connected", marks=pytest.mark.connected)


@pytest.fixture
def url(request: pytest.FixtureRequest) -> str | None:
    """The address of an empty Redis; None for the cache in memory."""
    if request.param == "memory":
        return None
    if request.param == "embedded":
        return str(request.getfixturevalue("redis_url"))
    address = f"{connected('IM_REDIS_URL').rpartition('/')[0]}/{DATABASE_OF_THE_TESTS}"
    with redis.Redis.from_url(address) as client:
        client.flushdb()
        call_whole(client)
    return address


@pytest.fixture
async def cache(url: str | None) -> AsyncIterator[MessageCache]:
    if url is None:
        yield MemoryCache()
        return
    opened = RedisMessageCache(
        Settings(redis_url=url, event_log_url=url, redis_timeout_s=5.0, send_rate=0)
    )
    yield opened
    await opened.close()


@pytest.fixture
def run_out(cache: MessageCache, url: str | None) -> Callable[[], None]:
    """Makes half an hour pass in which nobody comes."""
    if isinstance(cache, MemoryCache):
        return cache.run_out
    assert url is not None

    def delete_what_ages() -> None:
        with redis.Redis.from_url(url) as client:
            for name in client.scan_iter("msg:*"):
                if 0 <= client.ttl(name) <= 30 * 60:
                    client.delete(name)

    return delete_what_ages


@pytest.fixture
async def limiting_cache(url: str | None) -> AsyncIterator[MessageCache]:
    """Lets a sender send three messages at once, and ten a second."""
    if url is None:
        yield MemoryCache(rates=Rates(rate=10, burst=3))
        return
    settings = Settings(redis_url=url, event_log_url=url, send_rate=10, send_burst=3)
    opened = RedisMessageCache(settings)
    yield opened
    await opened.close()


@pytest.fixture
async def small_cache(url: str | None) -> AsyncIterator[MessageCache]:
    """Lets three of `make_message` be pending, and no fourth one."""
    most = 7 * len(encode_message(make_message(1))) // 2
    if url is None:
        yield MemoryCache(most_pending_bytes=most)
        return
    settings = Settings(redis_url=url, event_log_url=url, send_rate=0, pending_bytes=most)
    opened = RedisMessageCache(settings)
    yield opened
    await opened.close()


pytestmark = pytest.mark.parametrize("url", ["memory", "embedded", real], indirect=True)

RunOut = Callable[[], None]


def stored(message: Message, seq: int) -> Message:
    return structs.replace(message, seq=seq)


def rows(*numbers: int) -> list[Message]:
    """The store's rows of these messages, numbered in order of id."""
    return [stored(make_message(n), seq) for seq, n in enumerate(numbers, start=1)]


async def window(
    cache: MessageCache,
    *,
    conversation_id: str = CONVERSATION,
    reader_id: int = READER,
    before: int | None = None,
    limit: int = 100,
) -> Window:
    return await cache.window(conversation_id, reader_id=reader_id, before=before, limit=limit)


async def listed(cache: MessageCache) -> list[int]:
    """The numbers (`make_message`) of what the conversation's list holds."""
    seen = await window(cache, limit=2_000)
    return sorted((i - FIRST_ID for i in (*ids(seen.messages), *seen.missing)), reverse=True)


def ids(messages: Sequence[Message]) -> list[int]:
    return [message.id for message in messages]


async def one(cache: MessageCache, message: Message) -> Message | None:
    return (await cache.get([message.id])).get(message.id)


async def load(
    cache: MessageCache, messages: Sequence[Message] = (), *, floor: int = 0, base: int = 0
) -> None:
    """What a history reader does that finds nothing loaded."""
    token = await cache.begin_fill(CONVERSATION)
    assert token is not None
    await cache.fill(CONVERSATION, token, messages, floor=floor, base=base)


async def is_pending(cache: MessageCache, message: Message) -> bool:
    entries = await cache.pending(before_ms=2**53 - 1, limit=10_000)
    return message.id in {entry.message_id for entry in entries}


class TestAccept:
    async def test_holds_a_new_message_pending_and_listed(self, cache: MessageCache) -> None:
        message = make_message(1, client_msg_id="k")

        assert await cache.accept([message], None) == [None]

        assert await cache.get([message.id, FIRST_ID + 2]) == {message.id: message}
        assert message.persist_status is PersistStatus.PENDING
        assert await cache.pending(before_ms=message.send_time + 1, limit=9) == [
            PendingEntry(message.id, message.send_time)
        ]
        assert (await window(cache)).messages == (message,)

    async def test_answers_a_repeat_with_the_first_claim(self, cache: MessageCache) -> None:
        first = make_message(1, client_msg_id="k")
        other = make_message(2, content="another body", client_msg_id="k")
        await cache.accept([first], None)

        claims = await cache.accept([other, make_message(3, client_msg_id="l")], None)

        assert claims == [Claim(first.id, first.body_hash), None]
        assert await one(cache, other) is None
        assert not await is_pending(cache, other)
        assert await listed(cache) == [3, 1]

    async def test_claims_for_a_stored_message_unless_another_came_first(
        self, cache: MessageCache
    ) -> None:
        first, other = (make_message(number, client_msg_id="k") for number in (1, 2))
        assert await cache.find_claim(first.from_user_id, "k") is None
        assert await cache.claim(first) is None
        assert await cache.claim(first) is None
        claim = Claim(first.id, first.body_hash)
        assert await cache.claim(other) == claim
        assert await cache.find_claim(first.from_user_id, "k") == claim
        assert await cache.accept([other], None) == [claim]

    async def test_an_id_of_a_repeat_leads_to_the_first_send(self, cache: MessageCache) -> None:
        first, repeat = (make_message(number).id for number in (1, 2))
        assert await cache.find_alias(repeat) is None
        for _ in range(2):
            await cache.add_alias(repeat, first)
        assert await cache.find_alias(repeat) == first
        assert await cache.find_alias(first) is None

    async def test_a_claim_is_its_senders_alone(self, cache: MessageCache) -> None:
        await cache.accept([make_message(1, client_msg_id="k")], None)

        assert (
            await cache.accept(
                [
                    make_message(2, from_user_id=2, to_id=1, client_msg_id="k"),
                    make_message(3, client_msg_id="K"),
                    make_message(4),
                    make_message(5),
                ],
                None,
            )
            == [None] * 4
        )

    async def test_counts_a_claim_made_earlier_in_the_same_call(self, cache: MessageCache) -> None:
        first = make_message(1, client_msg_id="k")

        claims = await cache.accept([first, make_message(2, client_msg_id="k")], None)

        assert claims == [None, Claim(first.id, first.body_hash)]
        assert await listed(cache) == [1]

    async def test_changes_nothing_when_repeated(self, cache: MessageCache) -> None:
        messages = [make_message(n, client_msg_id=f"k{n}") for n in range(1, 4)]
        await cache.accept(messages, None)

        assert await cache.accept(messages[1:], None) == [None, None]

        assert await listed(cache) == [3, 2, 1]
        assert await cache.pending_count() == 3

    async def test_lists_by_id_in_whatever_order_messages_arrive(self, cache: MessageCache) -> None:
        numbers = list(range(1, 200))
        random.Random(7).shuffle(numbers)

        for start in range(0, len(numbers), 40):
            part = numbers[start : start + 40]
            await cache.accept([make_message(n) for n in part], None)

        assert await listed(cache) == list(range(199, 0, -1))

    async def test_orders_ids_as_numbers_and_tells_large_ones_apart(
        self, cache: MessageCache
    ) -> None:
        large = [2**53, 2**53 + 1, 2**63 - 1, 2**63 - 2, 9, 10, 99, 100, 1]
        await cache.accept([structs.replace(make_message(1), id=i) for i in large], None)

        seen = (await window(cache)).messages

        assert ids(seen) == sorted(large, reverse=True)
        assert (await window(cache, before=2**63 - 1, limit=1)).messages[0].id == 2**63 - 2

    async def test_keeps_conversations_apart(self, cache: MessageCache) -> None:
        here, there = make_message(1), make_message(2, to_id=3)
        await cache.accept([here, there], None)

        assert (await window(cache)).messages == (here,)
        assert (await window(cache, conversation_id="1_3")).messages == (there,)

    async def test_never_overwrites_what_became_of_the_message(self, cache: MessageCache) -> None:
        late, recalled = make_message(1), make_message(2)
        await load(cache)
        await cache.mark_stored([stored(late, 1)])
        await cache.confirm_recall(stored(recalled.recalled(5), 2))

        await cache.accept([late, recalled], None)

        assert (await one(cache, recalled)) == stored(recalled.recalled(5), 2)
        assert not await is_pending(cache, recalled)
        assert await listed(cache) == [1]  # once, though it was stored before it was accepted

    async def test_refuses_under_another_owners_worker_id_and_writes_nothing(
        self, cache: MessageCache
    ) -> None:
        assert await cache.take_lease("worker:5", "another", 60)
        message = make_message(1, client_msg_id="k")

        with pytest.raises(LeaseLost):
            await cache.accept([message], LEASE)

        assert await one(cache, message) is None
        assert await cache.pending_count() == 0
        assert await listed(cache) == []
        assert await cache.accept([structs.replace(message, id=FIRST_ID + 2)], None) == [None]

    async def test_takes_a_worker_id_again_that_redis_forgot(self, cache: MessageCache) -> None:
        await cache.accept([make_message(1)], LEASE)

        assert not await cache.take_lease("worker:5", "another", 60)
        await cache.accept([make_message(2)], LEASE)

    async def test_does_not_ask_for_a_worker_id_that_the_store_leased(
        self, cache: MessageCache
    ) -> None:
        assert await cache.take_lease("worker:5", "another", 60)

        await cache.accept([make_message(1)], replace(LEASE, fenced=False))

        assert await listed(cache) == [1]

    @pytest.mark.parametrize(
        "content",
        [
            '"persistStatus":"PENDING"',
            '\\","seq":null,"status":"RECALLED","recallTime":1,"',
            "[]{}\u0000\u001f\u2028 %s %1 %%",
            "👩‍👩‍👧 שלום 你好 e\u0301 \U0010fffd",
            "x" * 16_384,
        ],
    )
    async def test_keeps_the_text_as_it_was_sent(self, cache: MessageCache, content: str) -> None:
        message = make_message(1, content=content, client_msg_id="status", at_user_ids=())
        await cache.accept([message], None)
        assert await one(cache, message) == message

        await cache.mark_stored([stored(message, 7)])

        assert await one(cache, message) == stored(message, 7)

    async def test_a_message_at_or_below_the_floor_leaves_the_count_to_the_store(
        self, cache: MessageCache
    ) -> None:
        await load(cache, rows(5, 6), floor=FIRST_ID + 4, base=3)

        await cache.accept([make_message(3)], None)

        assert (await window(cache)).floor is None
        assert await listed(cache) == [6, 5, 3]


class TestARowThatNobodyTold:
    """Its sender died between the store and the cache."""

    async def test_is_missed_when_the_next_one_is_stored(self, cache: MessageCache) -> None:
        await load(cache, rows(1))
        await cache.accept([make_message(3)], None)
        await cache.mark_stored([stored(make_message(3), 3)])  # 2 has the number 2

        assert (await window(cache)).floor is None
        assert await listed(cache) == [3, 1]

    async def test_costs_nothing_where_there_is_none(self, cache: MessageCache) -> None:
        await load(cache, rows(1))
        await cache.accept([make_message(2), make_message(3)], None)
        await cache.mark_stored([stored(make_message(3), 2)])
        await cache.mark_stored([stored(make_message(2), 3)])

        assert (await window(cache)).total == 3


class TestRates:
    async def test_a_sender_who_is_too_fast_waits_and_nothing_is_written(
        self, limiting_cache: MessageCache
    ) -> None:
        cache = limiting_cache
        sent = [make_message(n, client_msg_id=f"k{n}") for n in range(5)]
        verdicts = await cache.accept(sent, None)
        assert verdicts[:3] == [None] * 3
        for verdict in verdicts[3:]:
            assert isinstance(verdict, RateLimited)
            assert 0 < verdict.wait_s <= 0.1
        assert set(await cache.get([m.id for m in sent])) == {m.id for m in sent[:3]}
        assert await cache.pending_count() == 3
        assert len((await window(cache)).messages) == 3
        await asyncio.sleep(0.12)
        assert await cache.accept(sent[3:4], None) == [None]  # its claim was not taken either

    async def test_others_are_not_held_up(self, limiting_cache: MessageCache) -> None:
        fast = [make_message(n) for n in range(3)]
        other = make_message(3, from_user_id=2, to_id=1)
        assert await limiting_cache.accept([*fast, other], None) == [None] * 4
        (verdict,) = await limiting_cache.accept([make_message(4)], None)
        assert isinstance(verdict, RateLimited)

    async def test_waiting_senders_are_counted_over_all_calls(
        self, limiting_cache: MessageCache
    ) -> None:
        calls = [limiting_cache.accept([make_message(n)], None) for n in range(20)]
        verdicts = [verdict for (verdict,) in await asyncio.gather(*calls)]
        assert 3 <= verdicts.count(None) <= 8  # on a busy machine half a second may pass


class TestSharedRates:
    ADDRESS = SharedRate("address", "a", 2, 3)
    NAME = SharedRate("name", "n", 2, 5)

    async def test_a_burst_passes_and_then_the_rate(self, cache: MessageCache) -> None:
        assert [await cache.take_rates([self.ADDRESS]) for _ in range(3)] == [0.0] * 3
        assert 0 < await cache.take_rates([self.ADDRESS]) <= 0.5
        await asyncio.sleep(0.52)
        assert await cache.take_rates([self.ADDRESS]) == 0.0

    async def test_nothing_is_counted_where_one_of_them_is_used_up(
        self, cache: MessageCache
    ) -> None:
        slow = [replace(each, rate=0.01) for each in (self.ADDRESS, self.NAME)]
        waits = [await cache.take_rates(slow) for _ in range(9)]
        assert waits[:3] == [0.0] * 3
        assert all(99 < wait_s <= 100 for wait_s in waits[3:])
        other = replace(slow[0], key="b")
        assert [bool(await cache.take_rates([other, slow[1]])) for _ in range(3)] == [
            False,
            False,
            True,
        ]

    async def test_a_rate_of_zero_lets_all_pass(self, cache: MessageCache) -> None:
        free = replace(self.ADDRESS, rate=0, burst=0)
        assert [await cache.take_rates([free]) for _ in range(20)] == [0.0] * 20
        assert await cache.take_rates([free, self.NAME]) == 0.0


class TestMarkStored:
    async def test_a_pending_message_becomes_persisted(self, cache: MessageCache) -> None:
        message, other = make_message(1), make_message(2)
        await cache.accept([message, other], None)

        await cache.mark_stored([stored(message, 41)])
        await cache.mark_stored([stored(message, 41)])

        assert await one(cache, message) == stored(message, 41)
        assert await one(cache, other) == other
        assert not await is_pending(cache, message)
        assert await is_pending(cache, other)
        assert await listed(cache) == [2, 1]

    async def test_a_recall_in_the_cache_outlives_a_normal_row(self, cache: MessageCache) -> None:
        message = make_message(1)
        await cache.accept([message], None)
        await cache.claim_recall(message.id, 5)
        await cache.confirm_recall(message.recalled(5))

        await cache.mark_stored([stored(message, 3)])

        assert await one(cache, message) == stored(message.recalled(5), 3)
        assert await cache.recall_marks([message.id]) == {message.id: 5}
        assert not await is_pending(cache, message)

    async def test_a_tombstone_blanks_the_content_and_ends_the_recall_mark(
        self, cache: MessageCache
    ) -> None:
        message = make_message(1, url="/x", at_user_ids=(3,))
        await cache.accept([message], None)
        await cache.claim_recall(message.id, 5)

        await cache.mark_stored([stored(message.recalled(5), 3)])

        assert await one(cache, message) == stored(message.recalled(5), 3)
        assert await cache.recall_marks([message.id]) == {}
        assert not await is_pending(cache, message)

    async def test_a_tombstone_is_cached_even_if_nothing_was(self, cache: MessageCache) -> None:
        tombstone = stored(make_message(1).recalled(5), 3)

        await cache.mark_stored([tombstone])

        assert await one(cache, tombstone) == tombstone

    async def test_the_earlier_recall_time_stays_whatever_comes_later(
        self, cache: MessageCache
    ) -> None:
        message = stored(make_message(1), 3)
        for recall_time in (900, 1_000, 899, 950):
            await cache.mark_stored([message.recalled(recall_time)])

        assert await one(cache, message) == message.recalled(899)

    async def test_a_normal_row_is_not_cached_where_nothing_was(self, cache: MessageCache) -> None:
        await cache.mark_stored(rows(1))

        assert await cache.get([FIRST_ID + 1]) == {}
        assert await listed(cache) == []

    async def test_a_normal_row_never_takes_a_tombstone_back(self, cache: MessageCache) -> None:
        row = stored(make_message(1), 3)
        await cache.mark_stored([row.recalled(5)])

        await cache.mark_stored([row])

        assert await one(cache, row) == row.recalled(5)

    async def test_a_row_unknown_to_a_loaded_list_is_added_in_its_place(
        self, cache: MessageCache
    ) -> None:
        await load(cache, rows(1, 3, 5))

        await cache.mark_stored(rows(2, 4, 6))
        await cache.mark_stored(rows(2, 4, 6))

        seen = await window(cache)
        assert await listed(cache) == [6, 5, 4, 3, 2, 1]
        assert set(seen.missing) == {FIRST_ID + n for n in (2, 4, 6)}
        assert (seen.floor, seen.total) == (0, 6)

    async def test_a_row_is_the_first_of_a_conversation_known_to_be_empty(
        self, cache: MessageCache
    ) -> None:
        await load(cache)

        await cache.mark_stored(rows(1))

        seen = await window(cache)
        assert (await listed(cache), seen.floor, seen.total) == ([1], 0, 1)

    async def test_a_row_that_aged_out_is_not_counted_twice(
        self, cache: MessageCache, run_out: RunOut
    ) -> None:
        first, second = make_message(1), make_message(2)
        await cache.accept([first, second], None)
        await load(cache)
        await cache.mark_stored([stored(first, 1)])  # ages; the list does not

        run_out()
        await cache.mark_stored([stored(first, 1)])

        seen = await window(cache)
        assert seen.missing == (first.id,)
        assert (await listed(cache), seen.floor, seen.total) == ([2, 1], 0, 2)

    @pytest.mark.parametrize("number", [4, 2])
    async def test_a_row_at_or_below_the_floor_leaves_the_count_to_the_store(
        self, cache: MessageCache, number: int
    ) -> None:
        await load(cache, rows(5, 6), floor=FIRST_ID + 4, base=3)

        await cache.mark_stored([stored(make_message(number), 9)])

        assert (await window(cache)).floor is None

    async def test_an_accepted_row_keeps_the_list_loaded(self, cache: MessageCache) -> None:
        await load(cache, rows(5, 6), floor=FIRST_ID + 4, base=3)
        messages = [make_message(n) for n in (7, 8)]
        await cache.accept(messages, None)

        await cache.mark_stored([stored(m, n) for n, m in enumerate(messages, 6)])

        seen = await window(cache)
        assert (seen.floor, seen.total) == (FIRST_ID + 4, 7)
        assert await listed(cache) == [8, 7, 6, 5]

    async def test_an_accepted_row_that_lost_its_list_is_listed_again(
        self, cache: MessageCache, run_out: RunOut
    ) -> None:
        stuck, newer = make_message(1), make_message(2)
        await cache.accept([stuck, newer], None)
        await cache.mark_stored([stored(newer, 1)])
        run_out()
        await load(cache, [stored(newer, 1)])

        await cache.mark_stored([stored(stuck, 2)])

        seen = await window(cache)
        assert (await listed(cache), seen.floor, seen.total) == ([2, 1], 0, 2)

    async def test_takes_a_batch_over_many_conversations(self, cache: MessageCache) -> None:
        messages = [make_message(n, to_id=2 + n % 50) for n in range(500)]
        await cache.accept(messages, None)
        await cache.mark_stored([stored(m, 1) for m in messages])

        assert await cache.pending_count() == 0
        assert await cache.get(ids(messages)) == {m.id: stored(m, 1) for m in messages}

    async def test_refuses_what_is_no_row(self, cache: MessageCache) -> None:
        with pytest.raises(ValueError, match="no seq"):
            await cache.mark_stored([make_message(1)])


class TestMarkFolded:
    async def test_forgets_the_repeat_and_claims_for_the_first(self, cache: MessageCache) -> None:
        first = stored(make_message(1, client_msg_id="k"), 1)
        repeat = make_message(3, client_msg_id="k")
        await load(cache, [first])
        await cache.accept([make_message(2), repeat], None)
        await cache.retry([repeat])

        await cache.mark_folded({repeat.id: first})
        await cache.mark_folded({repeat.id: first})

        seen = await window(cache)
        assert (await listed(cache), seen.floor) == ([2, 1], None)
        assert await one(cache, repeat) is None
        assert not await is_pending(cache, repeat)
        claims = await cache.accept([make_message(9, client_msg_id="k")], None)
        assert claims == [Claim(first.id, first.body_hash)]

    async def test_hides_no_row_that_nobody_told(self, cache: MessageCache) -> None:
        """The repeat made up the number when the next row was told."""
        first = stored(make_message(3, client_msg_id="k"), 3)
        repeat = make_message(4, client_msg_id="k")
        await load(cache, [stored(make_message(1), 1)])
        await cache.accept([repeat], None)  # the row with seq 2 is unknown here
        await cache.mark_stored([first])
        await cache.mark_folded({repeat.id: first})
        assert (await window(cache)).floor is None

    async def test_forgets_a_repeat_that_went_to_another_conversation(
        self, cache: MessageCache
    ) -> None:
        first = stored(make_message(1, client_msg_id="k"), 1)
        repeat = make_message(3, to_id=9, client_msg_id="k")
        await cache.accept([repeat], None)

        await cache.mark_folded({repeat.id: first})

        assert (await window(cache, conversation_id="1_9")).messages == ()
        assert (await window(cache, conversation_id="1_9")).missing == ()

    async def test_ends_the_recall_mark_of_the_repeat(self, cache: MessageCache) -> None:
        first = stored(make_message(1, client_msg_id="k"), 1)
        repeat = make_message(3, client_msg_id="k")
        await cache.accept([repeat], None)
        await cache.claim_recall(repeat.id, 5)

        await cache.mark_folded({repeat.id: first})

        assert await cache.recall_marks([repeat.id]) == {}


class TestPark:
    async def test_drops_the_pending_mark_and_leaves_the_list_to_the_store(
        self, cache: MessageCache
    ) -> None:
        await load(cache, rows(1))
        bad, good = make_message(2), make_message(3)
        await cache.accept([bad, good], None)

        await cache.park([bad])

        assert not await is_pending(cache, bad)
        assert await is_pending(cache, good)
        assert await listed(cache) == [3, 1]
        assert (await window(cache)).floor is None

    async def test_lets_the_detail_age(self, cache: MessageCache, run_out: RunOut) -> None:
        bad = make_message(2)
        await cache.accept([bad], None)

        await cache.park([bad])
        assert await one(cache, bad) == bad

        run_out()
        assert await one(cache, bad) is None

    @pytest.mark.parametrize("is_folded", [False, True])
    async def test_lets_the_list_age_that_was_kept_for_it(
        self, cache: MessageCache, run_out: RunOut, is_folded: bool
    ) -> None:
        await load(cache, rows(1))
        gone, other = (structs.replace(make_message(n), client_msg_id=f"k{n}") for n in (3, 2))
        await cache.accept([gone, other], None)

        async def end(message: Message) -> None:
            if is_folded:
                await cache.mark_folded({message.id: stored(make_message(1, client_msg_id="k"), 1)})
            else:
                await cache.park([message])

        await end(gone)
        run_out()
        assert await listed(cache) == [2, 1]  # kept for the other one
        await end(other)
        run_out()
        assert await listed(cache) == []

    async def test_does_not_let_it_age_that_is_pending_again(
        self, small_cache: MessageCache, run_out: RunOut
    ) -> None:
        """It was accepted twice, and the second time came late."""
        bad, others = make_message(1), [make_message(n) for n in range(2, 6)]
        for _ in range(3):
            await small_cache.accept([bad], None)
            await small_cache.park([bad])
        await small_cache.accept([bad], None)

        run_out()
        assert await is_pending(small_cache, bad)
        assert await one(small_cache, bad) == bad
        full = PendingFull.FULL
        assert await small_cache.accept(others, None) == [None, None, full, full]


class TestRecall:
    async def test_the_first_recall_time_counts(self, cache: MessageCache) -> None:
        message = make_message(1)
        await cache.accept([message], None)

        assert await cache.claim_recall(message.id, 5) == 5
        assert await cache.claim_recall(message.id, 6) == 5
        assert await cache.recall_marks([message.id, FIRST_ID]) == {message.id: 5}

    async def test_a_recalled_message_keeps_its_time_and_gets_no_mark(
        self, cache: MessageCache
    ) -> None:
        row = stored(make_message(1), 3)
        await cache.mark_stored([row.recalled(5)])

        assert await cache.claim_recall(row.id, 9) == 5
        assert await cache.recall_marks([row.id]) == {}

    async def test_a_mark_is_taken_back_by_the_one_who_set_it(self, cache: MessageCache) -> None:
        message = make_message(1)
        await cache.accept([message], None)
        await cache.claim_recall(message.id, 5)

        await cache.release_recall(message.id, 6)
        assert await cache.recall_marks([message.id]) == {message.id: 5}

        await cache.release_recall(message.id, 5)
        assert await cache.recall_marks([message.id]) == {}
        assert await one(cache, message) == message

    async def test_a_mark_stays_once_a_recall_went_through(self, cache: MessageCache) -> None:
        message = make_message(1)
        await cache.accept([message], None)
        await cache.claim_recall(message.id, 5)
        await cache.confirm_recall(message.recalled(5))

        await cache.release_recall(message.id, 5)

        assert await cache.recall_marks([message.id]) == {message.id: 5}

    async def test_blanks_a_pending_message_which_stays_pending(self, cache: MessageCache) -> None:
        message = make_message(1, url="/secret", at_user_ids=(3,))
        await cache.accept([message], None)
        await cache.claim_recall(message.id, 5)

        await cache.confirm_recall(message.recalled(5))

        assert (await window(cache)).messages == (message.recalled(5),)
        assert await is_pending(cache, message)

    async def test_blanks_a_persisted_message_which_keeps_its_seq(
        self, cache: MessageCache
    ) -> None:
        message = make_message(1)
        await cache.accept([message], None)
        await cache.claim_recall(message.id, 5)
        await cache.mark_stored([stored(message, 41)])

        await cache.confirm_recall(message.recalled(5))  # made before it was stored

        assert await one(cache, message) == stored(message.recalled(5), 41)

    async def test_the_tombstone_stays_while_the_mark_does(
        self, cache: MessageCache, run_out: RunOut
    ) -> None:
        message = make_message(1)
        tombstone = stored(message.recalled(5), 41)
        await cache.accept([message], None)
        await cache.mark_stored([stored(message, 41)])
        await cache.claim_recall(message.id, 5)
        await cache.confirm_recall(message.recalled(5))
        await cache.confirm_recall(message.recalled(5))
        await cache.mark_stored([stored(message, 41)])

        run_out()
        assert await one(cache, message) == tombstone
        assert await cache.recall_marks([message.id]) == {message.id: 5}

        await cache.mark_stored([tombstone])
        assert await one(cache, message) == tombstone
        run_out()
        assert await one(cache, message) is None

    async def test_the_tombstone_stays_when_only_the_content_was_stored(
        self, cache: MessageCache, run_out: RunOut
    ) -> None:
        message = make_message(1)
        await cache.accept([message], None)
        await cache.claim_recall(message.id, 5)
        await cache.confirm_recall(message.recalled(5))
        await cache.mark_stored([stored(message, 41)])

        run_out()

        assert await one(cache, message) == stored(message.recalled(5), 41)

    async def test_is_cached_where_nothing_was(self, cache: MessageCache) -> None:
        tombstone = stored(make_message(1).recalled(5), 41)
        await cache.claim_recall(tombstone.id, 5)

        await cache.confirm_recall(tombstone)

        assert await one(cache, tombstone) == tombstone

    async def test_confirming_after_the_tombstone_was_stored_leaves_no_mark(
        self, cache: MessageCache, run_out: RunOut
    ) -> None:
        message = make_message(1)
        await cache.accept([message], None)
        await cache.claim_recall(message.id, 5)
        await cache.mark_stored([stored(message.recalled(5), 41)])

        await cache.confirm_recall(message.recalled(5))

        assert await one(cache, message) == stored(message.recalled(5), 41)
        assert await cache.recall_marks([message.id]) == {}
        run_out()
        assert await one(cache, message) is None


class TestWindow:
    async def test_knows_nothing_of_a_conversation_never_loaded(self, cache: MessageCache) -> None:
        assert await window(cache) == Window()

    async def test_walks_down_the_list(self, cache: MessageCache) -> None:
        messages = [make_message(n) for n in range(1, 8)]
        await cache.accept(messages, None)

        top = await window(cache, limit=3)
        middle = await window(cache, before=messages[4].id, limit=3)
        end = await window(cache, before=messages[1].id, limit=3)
        nothing = await window(cache, before=messages[0].id, limit=3)

        assert [m.id - FIRST_ID for m in top.messages] == [7, 6, 5]
        assert [m.id - FIRST_ID for m in middle.messages] == [4, 3, 2]
        assert [m.id - FIRST_ID for m in end.messages] == [1]
        assert nothing.messages == ()
        assert [w.end for w in (top, middle, end, nothing)] == [
            FIRST_ID + 5,
            FIRST_ID + 2,
            None,
            None,
        ]

    async def test_begins_below_an_id_that_is_not_listed(self, cache: MessageCache) -> None:
        await cache.accept([make_message(n) for n in (2, 4, 6, 8)], None)

        for before, expected in ((9, [8, 6]), (7, [6, 4]), (3, [2]), (1, [])):
            seen = await window(cache, before=FIRST_ID + before, limit=2)
            assert [m.id - FIRST_ID for m in seen.messages] == expected

    async def test_tells_which_details_are_not_cached(
        self, cache: MessageCache, run_out: RunOut
    ) -> None:
        first, second = make_message(1), make_message(2)
        await cache.accept([first, second], None)
        await cache.mark_stored([stored(first, 1)])
        run_out()

        seen = await window(cache)

        assert (seen.messages, seen.missing) == ((second,), (first.id,))

    async def test_an_empty_conversation_is_known_to_be_empty(self, cache: MessageCache) -> None:
        await load(cache)

        seen = await window(cache)

        assert (seen.floor, seen.total, seen.messages) == (0, 0, ())

    async def test_counts_the_whole_conversation(self, cache: MessageCache) -> None:
        await load(cache, rows(5, 6), floor=FIRST_ID + 4, base=1_234_567)
        await cache.accept([make_message(7)], None)

        seen = await window(cache, limit=1)

        assert (seen.floor, seen.total, seen.end) == (FIRST_ID + 4, 1_234_570, FIRST_ID + 7)

    async def test_leaves_out_the_readers_deletes_and_nobody_elses(
        self, cache: MessageCache
    ) -> None:
        first, second, third = (make_message(n) for n in (1, 2, 3))
        await cache.accept([first, second, third], None)
        await cache.add_deletes(1, [first.id])
        await cache.add_deletes(2, [third.id, FIRST_ID + 77], floor=0)

        mine, other = await window(cache, reader_id=1), await window(cache, reader_id=2)

        assert (mine.messages, mine.deletes_floor) == ((third, second), None)
        assert (other.messages, other.deletes_floor) == ((second, first), 0)
        assert mine.end is other.end is None

    async def test_looks_past_deletes_until_it_has_enough(self, cache: MessageCache) -> None:
        await load(cache, rows(1, 2))
        await cache.accept([make_message(n) for n in range(3, 1_000)], None)
        deleted = {n for n in range(1, 1_000) if n > 600 or n % 3 == 0}
        await cache.add_deletes(READER, [FIRST_ID + n for n in deleted], floor=0)

        seen = await window(cache, limit=5)
        below = await window(cache, before=seen.end, limit=500)

        assert [m.id - FIRST_ID for m in seen.messages] == [599, 598, 596, 595, 593]
        assert (seen.end, seen.total) == (FIRST_ID + 593, 999)
        kept = [n for n in range(592, 0, -1) if n not in deleted]
        assert [m.id - FIRST_ID for m in below.messages] == kept
        assert below.end is None

    async def test_gives_up_in_time_where_all_is_deleted(self, cache: MessageCache) -> None:
        count = keys.MOST_LOOKED_AT + 5
        await cache.accept([make_message(n) for n in range(1, count + 1)], None)
        await cache.add_deletes(READER, [FIRST_ID + n for n in range(2, count + 1)], floor=0)

        seen = await window(cache, limit=10)
        below = await window(cache, before=seen.end, limit=10)

        assert (seen.messages, seen.end) == ((), FIRST_ID + 6)
        assert ([m.id for m in below.messages], below.end) == ([FIRST_ID + 1], None)


class TestLargeWindows:
    LARGE = "\U0001f600" * 4_096

    async def accepted(self, cache: MessageCache, count: int) -> list[int]:
        messages = [make_message(n, content=self.LARGE) for n in range(count)]
        await cache.accept(messages, None)
        return [message.id for message in messages[::-1]]

    async def test_a_window_ends_where_its_texts_have_so_many_bytes(
        self, cache: MessageCache
    ) -> None:
        ids = await self.accepted(cache, 70)
        first = await window(cache)
        shown = [m.id for m in first.messages]
        assert shown == ids[: len(shown)]
        taken = [len(encode_message(m)) for m in first.messages]
        assert sum(taken[:-1]) < MAX_WINDOW_BYTES <= sum(taken)
        assert first.end == shown[-1]
        assert first.missing == ()
        while first.end is not None:
            first = await window(cache, before=first.end)
            shown += [m.id for m in first.messages]
        assert shown == ids

    async def test_one_that_is_not_reached_by_its_end_has_no_end(self, cache: MessageCache) -> None:
        ids = await self.accepted(cache, 31)
        seen = await window(cache)
        assert ([m.id for m in seen.messages], seen.end) == (ids, None)

    async def test_ids_alone_are_listed_whatever_they_say(self, cache: MessageCache) -> None:
        ids = await self.accepted(cache, 70)
        await cache.add_deletes(READER, [ids[1]], floor=0)
        seen = await cache.listed(CONVERSATION, reader_id=READER, before=None, limit=60)
        assert (seen.messages, list(seen.missing)) == ((), [ids[0], *ids[2:61]])
        assert (seen.end, seen.deletes_floor) == (ids[60], 0)
        rest = await cache.listed(CONVERSATION, reader_id=READER, before=ids[60], limit=60)
        assert (list(rest.missing), rest.end) == (ids[61:], None)


class TestLook:
    async def test_tells_states_and_deletes(self, cache: MessageCache) -> None:
        first, second, third = (make_message(n) for n in (1, 2, 3))
        await cache.accept([first, second], None)
        await cache.add_deletes(READER, [second.id, third.id], floor=FIRST_ID)

        look = await cache.look([third.id, first.id, second.id], reader_id=READER)

        assert look.messages == {first.id: first, second.id: second}
        assert look.deleted == {second.id, third.id}
        assert look.deletes_floor == FIRST_ID

    async def test_knows_nothing_of_another_readers_deletes(self, cache: MessageCache) -> None:
        await cache.add_deletes(READER, [FIRST_ID + 1], floor=0)

        assert await cache.look([FIRST_ID + 1], reader_id=READER + 1) == Look()

    async def test_of_deletes_that_may_not_be_all_has_no_floor(self, cache: MessageCache) -> None:
        await cache.add_deletes(READER, [FIRST_ID + 1])

        look = await cache.look([FIRST_ID + 1, FIRST_ID + 2], reader_id=READER)

        assert (look.deleted, look.deletes_floor) == ({FIRST_ID + 1}, None)

    async def test_looks_at_many(self, cache: MessageCache) -> None:
        messages = [make_message(n) for n in range(1, 1_202)]
        await cache.accept(messages, None)
        await cache.add_deletes(READER, [messages[1_200].id])

        look = await cache.look([m.id for m in messages], reader_id=READER)

        assert list(look.messages.values()) == messages
        assert look.deleted == {messages[1_200].id}


class TestDeletes:
    async def test_what_was_known_before_is_kept(self, cache: MessageCache) -> None:
        await cache.accept([make_message(n) for n in (1, 2, 3)], None)
        await cache.add_deletes(READER, [FIRST_ID + 1], floor=0)

        await cache.add_deletes(READER, [FIRST_ID + 2])
        await cache.add_deletes(READER, [FIRST_ID + 2])

        seen = await window(cache)
        assert ([m.id for m in seen.messages], seen.deletes_floor) == ([FIRST_ID + 3], 0)

    @pytest.mark.parametrize("floors", [(90, 100), (100, 90), (99, 100, 90)])
    async def test_are_complete_above_the_lowest_floor(
        self, cache: MessageCache, floors: tuple[int, ...]
    ) -> None:
        for floor in floors:
            await cache.add_deletes(READER, [], floor=floor)

        assert (await window(cache)).deletes_floor == 90

    async def test_are_found_among_thousands(self, cache: MessageCache) -> None:
        await cache.accept([make_message(n) for n in range(1, 101)], None)
        await cache.add_deletes(READER, [FIRST_ID + n for n in range(50, 5_000)], floor=FIRST_ID)

        seen = await window(cache)

        assert [m.id - FIRST_ID for m in seen.messages] == list(range(49, 0, -1))
        assert seen.deletes_floor == FIRST_ID

    async def test_are_forgotten_whole(self, cache: MessageCache, run_out: RunOut) -> None:
        await cache.accept([make_message(1)], None)
        await cache.add_deletes(READER, [FIRST_ID + 1], floor=0)

        run_out()

        seen = await window(cache)
        assert (len(seen.messages), seen.deletes_floor) == (1, None)

    async def test_added_after_all_was_forgotten_may_not_be_all(
        self, cache: MessageCache, run_out: RunOut
    ) -> None:
        await cache.add_deletes(READER, [FIRST_ID + 1], floor=0)
        run_out()
        await cache.add_deletes(READER, [FIRST_ID + 2])

        assert (await window(cache)).deletes_floor is None


class TestFill:
    async def test_loads_the_tail_with_its_details(self, cache: MessageCache) -> None:
        await load(cache, rows(1, 2, 3)[::-1])

        seen = await window(cache)

        assert seen.messages == tuple(rows(1, 2, 3)[::-1])
        assert (seen.floor, seen.total, seen.missing) == (0, 3, ())

    async def test_is_one_readers_at_a_time(self, cache: MessageCache) -> None:
        token = await cache.begin_fill(CONVERSATION)
        assert token is not None

        assert await cache.begin_fill(CONVERSATION) is None
        await cache.fill(CONVERSATION, "0123456789abcdef", rows(1), floor=0, base=0)
        assert (await window(cache)).floor is None

        await cache.fill(CONVERSATION, token, rows(1), floor=0, base=0)
        assert (await window(cache)).floor == 0
        assert await cache.begin_fill(CONVERSATION) is None

    async def test_keeps_what_was_accepted_meanwhile(self, cache: MessageCache) -> None:
        await cache.accept([make_message(3)], None)
        token = await cache.begin_fill(CONVERSATION)
        await cache.accept([make_message(2), make_message(4)], None)

        await cache.fill(CONVERSATION, str(token), rows(1), floor=0, base=0)

        seen = await window(cache)
        assert (await listed(cache), seen.floor, seen.total) == ([4, 3, 2, 1], 0, 4)

    async def test_does_nothing_when_a_row_came_past_the_cache_meanwhile(
        self, cache: MessageCache
    ) -> None:
        token = await cache.begin_fill(CONVERSATION)
        await cache.mark_stored(rows(9))  # the store was read before that

        await cache.fill(CONVERSATION, str(token), rows(1), floor=0, base=0)

        assert (await window(cache)) == Window()

    async def test_does_nothing_when_a_message_that_lost_its_list_was_stored_meanwhile(
        self, cache: MessageCache, run_out: RunOut
    ) -> None:
        stuck, newer = make_message(1), make_message(2)
        await cache.accept([stuck, newer], None)
        await cache.mark_stored([stored(newer, 1)])
        run_out()
        token = await cache.begin_fill(CONVERSATION)
        await cache.mark_stored([stored(stuck, 2)])

        await cache.fill(CONVERSATION, str(token), [stored(newer, 1)], floor=0, base=0)

        assert (await window(cache)).floor is None

    async def test_counts_each_message_once(self, cache: MessageCache) -> None:
        accepted = [make_message(n) for n in (1, 2, 3, 4)]
        await cache.accept(accepted, None)
        await cache.mark_stored([stored(m, n) for n, m in enumerate(accepted[:3], 1)])

        await load(cache, rows(1, 2, 3)[1:], floor=FIRST_ID + 1, base=1)

        seen = await window(cache)
        assert (await listed(cache), seen.floor, seen.total) == ([4, 3, 2], FIRST_ID + 1, 4)

    async def test_drops_what_the_store_counts_below_the_floor(self, cache: MessageCache) -> None:
        accepted = [make_message(n) for n in (1, 2)]
        await cache.accept(accepted, None)
        await cache.mark_stored([stored(m, n) for n, m in enumerate(accepted, 1)])

        await load(cache, rows(5, 6), floor=FIRST_ID + 4, base=2)

        seen = await window(cache)
        assert (await listed(cache), seen.floor, seen.total) == ([6, 5], FIRST_ID + 4, 4)

    async def test_gives_way_when_a_pending_message_may_be_counted_below_the_floor(
        self, cache: MessageCache
    ) -> None:
        await cache.accept([make_message(1)], None)

        await load(cache, rows(5, 6), floor=FIRST_ID + 4, base=1)

        assert (await window(cache)).floor is None
        assert await listed(cache) == [1]
        assert await cache.begin_fill(CONVERSATION) is not None  # the next reader tries again

    async def test_gives_way_when_a_message_below_the_floor_was_stored_meanwhile(
        self, cache: MessageCache
    ) -> None:
        messages = [make_message(n) for n in (1, 2, 7)]
        await cache.accept(messages, None)
        token = await cache.begin_fill(CONVERSATION)
        await cache.mark_stored([stored(m, n) for n, m in enumerate(messages[::-1], 1)])

        await cache.fill(CONVERSATION, str(token), rows(5, 6), floor=FIRST_ID + 4, base=0)

        assert (await window(cache)).floor is None

    async def test_is_not_hindered_by_a_newer_message_that_was_stored_meanwhile(
        self, cache: MessageCache
    ) -> None:
        messages = [make_message(n) for n in (7, 8)]
        await cache.accept(messages, None)
        token = await cache.begin_fill(CONVERSATION)
        await cache.mark_stored([stored(m, n) for n, m in enumerate(messages, 1)])

        await cache.fill(CONVERSATION, str(token), rows(5, 6), floor=FIRST_ID + 4, base=3)

        seen = await window(cache)
        assert (await listed(cache), seen.floor, seen.total) == ([8, 7, 6, 5], FIRST_ID + 4, 7)

    async def test_never_lowers_a_cached_state(self, cache: MessageCache) -> None:
        recalled, pending = make_message(1), make_message(2)
        await cache.accept([recalled, pending], None)
        await cache.claim_recall(recalled.id, 5)
        await cache.confirm_recall(recalled.recalled(5))

        await load(cache, rows(1, 2))

        assert (await window(cache)).messages == (pending, recalled.recalled(5))

    async def test_never_shows_content_under_a_recall_mark(self, cache: MessageCache) -> None:
        await cache.claim_recall(FIRST_ID + 1, 5)

        await load(cache, rows(1, 2))
        await cache.add_details(rows(1))

        seen = await window(cache)
        assert (seen.messages, seen.missing) == ((rows(1, 2)[1],), (FIRST_ID + 1,))

    async def test_blanks_cached_content_that_the_store_knows_to_be_recalled(
        self, cache: MessageCache
    ) -> None:
        message = make_message(1)
        await cache.accept([message], None)
        await cache.mark_stored([stored(message, 1)])

        await load(cache, [stored(message, 1).recalled(5)])

        assert (await window(cache)).messages == (stored(message, 1).recalled(5),)

    async def test_takes_a_thousand_rows(self, cache: MessageCache) -> None:
        numbers = range(1, 1_001)

        await load(cache, rows(*numbers)[::-1], floor=FIRST_ID, base=5)

        seen = await window(cache, limit=100)
        assert [m.id - FIRST_ID for m in seen.messages] == list(range(1_000, 900, -1))
        assert (seen.floor, seen.total) == (FIRST_ID, 1_005)


class TestAddDetails:
    async def test_caches_rows_and_lists_nothing(self, cache: MessageCache) -> None:
        await cache.add_details(rows(1, 2))

        assert await cache.get([FIRST_ID + 1, FIRST_ID + 2]) == {r.id: r for r in rows(1, 2)}
        assert await listed(cache) == []

    async def test_never_overwrites_a_cached_state(self, cache: MessageCache) -> None:
        message = make_message(1)
        await cache.accept([message], None)

        await cache.add_details(rows(1))

        assert await one(cache, message) == message


class TestTheCap:
    async def test_the_oldest_make_room_and_are_counted(self, cache: MessageCache) -> None:
        await load(cache)
        for start in (0, 400, 800):
            messages = [make_message(n) for n in range(start + 1, start + 401)]
            await cache.accept(messages, None)
            await cache.mark_stored([stored(m, m.id - FIRST_ID) for m in messages])
        for n in range(1_201, 1_204):
            await cache.accept([make_message(n)], None)

        seen = await window(cache)

        assert await listed(cache) == list(range(1_203, 203, -1))
        assert (seen.floor, seen.total) == (FIRST_ID + 203, 1_203)

    async def test_a_pending_message_is_never_trimmed(self, cache: MessageCache) -> None:
        await load(cache)
        for start in (0, 400, 800):
            messages = [make_message(n) for n in range(start + 1, start + 401)]
            await cache.accept(messages, None)

        seen = await window(cache)

        assert await listed(cache) == list(range(1_200, 0, -1))
        assert (seen.floor, seen.total) == (0, 1_200)

    async def test_a_list_that_is_not_loaded_is_trimmed_too(self, cache: MessageCache) -> None:
        for start in (0, 500):
            messages = [make_message(n) for n in range(start + 1, start + 501)]
            await cache.accept(messages, None)
            await cache.mark_stored([stored(m, m.id - FIRST_ID) for m in messages])

        await cache.accept([make_message(1_001)], None)

        assert await listed(cache) == list(range(1_001, 1, -1))
        assert (await window(cache)).floor is None

    async def test_holds_for_a_fill(self, cache: MessageCache) -> None:
        await cache.accept([make_message(n) for n in range(2_001, 2_101)], None)

        await load(cache, rows(*range(1, 1_001)))

        seen = await window(cache)
        assert (len(await listed(cache)), seen.floor, seen.total) == (1_000, FIRST_ID + 100, 1_100)

    async def test_a_fill_gives_way_when_the_list_was_trimmed_meanwhile(
        self, cache: MessageCache
    ) -> None:
        for start in (0, 500):
            messages = [make_message(n) for n in range(start + 1, start + 501)]
            await cache.accept(messages, None)
            await cache.mark_stored([stored(m, m.id - FIRST_ID) for m in messages])
        token = await cache.begin_fill(CONVERSATION)
        await cache.accept([make_message(1_001)], None)

        await cache.fill(CONVERSATION, str(token), rows(2), floor=FIRST_ID + 1, base=1)

        assert (await window(cache)).floor is None


class TestLife:
    async def test_a_pending_message_never_ages(self, cache: MessageCache, run_out: RunOut) -> None:
        message = make_message(1)
        await load(cache)
        await cache.accept([message], None)

        for _ in range(2):
            run_out()
            seen = await window(cache)
            assert (seen.messages, seen.floor, seen.total) == ((message,), 0, 1)

    async def test_a_pending_tombstone_never_ages(
        self, cache: MessageCache, run_out: RunOut
    ) -> None:
        message = make_message(1)
        await cache.accept([message], None)
        await cache.confirm_recall(message.recalled(5))  # the mark was lost

        run_out()

        assert await one(cache, message) == message.recalled(5)

    async def test_what_is_stored_ages(self, cache: MessageCache, run_out: RunOut) -> None:
        message = make_message(1)
        await load(cache)
        await cache.accept([message], None)
        await cache.mark_stored([stored(message, 1)])

        run_out()

        assert await window(cache) == Window()
        assert await one(cache, message) is None

    async def test_a_filled_list_ages_and_one_with_a_pending_head_does_not(
        self, cache: MessageCache, run_out: RunOut
    ) -> None:
        await load(cache, rows(1))
        run_out()
        assert await window(cache) == Window()

        await cache.accept([make_message(2)], None)
        await load(cache, rows(1))
        run_out()
        assert (await window(cache)).floor == 0
        assert await listed(cache) == [2, 1]

    async def test_a_retried_message_comes_back_into_its_list(
        self, cache: MessageCache, run_out: RunOut
    ) -> None:
        stuck, newer = make_message(1), make_message(2)
        await cache.accept([stuck, newer], None)
        await cache.mark_stored([stored(newer, 1)])
        run_out()  # the head is stored, so the list has aged
        assert await listed(cache) == []

        await cache.retry([stuck])
        run_out()

        assert (await window(cache)).messages == (stuck,)

    async def test_a_retried_message_keeps_its_list(
        self, cache: MessageCache, run_out: RunOut
    ) -> None:
        stuck, newer = make_message(1), make_message(2)
        await load(cache)
        await cache.accept([stuck, newer], None)
        await cache.mark_stored([stored(newer, 1)])

        await cache.retry([stuck])
        run_out()

        seen = await window(cache)
        assert (await listed(cache), seen.floor, seen.total) == ([2, 1], 0, 2)


class TestPending:
    async def test_lists_the_oldest_first_up_to_a_moment(self, cache: MessageCache) -> None:
        times = {3: 1_000, 1: 2_000, 2: 2_000, 4: 3_000}
        messages = [structs.replace(make_message(n), send_time=time) for n, time in times.items()]
        await cache.accept(messages, None)

        found = await cache.pending(before_ms=3_000, limit=10)

        assert [entry.message_id - FIRST_ID for entry in found] == [3, 1, 2]
        assert [entry.send_time for entry in found] == [1_000, 2_000, 2_000]
        assert await cache.pending_count() == 4

    @pytest.mark.parametrize("limit", [1, 2, 3, 7, 100])
    async def test_is_walked_without_holes_or_repeats(
        self, cache: MessageCache, limit: int
    ) -> None:
        messages = [structs.replace(make_message(n), send_time=1_000 + n // 6) for n in range(20)]
        await cache.accept(messages, None)

        walked: list[PendingEntry] = []
        while part := await cache.pending(
            before_ms=5_000, limit=limit, after=walked[-1] if walked else None
        ):
            assert len(part) <= limit
            walked += part
            # Some of what is dealt with leaves the set while it is walked.
            if part[-1].message_id % 3 == 0:
                (last,) = (m for m in messages if m.id == part[-1].message_id)
                await cache.mark_stored([stored(last, 1)])

        assert [entry.message_id for entry in walked] == ids(messages)

    async def test_shows_the_newest_first_to_people(self, cache: MessageCache) -> None:
        messages = [make_message(n << 22) for n in range(5)]
        await cache.accept(messages, None)

        found = await cache.newest_pending(offset=1, limit=2)

        assert found == [PendingEntry(m.id, m.send_time) for m in (messages[3], messages[2])]
        assert await cache.newest_pending(offset=5, limit=2) == []

    async def test_counts_attempts_until_the_message_is_stored(self, cache: MessageCache) -> None:
        first, second = make_message(1), make_message(2)
        await cache.accept([first, second], None)

        assert await cache.retry([first, second]) == {first.id: 1, second.id: 1}
        assert await cache.retry([first]) == {first.id: 2}
        await cache.mark_stored([stored(first, 1)])

        assert await cache.retry([first, second]) == {first.id: 0, second.id: 2}
        assert await cache.attempts([first.id, second.id, 5]) == {first.id: 0, second.id: 2, 5: 0}
        assert await cache.attempts([]) == {}
        await cache.accept([structs.replace(first, id=FIRST_ID + 3)], None)
        assert await listed(cache) == [3, 2, 1]


class TestLeases:
    async def test_is_one_owners_at_a_time(self, cache: MessageCache) -> None:
        assert await cache.take_lease("lease:compensation", "a", 60)
        assert await cache.take_lease("lease:compensation", "a", 60)
        assert not await cache.take_lease("lease:compensation", "b", 60)
        assert await cache.take_lease("worker:1", "b", 60)

    async def test_anybody_may_ask_whether_it_is_held(self, cache: MessageCache) -> None:
        assert not await cache.is_leased("swept")
        await cache.take_lease("swept", "a", 0.05)
        assert not await cache.is_leased("worker:1")
        async with asyncio.timeout(5):
            while await cache.is_leased("swept"):
                await asyncio.sleep(0.01)
        await cache.take_lease("swept", "a", 60)
        assert await cache.is_leased("swept")

    async def test_is_free_when_its_time_is_over(self, cache: MessageCache) -> None:
        await cache.take_lease("worker:1", "a", 0.05)
        assert not await cache.take_lease("worker:1", "b", 60)

        async with asyncio.timeout(5):
            while not await cache.take_lease("worker:1", "b", 60):
                await asyncio.sleep(0.01)


async def test_tells_every_process_for_a_while_that_a_partition_is_held(
    cache: MessageCache,
) -> None:
    assert not (await cache.probe()).has_held
    await cache.note_held(0.3)
    assert (await cache.probe()).has_held
    async with asyncio.timeout(5):
        while (await cache.probe()).has_held:
            await asyncio.sleep(0.02)


class TestWorkerIds:
    NOW, UNTIL = 1_800_000_000_000, 1_800_000_600_000

    async def take(self, port: MessageCache, node: int, owner: str, now_ms: int) -> int | None:
        return await port.take_worker(
            node, owner, 60, now_ms=now_ms, until_ms=now_ms + self.UNTIL - self.NOW
        )

    async def test_are_leased_to_one_owner_at_a_time(self, cache: MessageCache) -> None:
        assert await self.take(cache, 5, "a", self.NOW) == 0
        assert await self.take(cache, 5, "a", self.NOW - 9) == 0
        assert await self.take(cache, 5, "b", self.UNTIL) is None
        assert await self.take(cache, 6, "b", self.NOW) == 0
        other = replace(LEASE, owner="c")
        with pytest.raises(LeaseLost):
            await cache.accept([make_message(1)], other)

    async def test_are_not_used_again_for_the_same_times(self, cache: MessageCache) -> None:
        await cache.take_worker(5, "a", 0.05, now_ms=self.NOW, until_ms=self.UNTIL)
        async with asyncio.timeout(5):
            while not await cache.take_lease("worker:5", "nobody", 0.05):
                await asyncio.sleep(0.01)
        await asyncio.sleep(0.1)

        assert await self.take(cache, 5, "b", self.UNTIL - 1) is None
        assert await cache.take_lease("worker:5", "nobody", 0.001)  # it was not taken either
        await asyncio.sleep(0.05)
        assert await self.take(cache, 5, "b", self.UNTIL) == self.UNTIL
        assert await self.take(cache, 5, "b", self.UNTIL) == 0


class TestWaiting:
    async def test_is_what_is_listed_and_pending(self, cache: MessageCache) -> None:
        await cache.accept([make_message(n) for n in range(1, 1_203)], None)
        await cache.mark_stored(rows(*range(2, 1_202)))

        assert await cache.waiting(CONVERSATION, limit=9) == [FIRST_ID + 1_202, FIRST_ID + 1]
        assert await cache.waiting(CONVERSATION, limit=1) == [FIRST_ID + 1_202]
        assert await cache.waiting("3_4", limit=9) == []


class TestARoomThatIsFull:
    async def test_takes_no_more_until_something_is_stored(self, small_cache: MessageCache) -> None:
        cache, full = small_cache, PendingFull.FULL
        messages = [make_message(n) for n in range(1, 6)]

        assert await cache.accept(messages, LEASE) == [None, None, None, full, full]
        assert await cache.pending_count() == 3
        assert await listed(cache) == [3, 2, 1]
        assert await one(cache, messages[3]) is None

        await cache.mark_stored(rows(1))
        assert await cache.accept(messages[3:], LEASE) == [None, full]

    async def test_has_room_again_whatever_became_of_what_was_pending(
        self, small_cache: MessageCache
    ) -> None:
        cache = small_cache
        messages = [structs.replace(make_message(n), client_msg_id=str(n)) for n in range(1, 7)]
        await cache.accept(messages[:3], LEASE)
        await cache.claim_recall(messages[0].id, 1)
        await cache.confirm_recall(messages[0].recalled(1))
        await cache.mark_stored([stored(messages[0].recalled(1), 1)])
        await cache.park([messages[1]])
        await cache.mark_folded({messages[2].id: stored(messages[2], 2)})

        assert await cache.accept(messages[3:], LEASE) == [None, None, None]

    async def test_knows_the_first_send_of_a_repeat_all_the_same(
        self, small_cache: MessageCache
    ) -> None:
        first = structs.replace(make_message(1), client_msg_id="k")
        await small_cache.accept([first, make_message(2), make_message(3)], LEASE)

        repeat = structs.replace(first, id=first.id + 9)
        assert await small_cache.accept([repeat], LEASE) == [Claim(first.id, first.body_hash)]

    async def test_takes_what_is_acknowledged_all_the_same(self, small_cache: MessageCache) -> None:
        messages = [make_message(n) for n in range(1, 6)]
        await small_cache.accept(messages[:3], LEASE)

        assert await small_cache.accept(messages[3:], None, limited=False) == [None, None]
        assert await listed(small_cache) == [5, 4, 3, 2, 1]
        assert await small_cache.accept([make_message(6)], LEASE) == [PendingFull.FULL]

        await small_cache.mark_stored(rows(1, 2, 3))
        assert await small_cache.accept([make_message(6)], LEASE) == [None]

    async def test_claims_nothing_for_what_it_refuses(self, small_cache: MessageCache) -> None:
        await small_cache.accept([make_message(n) for n in range(3)], LEASE)
        refused = structs.replace(make_message(4), client_msg_id="k")
        assert await small_cache.accept([refused], LEASE) == [PendingFull.FULL]

        await small_cache.mark_stored(rows(0, 1))
        again = structs.replace(refused, id=refused.id + 1)
        assert await small_cache.accept([again], LEASE) == [None]


class TestAReturn:
    async def test_is_told_to_readers(self, cache: MessageCache) -> None:
        run = await cache.probe()
        assert run.is_settled
        assert not (await window(cache)).recovering
        assert not (await cache.look([1], reader_id=READER)).recovering
        await cache.begin_epoch(run.id, returned=False)
        assert not (await window(cache)).recovering
        await cache.begin_epoch(run.id, returned=True)

        assert (await window(cache)).recovering
        assert (await cache.look([1], reader_id=READER)).recovering

    async def test_to_another_run_is_refused(self, cache: MessageCache) -> None:
        with pytest.raises(CacheUnavailable):
            await cache.begin_epoch("99", returned=True)


class TestAProcessThatAccepts:
    async def test_is_missed_when_it_says_nothing_for_a_second(self, cache: MessageCache) -> None:
        for _ in range(3):
            await cache.probe("a")
            await cache.probe("b")
            await asyncio.sleep(0.5)
        assert not (await window(cache)).recovering
        await asyncio.sleep(0.1)
        await cache.probe("a")
        await asyncio.sleep(0.5)
        await cache.probe("a")
        assert (await window(cache)).recovering

    async def test_is_not_missed_when_it_has_left(self, cache: MessageCache) -> None:
        await cache.probe("a")
        for _ in range(2):
            await cache.leave("a")
        await asyncio.sleep(1.1)
        await cache.probe()
        assert not (await window(cache)).recovering


class TestDropCopies:
    """What the store has too is forgotten, and nothing else."""

    async def test_drops_what_is_stored(self, cache: MessageCache) -> None:
        message = make_message(1)
        await cache.accept([message], None)
        await load(cache)
        await cache.mark_stored([stored(message, 1)])
        assert await cache.drop_copies() == []
        assert await one(cache, message) is None
        assert (await window(cache)).floor is None

    async def test_keeps_what_is_pending_and_shows_it(self, cache: MessageCache) -> None:
        message = make_message(1, client_msg_id="k")
        await load(cache)
        await cache.accept([message], None)
        await cache.drop_copies()
        seen = await window(cache)
        assert (seen.messages, seen.floor) == ((message,), None)
        assert await is_pending(cache, message)
        assert await cache.find_claim(message.from_user_id, "k") is not None

    async def test_keeps_a_recall_that_the_store_may_lack(self, cache: MessageCache) -> None:
        message = make_message(1)
        await cache.accept([message], None)
        await cache.claim_recall(message.id, 5)
        await cache.confirm_recall(message.recalled(5))
        await cache.mark_stored([stored(message, 1)])
        assert await cache.drop_copies() == [message.id]
        assert (await cache.get([message.id]))[message.id].is_recalled

    async def test_drops_content_under_a_recall_mark(self, cache: MessageCache) -> None:
        message = make_message(1)
        await cache.accept([message], None)
        await cache.mark_stored([stored(message, 1)])
        await cache.claim_recall(message.id, 5)
        assert await cache.drop_copies() == [message.id]
        assert await one(cache, message) is None

    async def test_knows_of_no_deletes_for_sure(self, cache: MessageCache) -> None:
        await cache.add_deletes(READER, [FIRST_ID + 1], floor=0)
        await cache.drop_copies()
        look = await cache.look([FIRST_ID + 1], reader_id=READER)
        assert (look.deleted, look.deletes_floor) == (frozenset(), None)

    async def test_goes_through_very_many(self, cache: MessageCache) -> None:
        await cache.accept([make_message(n) for n in range(1_500)], None)
        await cache.mark_stored(rows(*range(1_500)))
        await cache.drop_copies()
        assert await cache.get([FIRST_ID + n for n in range(1_500)]) == {}


class TestNothing:
    async def test_is_done_for_nothing(self, cache: MessageCache) -> None:
        assert await cache.accept([], LEASE) == []
        assert await cache.get([]) == {}
        assert await cache.recall_marks([]) == {}
        assert await cache.retry([]) == {}
        await cache.mark_stored([])
        await cache.mark_folded({})
        await cache.park([])
        await cache.add_details([])
        await cache.add_deletes(READER, [])
        await cache.ping()
        assert await window(cache) == Window()

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
            lambda: cache.mark_folded({2: structs.replace(message, client_msg_id="k")}),
            lambda: cache.park([message]),
            lambda: cache.claim_recall(1, 1),
            lambda: cache.release_recall(1, 1),
            lambda: cache.confirm_recall(message.recalled(1)),
            lambda: cache.recall_marks([1]),
            lambda: window(cache),
            lambda: cache.begin_fill(CONVERSATION),
            lambda: cache.fill(CONVERSATION, "ab", [message], floor=0, base=0),
            lambda: cache.add_details([message]),
            lambda: cache.add_deletes(1, [1]),
            lambda: cache.pending(before_ms=1, limit=1),
            lambda: cache.pending_count(),
            lambda: cache.newest_pending(offset=0, limit=1),
            lambda: cache.retry([message]),
            lambda: cache.take_lease("x", "a", 1),
            lambda: cache.is_leased("x"),
            lambda: cache.ping(),
        ]
        for call in calls:
            with pytest.raises(CacheUnavailable):
                await call()
