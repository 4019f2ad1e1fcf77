"""Test that an unread number is a count of what the history shows, after whatever has happened."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from msgspec.structs import replace

from messaging.domain.conversation_requests import ListRequest, SetRequest
from messaging.domain.conversations import Mark
from messaging.domain.errors import ApiError
from messaging.domain.groups import History, JoinMode
from messaging.domain.ids import group_of, parties_of
from messaging.domain.message import ChatType, Message, MsgType
from messaging.limits import MAX_UNREAD
from messaging.service import conversation_settings, conversation_views, groups
from messaging.service.conversation_settings import clear, set_state
from messaging.service.conversation_views import ConversationView
from messaging.service.conversations import list_conversations, sum_unread
from messaging.service.delete import delete
from messaging.service.group_rules import Actor
from messaging.service.history import history
from messaging.service.marks import mark
from messaging.service.newest import Newest, read_newest
from messaging.service.recall import recall
from messaging.service.send import send
from messaging.service.unread import MOST_COUNTED
from tests.support.group_service import GroupService
from tests.support.memory import ALICE, BOB, MALLORY, to_bob, to_group, with_bob
from tests.unit.service.test_groups import RunningClock

USERS = (ALICE, BOB, MALLORY)
CONVERSATIONS = ("1_2", "1_3", "2_3", "g1")
GROUP = 1
CLEARED_MS = 600  # a call to clear waits for longer than half a second


@pytest.fixture(autouse=True)
def no_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(conversation_settings, "LONGEST_WAIT_MS", 0)


async def opened() -> GroupService:
    """Return a service with a group of alice and bob that everybody may join."""
    service = GroupService(clock=RunningClock())
    fields = {"name": "club", "join_mode": JoinMode.OPEN, "history": History.ALL}
    await groups.create_group(service.backends, fields, actor=Actor(user_id=ALICE), user_ids=[BOB])
    return service


async def tell(service: GroupService, sender: int, name: str, content: str = "hello") -> int:
    group_id = group_of(name)
    if group_id is None:
        (receiver,) = parties_of(name) - {sender}
        request = to_bob(content, target_id=receiver)
    else:
        request = to_group(content, target_id=group_id)
    return (await send(service.backends, request, sender_id=sender)).message_id


async def views(service: GroupService, user_id: int) -> dict[str, ConversationView]:
    request = ListRequest(size=100, includes_hidden=True)
    page = await list_conversations(service.backends, request, reader_id=user_id)
    assert not page.partial
    return {view.entry.conversation_id: view for view in page.views}


async def unread(service: GroupService, user_id: int, name: str) -> int | None:
    return (await views(service, user_id))[name].unread


async def seen(service: GroupService, user_id: int, name: str) -> list[Message]:
    """Return the whole history of a conversation, newest first, as the user sees it."""
    group_id = group_of(name)
    others = parties_of(name) - {user_id} if group_id is None else {group_id}
    chat_type = ChatType.PRIVATE if group_id is None else ChatType.GROUP
    request = with_bob(chat_type=chat_type, target_id=next(iter(others)), size=100)
    page = await history(service.backends, request, reader_id=user_id)
    assert not page.has_more
    return list(page.messages)


def recount(messages: Sequence[Message], user_id: int, read_seq: int) -> int:
    return sum(
        message.from_user_id != user_id
        and (message.seq is None or message.seq > read_seq)
        and not message.is_recalled
        and message.msg_type is not MsgType.NOTICE
        for message in messages
    )


async def check(service: GroupService) -> None:
    """Compare each list with the histories, once nothing is pending any more."""
    await service.consume()
    for user_id in USERS:
        listed = await views(service, user_id)
        participants = service.store.participants
        assert listed.keys() == {
            name for (user, name), each in participants.items() if user == user_id and each.is_in
        }
        total = 0
        for name, view in listed.items():
            shown = await seen(service, user_id, name)
            participant = participants[user_id, name]
            count = recount(shown, user_id, participant.read_seq)
            assert view.unread == count, (user_id, name)
            assert view.entry.participant.rev == participant.rev
            assert view.last_message == (shown[0] if shown else None), (user_id, name)
            total += 0 if view.entry.is_hidden else count
        sums = await sum_unread(service.backends, reader_id=user_id)
        assert sums.loud.messages + sums.muted.messages == total


class TestAnUnreadNumber:
    async def test_counts_what_others_wrote_and_the_user_has_not_read(self) -> None:
        service = await opened()
        for sender in (BOB, ALICE, BOB):
            await tell(service, sender, "1_2")
        assert await unread_while_pending(service) == 2
        await service.consume()
        assert await unread(service, ALICE, "1_2") == 2
        assert await unread(service, ALICE, "g1") == 0  # notices
        await mark(service.backends, [of(ALICE, "1_2", 1)], user_id=ALICE)
        assert await unread(service, ALICE, "1_2") == 1

    async def test_falls_with_a_recall_a_delete_and_a_clear(self) -> None:
        service = await opened()
        ids = [await tell(service, BOB, "g1") for _ in range(4)]
        await service.consume()
        assert await unread(service, ALICE, "g1") == 4
        await recall(service.backends, ids[0], user_id=BOB)
        await service.consume()
        assert await unread(service, ALICE, "g1") == 3
        await delete(service.backends, ids[1], user_id=ALICE)
        assert await unread(service, ALICE, "g1") == 2
        await clear(service.backends, "g1", user_id=ALICE)
        service.clock.now_ms += CLEARED_MS
        assert await unread(service, ALICE, "g1") == 0
        await tell(service, BOB, "g1")
        await service.consume()
        assert await unread(service, ALICE, "g1") == 1

    async def test_is_counted_once_for_a_state(self) -> None:
        service = GroupService(clock=RunningClock())
        await tell(service, BOB, "1_2")
        await service.consume()
        assert await unread(service, ALICE, "1_2") == 1
        service.store.down = True
        assert await unread(service, ALICE, "1_2") == 1

    async def test_ends_at_a_thousand(self) -> None:
        service = await opened()
        for _ in range(MAX_UNREAD + 5):
            message_id = service.ids.next_id("g1")
            row = next(iter(service.store.rows.values()))
            service.store.insert(_said(row, message_id))
        assert await unread(service, ALICE, "g1") == MOST_COUNTED
        sums = await sum_unread(service.backends, reader_id=ALICE)
        assert sums.loud.messages == MAX_UNREAD

    async def test_counts_no_more_pending_ones_than_the_newest(self) -> None:
        service = await opened()
        await tell(service, BOB, "1_2")
        await service.consume()
        for _ in range(70):
            await tell(service, BOB, "1_2")
        assert await unread(service, ALICE, "1_2") == 65

    async def test_counts_the_last_message_that_was_stored_meanwhile(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        service = await opened()
        for name in ("1_2", "g1"):
            await tell(service, BOB, name)
        await service.consume()
        for name in ("1_2", "g1"):
            await tell(service, BOB, name)

        async def read_later(*args: Any, **kwargs: Any) -> Newest:
            await service.consume()
            return await read_newest(*args, **kwargs)

        monkeypatch.setattr(conversation_views, "read_newest", read_later)
        shown = await views(service, ALICE)
        for name in ("1_2", "g1"):
            last = shown[name].last_message
            assert last is not None
            assert last.seq == shown[name].entry.head.last_seq + 1
            assert shown[name].unread == 2


async def unread_while_pending(service: GroupService) -> int | None:
    """Return alice's number of the conversation with bob, whose first message was stored."""
    first = min(service.cache.details)
    service.store.insert(service.cache.details[first])
    await service.consume()
    return await unread(service, ALICE, "1_2")


def of(user_id: int, name: str, read_seq: int) -> Mark:
    return Mark(user_id=user_id, conversation_id=name, read_seq=read_seq)


def _said(row: Message, message_id: int) -> Message:
    return replace(
        row, id=message_id, from_user_id=BOB, msg_type=MsgType.TEXT, notice=None, seq=None
    )


Verb = Callable[[GroupService, int, int], Awaitable[object]]


def _id(service: GroupService, n: int) -> int:
    ids = sorted({*service.cache.details, *service.store.rows}, reverse=True)
    return ids[n % len(ids)]


def _name(n: int) -> str:
    return CONVERSATIONS[n % len(CONVERSATIONS)]


async def _clear(service: GroupService, user_id: int, n: int) -> None:
    await clear(service.backends, _name(n), user_id=user_id)
    service.clock.now_ms += CLEARED_MS


async def _hide(service: GroupService, user_id: int, n: int) -> None:
    wanted = SetRequest(conversation_id=_name(n), hidden=True, marked_unread=n % 2 == 0)
    await set_state(service.backends, wanted, user_id=user_id)


async def _say(service: GroupService, user_id: int, n: int) -> None:
    name = _name(n)
    if group_of(name) or user_id in parties_of(name):
        await tell(service, user_id, name, str(n))


async def _run_out(service: GroupService, user_id: int, n: int) -> None:
    service.cache.run_out()


async def _evict(service: GroupService, user_id: int, n: int) -> None:
    service.cache.evict_head(_name(n))
    service.cache.tails.pop(_name(n // 2), None)


VERBS: dict[str, Verb] = {
    "say": _say,
    "say again": _say,
    "recall": lambda s, user_id, n: recall(s.backends, _id(s, n), user_id=user_id),
    "delete": lambda s, user_id, n: delete(s.backends, _id(s, n), user_id=user_id),
    "mark": lambda s, user_id, n: mark(s.backends, [of(user_id, _name(n), n)], user_id=user_id),
    "clear": _clear,
    "hide": _hide,
    "join": lambda s, user_id, n: groups.join(s.backends, GROUP, "", actor=Actor(user_id=user_id)),
    "leave": lambda s, user_id, n: groups.leave(s.backends, GROUP, actor=Actor(user_id=user_id)),
    "remove": lambda s, user_id, n: groups.remove(
        s.backends, GROUP, [MALLORY], bans=False, actor=Actor(user_id=ALICE)
    ),
    "list": lambda s, user_id, n: views(s, user_id),
    "sum": lambda s, user_id, n: sum_unread(s.backends, reader_id=user_id),
    "store": lambda s, user_id, n: s.consume(),
    "half an hour": _run_out,
    "full cache": _evict,
    "check": lambda s, user_id, n: check(s),
}
Act = tuple[str, int, int]
ACTS = st.lists(
    st.tuples(st.sampled_from(sorted(VERBS)), st.sampled_from(USERS), st.integers(0, 11)),
    max_size=40,
)


@pytest.mark.usefixtures("no_wait")
@hypothesis_settings(max_examples=150, deadline=None)
@given(acts=ACTS)
def test_is_a_recount_of_the_history_after_any_verbs(acts: list[Act]) -> None:
    async def run() -> None:
        service = await opened()
        for verb, user_id, n in acts:
            with contextlib.suppress(ApiError):
                await VERBS[verb](service, user_id, n)
        await check(service)

    asyncio.run(run())
