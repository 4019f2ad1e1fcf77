"""Test the numbers of a participant that a store gives to the user's deletes."""

from __future__ import annotations

import asyncio

import pytest

from messaging.domain.backend_errors import StoreUnavailable
from messaging.ports.store import MessageStore
from tests.contract.store import past
from tests.contract.store.past import Delete
from tests.support.messages import FIRST_ID, make_message

NAME = "1_2"


@pytest.fixture
async def begun(store: MessageStore) -> MessageStore:
    """Store the first messages of a private conversation."""
    await store.apply([make_message(n) for n in (1, 2, 3)])
    return store


async def test_each_delete_has_the_next_number(begun: MessageStore) -> None:
    await begun.delete_for_user(2, [FIRST_ID + 2, FIRST_ID + 1], NAME)
    await begun.delete_for_user(2, [FIRST_ID + 3], NAME)
    await begun.delete_for_user(1, [FIRST_ID + 3], NAME)

    assert await past.deletes(begun) == {
        (2, FIRST_ID + 1): Delete(NAME, 1),
        (2, FIRST_ID + 2): Delete(NAME, 2),
        (2, FIRST_ID + 3): Delete(NAME, 3),
        (1, FIRST_ID + 3): Delete(NAME, 1),
    }
    assert await past.participant_revs(begun) == {(1, NAME): 1, (2, NAME): 3}


async def test_a_repeat_raises_no_number(begun: MessageStore) -> None:
    await begun.delete_for_user(2, [FIRST_ID + 1], NAME)
    before = await past.deletes(begun)

    await begun.delete_for_user(2, [FIRST_ID + 1], NAME)
    assert await past.deletes(begun) == before
    assert (await past.participant_revs(begun))[2, NAME] == 1

    await begun.delete_for_user(2, [FIRST_ID + 1, FIRST_ID + 2], NAME)
    assert await past.deletes(begun) == before | {(2, FIRST_ID + 2): Delete(NAME, 2)}


async def test_a_delete_without_a_participant_has_none(store: MessageStore) -> None:
    await store.delete_for_user(2, [FIRST_ID], NAME)

    assert await past.deletes(store) == {(2, FIRST_ID): Delete(NAME, 0)}
    assert await past.participant_revs(store) == {}


async def test_a_delete_that_is_handed_over_has_the_next_number(begun: MessageStore) -> None:
    first, repeat = (
        make_message(4, client_msg_id="k", content=""),
        make_message(5, client_msg_id="k", content=""),
    )
    await begun.apply([first])
    await begun.delete_for_user(2, [repeat.id], NAME)

    for _ in range(2):
        assert (await begun.apply([repeat])).deletes == ((2, first.id),)

    assert await past.deletes(begun) == {
        (2, repeat.id): Delete(NAME, 1),
        (2, first.id): Delete(NAME, 2),
    }
    assert await past.participant_revs(begun) == {(1, NAME): 0, (2, NAME): 2}


async def test_a_delete_that_an_heir_inherits_has_the_next_number(begun: MessageStore) -> None:
    deleted, heir = (
        make_message(4, client_msg_id="k", content=""),
        make_message(5, client_msg_id="k", content=""),
    )
    await begun.delete_for_user(2, [deleted.id], NAME, repeat=deleted)

    await begun.apply([heir])

    assert (await past.deletes(begun))[2, heir.id] == Delete(NAME, 2)


async def test_the_conversation_of_a_handed_over_delete_may_begin_with_the_batch(
    store: MessageStore,
) -> None:
    first, repeat = (
        make_message(4, client_msg_id="k", content=""),
        make_message(5, client_msg_id="k", content=""),
    )
    await store.delete_for_user(2, [repeat.id], NAME)

    await store.apply([first, repeat])

    assert (await past.deletes(store))[2, first.id] == Delete(NAME, 1)
    assert await past.participant_revs(store) == {(1, NAME): 0, (2, NAME): 1}


async def test_the_message_that_the_repeat_names_has_a_number_too(begun: MessageStore) -> None:
    first, repeat = (
        make_message(4, client_msg_id="k", content=""),
        make_message(5, client_msg_id="k", content=""),
    )
    await begun.apply([first])

    await begun.delete_for_user(2, [repeat.id], NAME, repeat=repeat)

    assert (await past.deletes(begun))[2, first.id] == Delete(NAME, 2)


async def test_writers_side_by_side_give_each_number_once(store: MessageStore) -> None:
    users, ids = (1, 2, 3, 4), [FIRST_ID + n for n in range(40)]
    await past.add_participants(store, "g7", users)

    async def delete(user_id: int, message_ids: list[int]) -> None:
        for _ in range(50):
            try:
                await store.delete_for_user(user_id, message_ids, "g7")
                return
            except StoreUnavailable:
                await asyncio.sleep(0.02)
        raise AssertionError("the store stays unavailable")

    # Each id is deleted twice, in parts that begin at different ids.
    parts = [ids[n::5] for n in range(5)] + [ids[n : n + 8] for n in range(0, 40, 8)]
    await asyncio.gather(*(delete(user_id, part) for part in parts for user_id in users))

    deletes = await past.deletes(store)
    for user_id in users:
        revs = sorted(each.rev for (user, _), each in deletes.items() if user == user_id)
        assert revs == list(range(1, 41))
    assert set((await past.participant_revs(store)).values()) == {40}
