"""Test who is told to have read a message."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from messaging.domain.conversations import NEVER, Participant
from messaging.domain.groups import OutReason
from messaging.domain.message import ChatType, Message
from messaging.ports.conversations import Readers
from tests.contract.conversations.rigs import Rig
from tests.support.messages import FIRST_ID, make_message


@pytest.fixture
async def message(rig: Rig) -> Message:
    """Return the third of four messages of user 1 to a group that users 1 to 6 are in."""
    sent = [make_message(n, to_id=7, chat_type=ChatType.GROUP) for n in range(4)]
    await rig.store.apply(sent)
    positions = {1: 4, 2: 3, 3: 2, 4: 4, 5: 0, 6: 3}
    await rig.put(
        *(
            Participant(user_id=user_id, conversation_id="g7", read_seq=seq)
            for user_id, seq in positions.items()
        ),
        Participant(user_id=9, conversation_id="g8", read_seq=4),
    )
    return (await rig.store.get([sent[2].id]))[sent[2].id]


async def asked(
    rig: Rig, message: Message, *, has_read: bool = True, after: int = 0, limit: int = 20
) -> Readers:
    return await rig.conversations.readers(message, has_read=has_read, after=after, limit=limit)


async def test_members_have_read_it_or_have_not(rig: Rig, message: Message) -> None:
    assert await asked(rig, message) == Readers(read_count=3, member_count=5, user_ids=(2, 4, 6))
    assert await asked(rig, message, has_read=False) == Readers(
        read_count=3, member_count=5, user_ids=(3, 5)
    )


async def test_a_page_has_one_more_where_there_are_more(rig: Rig, message: Message) -> None:
    for after, limit, ids in ((0, 1, (2, 4)), (2, 1, (4, 6)), (4, 1, (6,)), (0, 3, (2, 4, 6))):
        found = await asked(rig, message, after=after, limit=limit)
        assert found == Readers(read_count=3, member_count=5, user_ids=ids)
    found = await asked(rig, message, has_read=False, after=3, limit=1)
    assert found == Readers(read_count=3, member_count=5, user_ids=(5,))


async def test_who_is_out_or_could_not_see_it_is_no_member(rig: Rig, message: Message) -> None:
    known = await rig.participants()
    await rig.put(
        replace(known[2, "g7"], is_in=False, out_reason=OutReason.LEFT),
        replace(known[3, "g7"], floor_id=message.id),
        replace(known[4, "g7"], floor_id=message.id - 1),
    )

    assert await asked(rig, message) == Readers(read_count=2, member_count=3, user_ids=(4, 6))
    assert (await asked(rig, message, has_read=False)).user_ids == (5,)


async def test_who_hides_receipts_is_in_neither_list(rig: Rig, message: Message) -> None:
    await rig.show_receipts(4, NEVER)
    await rig.show_receipts(5, NEVER)

    assert await asked(rig, message) == Readers(read_count=2, member_count=3, user_ids=(2, 6))
    assert (await asked(rig, message, has_read=False)).user_ids == (3,)


async def test_who_shows_receipts_again_has_read_from_then_on(rig: Rig, message: Message) -> None:
    known = await rig.participants()
    for user_id, read_time in ((2, None), (3, 2_000), (4, 1_999), (6, 2_000)):
        await rig.put(replace(known[user_id, "g7"], read_time=read_time))
        await rig.show_receipts(user_id, 2_000)

    assert await asked(rig, message) == Readers(read_count=1, member_count=5, user_ids=(6,))
    assert (await asked(rig, message, has_read=False)).user_ids == (2, 3, 4, 5)


async def test_nobody_has_read_a_pending_message(rig: Rig, message: Message) -> None:
    pending = make_message(9, to_id=7, chat_type=ChatType.GROUP)

    assert await asked(rig, pending) == Readers(read_count=0, member_count=5, user_ids=())
    assert (await asked(rig, pending, has_read=False)).user_ids == (2, 3, 4, 5, 6)


async def test_of_a_private_message_it_is_the_peer(rig: Rig) -> None:
    await rig.store.apply([make_message(1)])
    stored = (await rig.store.get([FIRST_ID + 1]))[FIRST_ID + 1]
    peer = (await rig.participants())[2, "1_2"]

    assert await asked(rig, stored) == Readers(read_count=0, member_count=1, user_ids=())
    assert (await asked(rig, stored, has_read=False)).user_ids == (2,)
    for floor_id in (0, stored.id, 2**62):  # a clear makes nothing unread
        await rig.put(replace(peer, read_seq=1, floor_id=floor_id))
        assert await asked(rig, stored) == Readers(read_count=1, member_count=1, user_ids=(2,))
