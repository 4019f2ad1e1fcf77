"""Test that a reader who is removed while rows are read gets nothing of them.

In each test the removal is answered after the guard came with the cached messages, and before the
rows are read: whatever is read from then on may be newer than the removal.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from messaging.domain.conversation_requests import ListRequest, ReadersRequest
from messaging.domain.errors import (
    ApiError,
    ConversationNotFound,
    MessageNotFound,
    NotAMember,
    TemporarilyUnavailable,
)
from messaging.domain.group_requests import MembersRequest, RequestsRequest
from messaging.domain.groups import Role
from messaging.domain.ids import group_conversation
from messaging.domain.sync_requests import parse_span, parse_sync
from messaging.ports.directory import GroupAccess
from messaging.service import group_changes, groups, history_pages
from messaging.service.conversations import list_conversations
from messaging.service.fetch import fetch
from messaging.service.group_reading import list_members, list_requests
from messaging.service.group_rules import Actor
from messaging.service.history import history
from messaging.service.readers import list_readers
from messaging.service.send import send
from messaging.service.span import read_span
from messaging.service.sync import sync
from messaging.testing.conversations import MemoryConversations
from messaging.testing.groups import MemoryGroups
from messaging.testing.store import MemoryStore
from tests.support.group_service import GroupService
from tests.support.memory import ALICE, BOB, to_bob, to_group, with_bob, with_group
from tests.unit.service.test_groups import RunningClock

OWNER = Actor(user_id=ALICE)
MESSAGES = 5
Deed = Callable[[], Awaitable[object]]


class Club(GroupService):
    """Hold a service with a group of alice, its owner, and of bob, an administrator."""

    async def open(self) -> None:
        made = await groups.create_group(self.backends, {"name": "club"}, actor=OWNER)
        self.group_id = made.changed.group.id
        self.name = group_conversation(self.group_id)
        await groups.invite(self.backends, self.group_id, [BOB], actor=OWNER)
        await groups.set_role(self.backends, self.group_id, BOB, Role.ADMIN, actor=OWNER)
        self.ids = [await self.say() for _ in range(MESSAGES)]

    async def say(self) -> int:
        """Send a message of bob, and store it."""
        wanted = to_group(target_id=self.group_id)
        message_id = (await send(self.backends, wanted, sender_id=BOB)).message_id
        await self.consume()
        return message_id

    async def remove(self) -> None:
        await groups.remove(self.backends, self.group_id, [BOB], bans=False, actor=OWNER)

    async def invite_again(self) -> None:
        await self.remove()
        await groups.invite(self.backends, self.group_id, [BOB], actor=OWNER)

    async def doubt(self) -> None:
        await self.cache.distrust(self.name, [BOB])

    async def page(self) -> list[int]:
        page = await history(self.backends, with_group(target_id=self.group_id), reader_id=BOB)
        return [message.id for message in page.messages]

    async def listed(self) -> list[str]:
        page = await list_conversations(self.backends, ListRequest(size=10), reader_id=BOB)
        return [view.entry.conversation_id for view in page.views]

    async def synced(self) -> list[str]:
        answer = await sync(self.backends, parse_sync({}, own_id=BOB), reader_id=BOB)
        return [told.view.entry.conversation_id for told in answer.told]

    async def span(self) -> object:
        return await read_span(
            self.backends, parse_span({"conversationId": self.name, "fromSeq": "1"}), reader_id=BOB
        )

    async def one(self) -> object:
        return await fetch(self.backends, self.ids[0], reader_id=BOB)

    async def readers(self) -> object:
        wanted = ReadersRequest(message_id=self.ids[0], has_read=True, after=0, size=20)
        return await list_readers(self.backends, wanted, reader_id=BOB)

    async def members(self) -> object:
        wanted = MembersRequest(group_id=self.group_id, role=None, after=None, size=20)
        return await list_members(self.backends, wanted, reader_id=BOB)

    async def requests(self) -> object:
        wanted = RequestsRequest(group_id=self.group_id, after=None, size=20)
        return await list_requests(self.backends, wanted, reader_id=BOB)


@pytest.fixture
async def club() -> Club:
    club = Club(clock=RunningClock())
    await club.open()
    return club


def before(monkeypatch: pytest.MonkeyPatch, kind: type, name: str, deed: Deed) -> list[object]:
    """Do a deed once, right before a method reads its rows; return a list that has it then."""
    read, done = getattr(kind, name), []

    async def read_late(*args: Any, **options: Any) -> object:
        if not done:
            done.append(None)
            await deed()
        return await read(*args, **options)

    monkeypatch.setattr(kind, name, read_late)
    return done


async def lose_tail(club: Club) -> None:
    """Let the store be asked for the rows: somebody else fills the tail."""
    club.cache.run_out()
    await club.cache.begin_fill(club.name)


READINGS: dict[str, tuple[Callable[[Club], Awaitable[object]], type, str, type[ApiError]]] = {
    "history": (Club.page, MemoryStore, "page", NotAMember),
    "a span": (Club.span, MemoryConversations, "spans", ConversationNotFound),
    "a message": (Club.one, MemoryStore, "find", MessageNotFound),
    "readers": (Club.readers, MemoryConversations, "readers", MessageNotFound),
    "members": (Club.members, MemoryGroups, "members", NotAMember),
    "requests": (Club.requests, MemoryGroups, "join_requests", NotAMember),
}


@pytest.mark.parametrize("reading", READINGS)
async def test_who_is_removed_before_the_rows_are_read_is_refused(
    club: Club, monkeypatch: pytest.MonkeyPatch, reading: str
) -> None:
    read, kind, name, error = READINGS[reading]
    await lose_tail(club)
    done = before(monkeypatch, kind, name, club.remove)
    with pytest.raises(error):
        await read(club)
    assert done


@pytest.mark.parametrize(
    ("read", "kind", "name"),
    [(Club.listed, MemoryStore, "page"), (Club.synced, MemoryConversations, "spans")],
    ids=["list", "sync"],
)
async def test_a_list_and_a_sync_leave_out_the_group(
    club: Club,
    monkeypatch: pytest.MonkeyPatch,
    read: Callable[[Club], Awaitable[list[str]]],
    kind: type,
    name: str,
) -> None:
    await lose_tail(club)
    assert await read(club) == [club.name]
    await lose_tail(club)
    done = before(monkeypatch, kind, name, club.remove)
    assert await read(club) == []
    assert done


async def test_of_details_that_were_evicted_nothing_is_shown(
    club: Club, monkeypatch: pytest.MonkeyPatch
) -> None:
    await club.page()
    club.cache.details.clear()
    done = before(monkeypatch, MemoryStore, "get", club.remove)
    with pytest.raises(NotAMember):
        await club.page()
    assert done


async def test_of_a_page_that_goes_on_in_the_store_nothing_is_shown(
    club: Club, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(history_pages, "FILL_ROWS", 2)
    club.cache.run_out()
    await club.page()
    done = before(monkeypatch, MemoryStore, "page", club.remove)
    with pytest.raises(NotAMember):
        await club.page()
    assert done


async def test_without_the_cache_the_database_is_asked_after_the_rows(
    club: Club, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(group_changes, "FORGOTTEN_AFTER_S", 0)
    club.cache.down = True
    assert len(await club.page()) >= MESSAGES
    done = before(monkeypatch, MemoryStore, "page", club.remove)
    with pytest.raises(NotAMember):
        await club.page()
    assert done


async def test_a_guard_that_may_be_lost_confirms_nothing(
    club: Club, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def remove_and_restart() -> None:
        await club.remove()
        club.cache.restart({"guards": {}})

    await lose_tail(club)
    before(monkeypatch, MemoryStore, "page", remove_and_restart)
    with pytest.raises(NotAMember):
        await club.page()


async def test_nothing_is_shown_where_nobody_can_tell(
    club: Club, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def doubt_for_ever() -> None:
        await club.doubt()
        club.directory.down = True

    await lose_tail(club)
    before(monkeypatch, MemoryStore, "page", doubt_for_ever)
    with pytest.raises(TemporarilyUnavailable):
        await club.page()


async def test_a_member_in_doubt_is_asked_about_once_and_reads(
    club: Club, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []
    ask = club.directory.ask_access

    async def ask_access(group_id: int, user_id: int, *, after: int) -> GroupAccess | None:
        if after:
            asked.append(after)
        return await ask(group_id, user_id, after=after)

    await club.page()
    await lose_tail(club)
    monkeypatch.setattr(club.directory, "ask_access", ask_access)
    before(monkeypatch, MemoryStore, "page", club.doubt)
    assert set(club.ids) <= set(await club.page())
    assert len(asked) == 1


@pytest.mark.parametrize("reading", ["history", "readers"])
async def test_who_comes_back_in_between_sees_nothing_of_before(
    club: Club, monkeypatch: pytest.MonkeyPatch, reading: str
) -> None:
    read, kind, name, _ = READINGS[reading]
    await club.invite_again()
    club.ids = [await club.say()]
    await lose_tail(club)
    before(monkeypatch, kind, name, club.invite_again)
    if reading == "history":
        assert set(club.ids).isdisjoint(await club.page())
    else:
        with pytest.raises(MessageNotFound):
            await read(club)


async def test_a_page_asks_for_the_guard_again_only_for_rows_of_a_group(club: Club) -> None:
    asked = 0
    listed = club.guarded_cache.listed

    async def counted(*args: Any, **options: Any) -> object:
        nonlocal asked
        asked += 1
        return await listed(*args, **options)

    club.guarded_cache.listed = counted  # type: ignore[method-assign, assignment]
    await club.page()
    assert asked == 0
    await lose_tail(club)
    await club.page()
    assert asked == 1
    await send(club.backends, to_bob(), sender_id=ALICE)
    await club.consume()
    club.cache.run_out()
    await club.cache.begin_fill("1_2")
    page = await history(club.backends, with_bob(), reader_id=ALICE)
    assert (len(page.messages), asked) == (1, 1)
