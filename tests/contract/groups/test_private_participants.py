"""Test the participants of private conversations, which begin with the first message."""

from __future__ import annotations

import asyncio

from messaging.domain.conversations import Participant
from messaging.domain.message import ChatType
from tests.contract.groups.decisions import creating
from tests.contract.groups.rigs import Case
from tests.support.messages import make_message


async def test_both_parties_have_one_with_the_first_message(case: Case) -> None:
    await case.store.apply([make_message(n, from_user_id=7, to_id=3) for n in range(3)])

    assert await case.rig.participants("3_7") == {
        i: Participant(user_id=i, conversation_id="3_7") for i in (3, 7)
    }


async def test_one_who_writes_to_oneself_has_one(case: Case) -> None:
    await case.store.apply([make_message(1, from_user_id=7, to_id=7)])

    participant = Participant(user_id=7, conversation_id="7_7")
    assert await case.rig.participants("7_7") == {7: participant}


async def test_a_tombstone_begins_a_conversation_too(case: Case) -> None:
    await case.store.apply([make_message(1).recalled(9)])

    assert (await case.rig.participants("1_2")).keys() == {1, 2}


async def test_later_messages_and_repeats_change_nothing(case: Case) -> None:
    first = make_message(1, client_msg_id="k")
    await case.store.apply([first])
    before = await case.rig.participants("1_2")

    for _ in range(2):
        await case.store.apply([first, make_message(2), make_message(3, client_msg_id="k")])

    assert await case.rig.participants("1_2") == before


async def test_many_begin_at_once(case: Case) -> None:
    messages = [make_message(n, to_id=2 + n % 30) for n in range(300)]
    batches = [messages[start::6] for start in range(6)]

    await asyncio.gather(*(case.store.apply(batch) for batch in batches))

    for to_id in range(2, 32):
        assert (await case.rig.participants(f"1_{to_id}")).keys() == {1, to_id}


async def test_a_groups_message_makes_none(case: Case) -> None:
    await case.rig.add_users(1)
    made = await case.create(1, creating(1))
    name = f"g{made.group.id}"
    before = await case.rig.participants(name)

    message = make_message(1, from_user_id=9, to_id=made.group.id, chat_type=ChatType.GROUP)
    await case.store.apply([message])

    assert await case.rig.participants(name) == before
    await case.store.apply([make_message(2, to_id=99, chat_type=ChatType.GROUP)])
    assert await case.rig.participants("g99") == {}
