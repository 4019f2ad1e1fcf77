"""Test the numbers of unread messages."""

from __future__ import annotations

from random import Random

import pytest
from msgspec.structs import replace

from messaging.domain.conversations import Participant
from messaging.domain.groups import Event, Notice
from messaging.domain.message import ChatType, Message, MsgType
from tests.contract.conversations.rigs import Rig
from tests.support.messages import FIRST_ID, make_message

READER = Participant(user_id=2, conversation_id="g7")


def say(number: int, *, by: int = 1, group: int = 7) -> Message:
    return make_message(number, from_user_id=by, to_id=group, chat_type=ChatType.GROUP)


async def count(
    rig: Rig, *participants: Participant, up_to: int = 99, most: int = 999
) -> dict[str, int]:
    bounds = {each.conversation_id: up_to for each in participants}
    return await rig.conversations.count_unread(participants, up_to=bounds, most=most)


async def test_messages_of_others_behind_the_read_position_count(rig: Rig) -> None:
    await rig.store.apply([say(n) for n in range(5)])

    for read_seq, unread in ((0, 5), (2, 3), (5, 0), (9, 0)):
        assert await count(rig, replace(READER, read_seq=read_seq)) == {"g7": unread}
    assert await count(rig, READER, up_to=3) == {"g7": 3}
    assert await count(rig, replace(READER, read_seq=2), up_to=3) == {"g7": 1}


async def test_a_message_that_is_stored_late_counts(rig: Rig) -> None:
    await rig.store.apply([say(5)])
    await rig.store.apply([say(1)])

    assert await count(rig, replace(READER, read_seq=1)) == {"g7": 1}


@pytest.mark.parametrize("what", ["own", "recalled", "notice", "deleted", "below the floor"])
async def test_what_does_not_count(rig: Rig, what: str) -> None:
    counted, other = say(1), say(2)
    reader = READER
    match what:
        case "own":
            other = say(2, by=2)
        case "recalled":
            other = other.recalled(9)
        case "notice":
            notice = Notice(event=Event.LEFT)
            other = replace(other, msg_type=MsgType.NOTICE, content="", notice=notice)
        case "deleted":
            await rig.delete(2, "g7", ids=[other.id], rev=1)
            await rig.delete(3, "g7", ids=[counted.id], rev=1)
        case _:
            other = say(0)
            reader = replace(READER, floor_id=other.id)
    await rig.store.apply([counted, other])

    assert await count(rig, reader) == {"g7": 1}


async def test_counting_ends_at_the_most(rig: Rig) -> None:
    await rig.store.apply([say(n) for n in range(12)])

    for most, unread in ((5, 5), (12, 12), (13, 12)):
        assert await count(rig, READER, most=most) == {"g7": unread}


async def test_several_conversations_are_counted_apart(rig: Rig) -> None:
    await rig.store.apply(
        [say(n) for n in range(4)] + [say(n, group=8) for n in range(10, 12)] + [make_message(30)]
    )
    wanted = [replace(READER, conversation_id=name) for name in ("g7", "1_2", "g8", "g9")]

    found = await rig.conversations.count_unread(
        wanted, up_to={"g7": 3, "1_2": 1, "g8": 99, "g9": 5}, most=999
    )

    assert found == {"g7": 3, "1_2": 1, "g8": 2, "g9": 0}
    assert await rig.conversations.count_unread([], up_to={}, most=1) == {}


async def test_there_may_be_more_than_one_statement_takes(rig: Rig) -> None:
    await rig.store.apply([say(n, group=n) for n in range(100, 700)])
    wanted = [replace(READER, conversation_id=f"g{n}") for n in range(90, 700)]

    found = await count(rig, *wanted)

    assert found == {f"g{n}": int(n >= 100) for n in range(90, 700)}


@pytest.mark.parametrize("seed", range(4))
async def test_the_number_is_a_recount(rig: Rig, seed: int) -> None:
    draw = Random(seed)
    sent = [say(n, by=draw.choice([1, 2, 3])) for n in range(60)]
    draw.shuffle(sent)
    for message in sent:
        await rig.store.apply([message])
    recalled = draw.sample(sent, 15)
    await rig.store.apply([message.recalled(9) for message in recalled])
    deleted = [message.id for message in draw.sample(sent, 15)]
    await rig.delete(2, "g7", ids=deleted, rev=1)
    rows = await rig.store.page("g7", before=None, limit=99)

    for _ in range(10):
        reader = replace(
            READER, read_seq=draw.randint(0, 60), floor_id=FIRST_ID + draw.randint(-1, 60)
        )
        up_to, most = draw.randint(0, 60), draw.choice([7, 999])
        unread = [
            row
            for row in rows
            if row.seq is not None
            and reader.read_seq < row.seq <= up_to
            and row.id > reader.floor_id
            and row.from_user_id != 2
            and not row.is_recalled
            and row.id not in deleted
        ]
        assert await count(rig, reader, up_to=up_to, most=most) == {"g7": min(most, len(unread))}
