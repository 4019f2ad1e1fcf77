"""Test changes of one participant: the facts, what is written, and what two at a time do."""

from __future__ import annotations

import asyncio

import pytest
from msgspec.structs import replace

from messaging.domain.conversations import Head, Mark, Participant
from messaging.domain.errors import ConversationNotFound, TooMany
from messaging.domain.groups import OutReason
from messaging.ports.conversations import ChangeParticipant, ParticipantFacts
from tests.contract.conversations.rigs import Rig
from tests.support.messages import FIRST_ID, make_message

BEFORE = Participant(user_id=1, conversation_id="1_2", rev=4, read_seq=1, delivered_seq=2)
MOST_PINS = 3


def deciding(after: Participant) -> ChangeParticipant:
    return lambda facts: after


def pinning(now_ms: int) -> ChangeParticipant:
    """Return a decision that pins a conversation, or refuses where too many are pinned."""

    def decide(facts: ParticipantFacts) -> Participant:
        if facts.pins >= MOST_PINS:
            raise TooMany(MOST_PINS)
        return replace(facts.participant, pin_time=now_ms)

    return decide


async def test_the_facts_are_those_of_the_participant(rig: Rig) -> None:
    await rig.store.apply([make_message(1), make_message(2)])
    pinned = [
        Participant(user_id=user_id, conversation_id=name, pin_time=1)
        for user_id, name in ((1, "1_5"), (1, "g3"), (2, "g3"))
    ]
    left = Participant(
        user_id=1, conversation_id="g4", pin_time=1, is_in=False, out_reason=OutReason.LEFT
    )
    await rig.put(BEFORE, *pinned, left)
    asked: list[ParticipantFacts] = []

    def decide(facts: ParticipantFacts) -> Participant:
        asked.append(facts)
        return facts.participant

    assert await rig.conversations.change_participant(1, "1_2", decide) == BEFORE
    assert await rig.conversations.change_participant(1, "1_5", decide) == pinned[0]

    head = Head(last_seq=2, last_id=FIRST_ID + 2)
    assert asked == [
        ParticipantFacts(participant=BEFORE, head=head, pins=2),
        ParticipantFacts(participant=pinned[0], head=Head(), pins=2),
    ]


@pytest.mark.parametrize(
    "change",
    [
        {"is_in": False, "out_reason": OutReason.REMOVED},
        {"floor_id": 2**62},
        {"floor_seq": 5},
        {"read_seq": 6},
        {"delivered_seq": 7},
        {"read_time": 8},
        {"pin_time": 9},
        {"muted_until": -1},
        {"hidden_id": 10},
        {"is_marked_unread": True},
    ],
    ids=lambda change: next(iter(change)),
)
async def test_each_column_is_written_and_raises_the_rev(
    rig: Rig, change: dict[str, object]
) -> None:
    other = replace(BEFORE, user_id=2)
    await rig.put(BEFORE, other)
    after = replace(BEFORE, **change)

    for rev in (5, 5, 6):  # the second time nothing changes
        wish = BEFORE if rev == 6 else replace(after, rev=99)
        told = await rig.conversations.change_participant(1, "1_2", deciding(wish))
        assert told == replace(wish, rev=rev)
        assert await rig.participants() == {(1, "1_2"): told, (2, "1_2"): other}


async def test_a_hint_is_recorded_with_a_change_and_with_its_repeat(rig: Rig) -> None:
    await rig.put(BEFORE)
    after = replace(BEFORE, floor_id=2**62)

    for count in (1, 2):
        told, hint = await rig.conversations.change_hinted(1, "1_2", deciding(after))
        assert told == replace(after, rev=5)
        assert (hint.message_id, hint.user_id) == (0, 1)
        hints = await rig.store.hints(limit=9)
        assert (len(hints), hints[-1]) == (count, hint)

    await rig.store.drop_hints(hints)
    assert await rig.store.hints(limit=9) == []


async def test_no_hint_is_recorded_of_a_refusal(rig: Rig) -> None:
    await rig.put(BEFORE)

    def refuse(facts: ParticipantFacts) -> Participant:
        raise TooMany(facts.participant.rev)

    with pytest.raises(TooMany):
        await rig.conversations.change_hinted(1, "1_2", refuse)
    with pytest.raises(ConversationNotFound):
        await rig.conversations.change_hinted(2, "1_2", deciding(BEFORE))

    assert await rig.store.hints(limit=9) == []
    assert await rig.participants() == {(1, "1_2"): BEFORE}


async def test_a_refusal_passes_through_and_changes_nothing(rig: Rig) -> None:
    await rig.put(BEFORE)

    def refuse(facts: ParticipantFacts) -> Participant:
        raise TooMany(facts.participant.rev)

    with pytest.raises(TooMany):
        await rig.conversations.change_participant(1, "1_2", refuse)

    assert await rig.participants() == {(1, "1_2"): BEFORE}


async def test_an_absent_participant_is_not_found(rig: Rig) -> None:
    await rig.put(BEFORE, Participant(user_id=3, conversation_id="1_3", pin_time=1))

    for user_id, name in ((2, "1_2"), (3, "g3"), (3, "3_3")):
        with pytest.raises(ConversationNotFound):
            await rig.conversations.change_participant(user_id, name, deciding(BEFORE))

    assert len(await rig.participants()) == 2


@pytest.mark.parametrize("pinned", [0, MOST_PINS - 1])
async def test_pins_at_the_same_time_are_counted_one_after_the_other(rig: Rig, pinned: int) -> None:
    names = [f"g{n}" for n in range(10, 22)]
    await rig.put(
        *(
            Participant(user_id=1, conversation_id=name, pin_time=5 if n < pinned else None)
            for n, name in enumerate(names)
        )
    )
    told = await asyncio.gather(
        *(
            rig.conversations.change_participant(1, name, pinning(n))
            for n, name in enumerate(names[pinned:])
        ),
        return_exceptions=True,
    )

    assert sum(isinstance(each, Participant) for each in told) == MOST_PINS - pinned
    assert all(isinstance(each, Participant | TooMany) for each in told)
    rows = (await rig.participants()).values()
    assert sum(each.pin_time is not None for each in rows) == MOST_PINS


async def test_changes_and_marks_at_the_same_time_lose_nothing(rig: Rig) -> None:
    await rig.store.apply([make_message(n) for n in range(9)])

    def grow(facts: ParticipantFacts) -> Participant:
        return replace(facts.participant, muted_until=facts.participant.muted_until + 1)

    changes = [rig.conversations.change_participant(1, "1_2", grow) for _ in range(20)]
    marks = [
        rig.conversations.mark([Mark(user_id=1, conversation_id="1_2", read_seq=n)], now_ms=n)
        for n in range(1, 10)
    ]
    told = await asyncio.gather(*changes, *marks)

    after = (await rig.participants())[1, "1_2"]
    raised = {n.rev for n in told[:20] if isinstance(n, Participant)}
    assert len(raised) == 20
    assert (after.muted_until, after.read_seq, after.delivered_seq) == (20, 9, 9)
    assert 21 <= after.rev <= 29
