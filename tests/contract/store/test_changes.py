"""Test the numbers that a store gives to changes of stored messages."""

from __future__ import annotations

import asyncio

from msgspec import structs

from messaging.ports.store import MessageStore
from tests.contract.store import past
from tests.contract.store.test_any_order import applied
from tests.support.messages import FIRST_ID, make_message


async def test_a_message_as_it_was_sent_has_none(store: MessageStore) -> None:
    sent = [make_message(1), make_message(2).recalled(7)]

    rows = (await store.apply(sent)).rows

    assert [row.rev for row in rows] == [0, 0]
    assert await past.changes(store) == {}
    assert await past.last_rev(store, "1_2") == 0


async def test_the_changes_of_a_conversation_are_counted_in_order_of_id(
    store: MessageStore,
) -> None:
    first, second, other = make_message(1), make_message(2), make_message(3, to_id=9)
    await store.apply([first, second, other])

    rows = (await store.apply([each.recalled(7) for each in (second, other, first)])).rows

    assert [(row.id, row.rev) for row in rows] == [(first.id, 1), (second.id, 2), (other.id, 1)]
    assert await store.get([each.id for each in rows]) == {row.id: row for row in rows}
    assert await past.changes(store) == {row.id: row.rev for row in rows}
    assert await past.last_rev(store, "1_2") == 2
    assert await past.last_rev(store, "1_9") == 1


async def test_one_batch_counts_new_messages_and_changes(store: MessageStore) -> None:
    first, second, third = (make_message(n) for n in (1, 2, 3))
    await store.apply([second])

    rows = (await store.apply([first, second.recalled(7), third])).rows

    assert [(row.seq, row.rev) for row in rows] == [(2, 0), (1, 1), (3, 0)]
    assert (await store.tail("1_2", limit=9)).total == 3
    assert await past.last_id(store, "1_2") == third.id


async def test_a_change_alone_adds_no_message(store: MessageStore) -> None:
    message = make_message(5)
    await store.apply([message])

    await store.apply([message.recalled(7)])

    assert (await store.tail("1_2", limit=9)).total == 1
    assert await past.last_id(store, "1_2") == message.id


async def test_a_repeat_and_an_older_state_change_nothing(store: MessageStore) -> None:
    message = make_message(1)
    await store.apply([message])
    (tombstone,) = (await store.apply([message.recalled(7)])).rows

    for state in (message, message.recalled(7), message.recalled(8), tombstone):
        assert (await store.apply([state])).rows == (tombstone,)

    assert await past.last_rev(store, "1_2") == 1


async def test_each_later_change_has_the_next_number(store: MessageStore) -> None:
    message, other = make_message(1), make_message(2)
    await store.apply([message, other])
    await store.apply([message.recalled(7)])
    await store.apply([other.recalled(7)])

    (row,) = (await store.apply([message.recalled(6)])).rows

    assert row == structs.replace(message.recalled(6), seq=1, rev=3)
    assert await past.changes(store) == {message.id: 3, other.id: 2}


async def test_a_recall_of_a_repeat_is_a_change_of_the_first_send(store: MessageStore) -> None:
    first, repeat = (
        make_message(1, client_msg_id="k", content=""),
        make_message(2, client_msg_id="k", content=""),
    )
    await store.apply([first])

    await store.apply([repeat.recalled(7)])

    assert await past.changes(store) == {first.id: 1}


async def test_writers_side_by_side_give_each_number_once(store: MessageStore) -> None:
    messages = [make_message(n, to_id=2 + n % 3) for n in range(60)]
    recalls = [m.recalled(9) for m in messages]

    await asyncio.gather(
        *(applied(store, messages[part::4]) for part in range(4)),
        *(applied(store, recalls[part::3]) for part in range(3)),
    )

    rows = await store.get([m.id for m in messages])
    for to_id in (2, 3, 4):
        revs = {row.id: row.rev for row in rows.values() if row.to_id == to_id and row.rev}
        assert len(set(revs.values())) == len(revs)
        assert max(revs.values(), default=0) <= await past.last_rev(store, f"1_{to_id}")
    assert await past.changes(store) == {row.id: row.rev for row in rows.values() if row.rev}
    assert FIRST_ID in rows
