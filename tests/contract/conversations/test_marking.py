"""Test how positions rise by the marks of users."""

from __future__ import annotations

import asyncio
from random import Random

import pytest
from msgspec.structs import replace

from messaging.domain.conversations import Mark, Participant, marked
from messaging.domain.groups import OutReason
from messaging.domain.message import ChatType
from tests.contract.conversations.rigs import Rig
from tests.support.messages import make_message

SEAT = (2, "1_2")
LAST_SEQ = 9


@pytest.fixture
async def said(rig: Rig) -> Participant:
    """Return the receiver of a conversation of nine messages."""
    await rig.store.apply([make_message(n) for n in range(LAST_SEQ)])
    return (await rig.participants())[SEAT]


def mark(
    read_seq: int = 0, delivered_seq: int = 0, *, user_id: int = 2, ends_unread: bool = True
) -> Mark:
    return Mark(
        user_id=user_id,
        conversation_id="1_2",
        read_seq=read_seq,
        delivered_seq=delivered_seq,
        ends_unread=ends_unread,
    )


async def test_a_mark_raises_both_positions(rig: Rig, said: Participant) -> None:
    expected = replace(said, read_seq=4, delivered_seq=4, read_time=77, rev=said.rev + 1)

    assert await rig.conversations.mark([mark(4)], now_ms=77) == {SEAT: expected}

    assert (await rig.participants())[SEAT] == expected


async def test_a_delivery_alone_is_no_change_that_is_told(rig: Rig, said: Participant) -> None:
    expected = replace(said, delivered_seq=5)

    assert await rig.conversations.mark([mark(0, 5)], now_ms=77) == {SEAT: expected}

    assert (await rig.participants())[SEAT] == expected


@pytest.mark.parametrize("given", [(4, 0), (3, 4), (0, 4), (1, 1), (0, 0)])
async def test_a_repeat_and_a_lower_mark_change_nothing(
    rig: Rig, said: Participant, given: tuple[int, int]
) -> None:
    known = (await rig.conversations.mark([mark(4)], now_ms=77))[SEAT]

    assert await rig.conversations.mark([mark(*given)], now_ms=88) == {SEAT: known}

    assert (await rig.participants())[SEAT] == known


async def test_a_mark_beyond_the_last_message_counts_up_to_there(
    rig: Rig, said: Participant
) -> None:
    told = await rig.conversations.mark([mark(2**40, 2**41)], now_ms=77)

    assert (told[SEAT].read_seq, told[SEAT].delivered_seq) == (LAST_SEQ, LAST_SEQ)


@pytest.mark.parametrize("read_seq", [0, 1, 4, 5])
async def test_a_mark_ends_the_mark_as_unread_if_it_says_so(
    rig: Rig, said: Participant, read_seq: int
) -> None:
    before = replace(said, read_seq=4, delivered_seq=6, read_time=1, is_marked_unread=True)
    await rig.put(before)

    delivered = await rig.conversations.mark([mark(0, 7, ends_unread=False)], now_ms=77)
    assert delivered == {SEAT: replace(before, delivered_seq=7)}
    assert (await rig.participants())[SEAT] == delivered[SEAT]
    told = await rig.conversations.mark([mark(read_seq)], now_ms=88)

    assert told[SEAT].is_marked_unread is False
    assert told[SEAT].rev == before.rev + 1
    assert told[SEAT].read_time == (88 if read_seq > 4 else 1)
    assert (await rig.participants())[SEAT] == told[SEAT]


async def test_the_mark_as_unread_ends_in_a_conversation_without_messages(rig: Rig) -> None:
    before = Participant(user_id=2, conversation_id="g7", is_marked_unread=True)
    await rig.put(before)
    wanted = Mark(user_id=2, conversation_id="g7", delivered_seq=1)
    expected = replace(before, is_marked_unread=False, rev=1)

    assert await rig.conversations.mark([wanted], now_ms=77) == {(2, "g7"): expected}

    assert await rig.participants() == {(2, "g7"): expected}


async def test_participants_who_are_absent_or_out_stay_as_they_are(
    rig: Rig, said: Participant
) -> None:
    await rig.store.apply([make_message(20, to_id=7, chat_type=ChatType.GROUP)])
    out = Participant(
        user_id=2, conversation_id="g7", is_in=False, out_reason=OutReason.LEFT, rev=3
    )
    await rig.put(out, replace(out, user_id=4, read_seq=1, delivered_seq=1))
    before = await rig.participants()
    marks = [
        Mark(user_id=2, conversation_id="g7", read_seq=1),
        Mark(user_id=4, conversation_id="g7", read_seq=1),
        Mark(user_id=3, conversation_id="g7", read_seq=1),
        Mark(user_id=3, conversation_id="1_2", read_seq=1),
        Mark(user_id=2, conversation_id="g8", read_seq=1),
    ]

    assert await rig.conversations.mark(marks, now_ms=77) == {}
    assert await rig.participants() == before

    told = await rig.conversations.mark([*marks, mark(1)], now_ms=77)
    assert set(told) == {SEAT}
    assert {k: p for k, p in (await rig.participants()).items() if k != SEAT} == {
        k: p for k, p in before.items() if k != SEAT
    }


async def test_no_marks_are_no_work(rig: Rig) -> None:
    assert await rig.conversations.mark([], now_ms=77) == {}


async def test_marks_do_as_the_domain_says(rig: Rig) -> None:
    """Many participants of all states are marked in one call, which is longer than a statement."""
    draw = Random(5)
    await rig.store.apply(
        [make_message(n, to_id=7, chat_type=ChatType.GROUP) for n in range(LAST_SEQ)]
    )

    def some(user_id: int) -> Participant:
        read_seq = draw.randint(0, LAST_SEQ)
        return Participant(
            user_id=user_id,
            conversation_id="g7",
            rev=draw.randint(0, 3),
            read_seq=read_seq,
            delivered_seq=draw.randint(read_seq, LAST_SEQ),
            read_time=draw.choice([None, 5]),
            is_marked_unread=draw.random() < 0.5,
        )

    before = [some(user_id) for user_id in range(1, 701)]
    await rig.put(*before)
    marks = {
        each.user_id: Mark(
            user_id=each.user_id,
            conversation_id="g7",
            read_seq=draw.choice([0, draw.randint(1, LAST_SEQ + 2)]),
            delivered_seq=draw.choice([0, draw.randint(1, LAST_SEQ + 2)]),
            ends_unread=draw.random() < 0.5,
        )
        for each in before
    }

    told = await rig.conversations.mark(draw.sample([*marks.values()], len(marks)), now_ms=77)

    assert told == {
        (each.user_id, "g7"): marked(each, marks[each.user_id], last_seq=LAST_SEQ, now_ms=77)
        for each in before
    }
    assert await rig.participants() == told


async def test_marks_at_the_same_time_end_at_the_greatest(rig: Rig, said: Participant) -> None:
    draw = Random(3)
    given = [
        [mark(draw.randint(0, LAST_SEQ), draw.randint(0, LAST_SEQ), user_id=user)]
        for _ in range(30)
        for user in (1, 2)
    ]

    told = await asyncio.gather(*(rig.conversations.mark(each, now_ms=7) for each in given))

    for (each,), answer in zip(given, told, strict=True):
        participant = answer[each.user_id, "1_2"]
        assert participant.read_seq >= each.read_seq
        assert participant.delivered_seq >= max(each.read_seq, each.delivered_seq)
    for user in (1, 2):
        end = (await rig.participants())[user, "1_2"]
        asked = [each for (each,) in given if each.user_id == user]
        assert end.read_seq == max(each.read_seq for each in asked)
        assert end.delivered_seq == max(max(e.read_seq, e.delivered_seq) for e in asked)
        assert end.rev == len({p[user, "1_2"].rev for p in told if (user, "1_2") in p} - {0})
