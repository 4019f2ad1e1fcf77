"""Test the settings of a conversation: what a call changes, answers, and tells the cached list."""

from __future__ import annotations

import pytest

from messaging.domain.conversation_requests import SetRequest
from messaging.domain.conversations import Entry, Participant
from messaging.domain.errors import (
    ConversationNotFound,
    TemporarilyUnavailable,
    TooMany,
    TooManyRequests,
)
from messaging.domain.groups import FOR_GOOD
from messaging.http.settings_representation import present_cleared, present_settings
from messaging.service.conversation_settings import clear, set_state
from messaging.service.send import send
from tests.support.memory import ALICE, BOB, MALLORY, MemoryService, to_bob

NAME = f"{ALICE}_{BOB}"
UNSET = {"pinTime": None, "mutedUntil": 0, "isHidden": False, "isMarkedUnread": False}


@pytest.fixture
async def service() -> MemoryService:
    opened = MemoryService()
    await say(opened)
    await opened.consume()
    return opened


async def say(service: MemoryService) -> int:
    service.clock.now_ms += 1
    return (await send(service.backends, to_bob(), sender_id=ALICE)).message_id


async def wish(service: MemoryService, user_id: int = BOB, **wanted: object) -> Entry:
    request = SetRequest(conversation_id=NAME, **wanted)  # type: ignore[arg-type]
    return await set_state(service.backends, request, user_id=user_id)


async def answer(service: MemoryService, **wanted: object) -> dict[str, object]:
    entry = await wish(service, BOB, **wanted)
    return present_settings(entry, now_ms=service.clock.now_ms)


async def test_each_setting_is_answered_with_all(service: MemoryService) -> None:
    now_ms = service.clock.now_ms
    given = {"conversationId": NAME} | UNSET
    for wanted, changed in (
        ({"pinned": True}, {"pinTime": now_ms}),
        ({"muted_for_s": 60}, {"mutedUntil": now_ms + 60_000}),
        ({"hidden": True}, {"isHidden": True}),
        ({"marked_unread": True}, {"isMarkedUnread": True}),
        ({"muted_for_s": -1}, {"mutedUntil": FOR_GOOD}),
    ):
        given |= changed
        for _ in range(2):
            assert await answer(service, **wanted) == given
    unset = {
        "pinned": False,
        "muted_for_s": 0,
        "hidden": False,
        "marked_unread": False,
    }
    assert await answer(service, **unset) == {"conversationId": NAME} | UNSET
    assert service.store.participants[ALICE, NAME] == Participant(
        user_id=ALICE, conversation_id=NAME
    )


async def test_a_mute_that_is_past_is_none(service: MemoryService) -> None:
    await wish(service, muted_for_s=1)
    service.clock.now_ms += 1_001
    assert (await answer(service, pinned=False))["mutedUntil"] == 0


async def test_a_repeat_changes_nothing(service: MemoryService) -> None:
    first = await wish(service, pinned=True, hidden=True)
    service.clock.now_ms += 1
    assert await wish(service, pinned=True, hidden=True) == first


@pytest.mark.parametrize("is_away", [False, True], ids=["cached", "cache away"])
async def test_a_hidden_conversation_comes_back_with_a_newer_message(
    service: MemoryService, is_away: bool
) -> None:
    pending = await say(service)
    if is_away:
        await service.consume()
        service.cache.down = True
    assert (await wish(service, hidden=True)).participant.hidden_id == pending
    service.cache.down = False
    await service.consume()
    assert (await answer(service, pinned=True))["isHidden"]
    await say(service)
    assert not (await answer(service, pinned=True))["isHidden"]
    await service.consume()
    assert not (await answer(service, pinned=True))["isHidden"]


async def test_the_cached_list_is_told(service: MemoryService) -> None:
    entries = await service.conversations.listing(BOB)
    token = (await service.cache.listing(BOB)).token
    assert token is not None
    await service.cache.fill_listing(BOB, token, entries)
    changed = await wish(service, pinned=True)
    known = (await service.cache.listing(BOB)).entries
    assert known is not None
    assert known[NAME].participant == changed.participant


async def test_no_more_than_a_hundred_are_pinned(service: MemoryService) -> None:
    for n in range(100):
        service.store.participants[BOB, f"g{n}"] = Participant(
            user_id=BOB, conversation_id=f"g{n}", pin_time=1
        )
    with pytest.raises(TooMany):
        await wish(service, pinned=True)
    service.store.participants.pop((BOB, "g0"))
    assert (await wish(service, pinned=True)).participant.pin_time == service.clock.now_ms


async def test_what_is_not_theirs_is_absent(service: MemoryService) -> None:
    with pytest.raises(ConversationNotFound):
        await wish(service, MALLORY, pinned=True)


async def test_nothing_changes_without_the_database(service: MemoryService) -> None:
    before = dict(service.store.participants)
    service.store.down = True
    with pytest.raises(TemporarilyUnavailable):
        await wish(service, pinned=True)
    assert service.store.participants == before


async def test_both_calls_count_as_changes(service: MemoryService) -> None:
    limited = service.restarted_with(change_rate=0.001, change_burst=2)
    await wish(limited, pinned=True)
    await clear(limited.backends, NAME, user_id=BOB)
    with pytest.raises(TooManyRequests):
        await wish(limited, pinned=True)
    with pytest.raises(TooManyRequests):
        await clear(limited.backends, NAME, user_id=BOB)


def test_a_clear_is_answered_with_what_it_hides() -> None:
    cleared = Participant(user_id=BOB, conversation_id=NAME, floor_id=2**60, read_seq=7)
    assert present_cleared(cleared) == {
        "conversationId": NAME,
        "floorId": str(2**60),
        "readSeq": 7,
    }
