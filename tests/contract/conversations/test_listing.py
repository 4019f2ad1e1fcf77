"""Test what a store tells of a user's conversations."""

from __future__ import annotations

from messaging.domain.conversations import Entry, Head, Participant, Peer
from messaging.domain.groups import FOR_GOOD, OutReason
from messaging.domain.message import ChatType
from tests.contract.conversations.rigs import Rig
from tests.support.messages import FIRST_ID, make_message


async def listed(rig: Rig, user_id: int, names: list[str] | None = None) -> dict[str, Entry]:
    entries = await rig.conversations.listing(user_id, names)
    assert len({entry.conversation_id for entry in entries}) == len(entries)
    return {entry.conversation_id: entry for entry in entries}


async def test_a_user_without_a_conversation_has_none(rig: Rig) -> None:
    await rig.put(Participant(user_id=2, conversation_id="2_3"))

    assert await rig.conversations.listing(1) == []


async def test_a_private_conversation_is_listed_for_both_with_its_head(rig: Rig) -> None:
    await rig.store.apply([make_message(1), make_message(5), make_message(3)])

    for user_id in (1, 2):
        (entry,) = await rig.conversations.listing(user_id)
        assert entry == Entry(
            participant=Participant(user_id=user_id, conversation_id="1_2"),
            head=Head(last_seq=3, last_id=FIRST_ID + 5),
            peer=Peer(),
        )


async def test_every_column_comes_back(rig: Rig) -> None:
    busy = Participant(
        user_id=1,
        conversation_id="g7",
        rev=2**62,
        is_in=False,
        out_reason=OutReason.BANNED,
        floor_id=11,
        floor_seq=12,
        read_seq=13,
        delivered_seq=14,
        read_time=15,
        pin_time=16,
        muted_until=FOR_GOOD,
        hidden_id=17,
        is_marked_unread=True,
    )
    await rig.put(busy)

    assert await rig.conversations.listing(1) == [Entry(participant=busy)]


async def test_the_peer_is_the_other_party_alone(rig: Rig) -> None:
    await rig.store.apply([make_message(1, to_id=1)])
    await rig.put(
        Participant(user_id=1, conversation_id="1_2", read_seq=3, delivered_seq=4),
        Participant(user_id=2, conversation_id="1_2", read_seq=5, delivered_seq=6, read_time=7),
        Participant(user_id=1, conversation_id="1_3", read_seq=7),
        Participant(user_id=1, conversation_id="g7"),
        Participant(user_id=2, conversation_id="g7", read_seq=8),
    )

    peers = {name: entry.peer for name, entry in (await listed(rig, 1)).items()}

    assert peers == {
        "1_1": None,
        "1_2": Peer(read_seq=5, delivered_seq=6, read_time=7),
        "1_3": Peer(),
        "g7": None,
    }


async def test_the_numbers_of_changes_are_told(rig: Rig) -> None:
    first, second = make_message(1), make_message(2)
    await rig.store.apply([first, second])
    await rig.store.apply([first.recalled(9)])
    await rig.store.apply([second.recalled(9)])

    entry = (await listed(rig, 1))["1_2"]

    assert entry.head == Head(last_seq=2, last_rev=2, last_id=second.id)


async def test_conversations_are_chosen_by_their_ids(rig: Rig) -> None:
    names = ["1_2", "1_3", "g7"]
    await rig.put(*(Participant(user_id=1, conversation_id=name) for name in names))
    await rig.put(Participant(user_id=2, conversation_id="2_3"))

    assert set(await listed(rig, 1)) == set(names)
    assert set(await listed(rig, 1, ["1_3", "g7", "2_3", "g9", "1_3"])) == {"1_3", "g7"}
    assert await rig.conversations.listing(1, []) == []


async def test_a_list_may_be_longer_than_one_statement(rig: Rig) -> None:
    await rig.store.apply(
        [make_message(n, to_id=n, content="x") for n in range(2, 1_203)]
        + [make_message(5_000, to_id=9, chat_type=ChatType.GROUP)]
    )
    await rig.put(Participant(user_id=1_202, conversation_id="1_1202", read_seq=1))

    entries = await listed(rig, 1)

    assert len(entries) == 1_201
    assert entries["1_700"].head == Head(last_seq=1, last_id=FIRST_ID + 700)
    assert entries["1_1202"].peer == Peer(read_seq=1)
    assert set(await listed(rig, 1, list(entries))) == set(entries)
