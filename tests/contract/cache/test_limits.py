"""Test the limits of senders, of pending messages and of requests."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest
from msgspec import structs

from messaging.domain.message import Recall
from messaging.ports.cache import MessageCache
from messaging.ports.cached import IdempotencyRecord, PendingFull, RateLimited, SharedRate
from tests.contract.cache.conversation import LEASE, listed, one, rows, stored, tail
from tests.support.messages import make_message


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
        assert len((await tail(cache)).messages) == 3
        await asyncio.sleep(0.12)
        assert await cache.accept(sent[3:4], None) == [
            None
        ]  # the refused message's idempotency record was not written either

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
        await cache.set_recall_mark(messages[0].id, Recall(1))
        await cache.confirm_recall(messages[0].recalled(1))
        await cache.mark_stored([stored(messages[0].recalled(1), 1)])
        await cache.dead_letter([messages[1]])
        await cache.mark_duplicates({messages[2].id: stored(messages[2], 2)})

        assert await cache.accept(messages[3:], LEASE) == [None, None, None]

    async def test_knows_the_first_send_of_a_repeat_all_the_same(
        self, small_cache: MessageCache
    ) -> None:
        first = structs.replace(make_message(1), client_msg_id="k")
        await small_cache.accept([first, make_message(2), make_message(3)], LEASE)

        repeat = structs.replace(first, id=first.id + 9)
        assert await small_cache.accept([repeat], LEASE) == [
            IdempotencyRecord(first.id, first.body_hash)
        ]

    async def test_takes_what_is_acknowledged_all_the_same(self, small_cache: MessageCache) -> None:
        messages = [make_message(n) for n in range(1, 6)]
        await small_cache.accept(messages[:3], LEASE)

        assert await small_cache.accept(messages[3:], None, limited=False) == [None, None]
        assert await listed(small_cache) == [5, 4, 3, 2, 1]
        assert await small_cache.accept([make_message(6)], LEASE) == [PendingFull.FULL]

        await small_cache.mark_stored(rows(1, 2, 3))
        assert await small_cache.accept([make_message(6)], LEASE) == [None]

    async def test_adds_no_record_of_what_it_refuses(self, small_cache: MessageCache) -> None:
        await small_cache.accept([make_message(n) for n in range(3)], LEASE)
        refused = structs.replace(make_message(4), client_msg_id="k")
        assert await small_cache.accept([refused], LEASE) == [PendingFull.FULL]

        await small_cache.mark_stored(rows(0, 1))
        again = structs.replace(refused, id=refused.id + 1)
        assert await small_cache.accept([again], LEASE) == [None]


class TestSharedRates:
    ADDRESS = SharedRate("address", "a", 2, 3)
    NAME = SharedRate("name", "n", 2, 5)

    async def test_a_burst_passes_and_then_the_rate(self, cache: MessageCache) -> None:
        assert [await cache.take_rates([self.ADDRESS]) for _ in range(3)] == [0.0] * 3
        assert 0 < await cache.take_rates([self.ADDRESS]) <= 0.5
        await asyncio.sleep(0.52)
        assert await cache.take_rates([self.ADDRESS]) == 0.0

    @pytest.mark.alone
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
