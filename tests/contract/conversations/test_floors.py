"""Test that the message store tells the floors that participants have."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from messaging.domain.conversations import Floor, Participant
from messaging.ports.conversations import ParticipantFacts
from messaging.ports.store import Deletes
from tests.contract.conversations.rigs import Rig


@pytest.fixture(autouse=True)
async def participants(rig: Rig) -> None:
    await rig.put(
        Participant(user_id=1, conversation_id="1_2", floor_id=9, floor_seq=4),
        Participant(user_id=1, conversation_id="g7", floor_id=2**62, is_in=False),
        Participant(user_id=1, conversation_id="g8"),
        Participant(user_id=2, conversation_id="1_2", floor_id=5, floor_seq=1),
    )


async def test_all_of_a_user_by_conversation(rig: Rig) -> None:
    assert await rig.store.floors_of(1) == {"1_2": Floor(9, 4), "g7": Floor(2**62, 0)}
    assert await rig.store.floors_of(3) == {}


async def test_that_in_one_conversation(rig: Rig) -> None:
    assert await rig.store.floors_of(2, "1_2") == {"1_2": Floor(5, 1)}
    assert await rig.store.floors_of(1, "g8") == {}
    assert await rig.store.floors_of(2, "g7") == {}


async def test_with_the_deletes(rig: Rig) -> None:
    await rig.delete(2, "1_2", ids=[3, 4], rev=1)
    assert await rig.store.deletes_of(2, limit=9) == Deletes((4, 3), 0, {"1_2": Floor(5, 1)})
    assert await rig.store.deletes_of(3, limit=9) == Deletes((), 0, {})


async def test_as_soon_as_they_are_written(rig: Rig) -> None:
    def clear(facts: ParticipantFacts) -> Participant:
        return replace(facts.participant, floor_id=10, floor_seq=6)

    await rig.conversations.change_participant(2, "1_2", clear)
    assert await rig.store.floors_of(2) == {"1_2": Floor(10, 6)}
