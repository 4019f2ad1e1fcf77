"""Test what becomes of a new message, and of a repeated send."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
from msgspec import structs

from messaging.domain.backend_errors import LeaseLost
from messaging.domain.message import PersistStatus
from messaging.ports.cache import MessageCache
from messaging.ports.cached import IdempotencyRecord, PendingEntry
from tests.contract.cache.conversation import (
    LEASE,
    ids,
    is_pending,
    listed,
    load,
    one,
    rows,
    stored,
    tail,
)
from tests.support.messages import FIRST_ID, make_message


class TestAccept:
    async def test_holds_a_new_message_pending_and_listed(self, cache: MessageCache) -> None:
        message = make_message(1, client_msg_id="k")

        assert await cache.accept([message], None) == [None]

        assert await cache.get([message.id, FIRST_ID + 2]) == {message.id: message}
        assert message.persist_status is PersistStatus.PENDING
        assert await cache.pending(before_ms=message.send_time + 1, limit=9) == [
            PendingEntry(message.id, message.send_time)
        ]
        assert (await tail(cache)).messages == (message,)

    async def test_answers_a_repeat_with_the_first_record(self, cache: MessageCache) -> None:
        first = make_message(1, client_msg_id="k")
        other = make_message(2, content="another body", client_msg_id="k")
        await cache.accept([first], None)

        records = await cache.accept([other, make_message(3, client_msg_id="l")], None)

        assert records == [IdempotencyRecord(first.id, first.body_hash), None]
        assert await one(cache, other) is None
        assert not await is_pending(cache, other)
        assert await listed(cache) == [3, 1]

    async def test_adds_a_record_of_a_stored_message_unless_another_came_first(
        self, cache: MessageCache
    ) -> None:
        first, other = (make_message(number, client_msg_id="k") for number in (1, 2))
        assert await cache.find_idempotency_record(first.from_user_id, "k") is None
        assert await cache.add_idempotency_record(first) is None
        assert await cache.add_idempotency_record(first) is None
        record = IdempotencyRecord(first.id, first.body_hash)
        assert await cache.add_idempotency_record(other) == record
        assert await cache.find_idempotency_record(first.from_user_id, "k") == record
        assert await cache.accept([other], None) == [record]

    async def test_an_id_of_a_repeat_leads_to_the_first_send(self, cache: MessageCache) -> None:
        first, repeat = (make_message(number).id for number in (1, 2))
        assert await cache.find_alias(repeat) is None
        for _ in range(2):
            await cache.add_alias(repeat, first)
        assert await cache.find_alias(repeat) == first
        assert await cache.find_alias(first) is None

    async def test_an_idempotency_record_is_its_senders_alone(self, cache: MessageCache) -> None:
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

    async def test_counts_a_record_made_earlier_in_the_same_call(self, cache: MessageCache) -> None:
        first = make_message(1, client_msg_id="k")

        records = await cache.accept([first, make_message(2, client_msg_id="k")], None)

        assert records == [None, IdempotencyRecord(first.id, first.body_hash)]
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

        seen = (await tail(cache)).messages

        assert ids(seen) == sorted(large, reverse=True)
        assert (await tail(cache, before=2**63 - 1, limit=1)).messages[0].id == 2**63 - 2

    async def test_keeps_conversations_apart(self, cache: MessageCache) -> None:
        here, there = make_message(1), make_message(2, to_id=3)
        await cache.accept([here, there], None)

        assert (await tail(cache)).messages == (here,)
        assert (await tail(cache, conversation_id="1_3")).messages == (there,)

    async def test_never_overwrites_what_became_of_the_message(self, cache: MessageCache) -> None:
        late, recalled = make_message(1), make_message(2)
        await load(cache)
        await cache.mark_stored([stored(late, 1)])
        await cache.confirm_recall(stored(recalled.recalled(5), 2))

        await cache.accept([late, recalled], None)

        assert (await one(cache, recalled)) == stored(recalled.recalled(5), 2)
        assert not await is_pending(cache, recalled)
        # Listed once, although the message was stored before it was accepted.
        assert await listed(cache) == [1]

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

        assert (await tail(cache)).floor is None
        assert await listed(cache) == [6, 5, 3]


class TestARowThatNobodyTold:
    """The sender of this row died after writing the store and before writing the cache."""

    async def test_is_missed_when_the_next_one_is_stored(self, cache: MessageCache) -> None:
        await load(cache, rows(1))
        await cache.accept([make_message(3)], None)
        await cache.mark_stored([stored(make_message(3), 3)])  # message 2 has the seq 2

        assert (await tail(cache)).floor is None
        assert await listed(cache) == [3, 1]

    async def test_costs_nothing_where_there_is_none(self, cache: MessageCache) -> None:
        await load(cache, rows(1))
        await cache.accept([make_message(2), make_message(3)], None)
        await cache.mark_stored([stored(make_message(3), 2)])
        await cache.mark_stored([stored(make_message(2), 3)])

        assert (await tail(cache)).total == 3
