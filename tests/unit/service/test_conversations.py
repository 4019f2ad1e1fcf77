"""Test what a user's list of conversations shows, in which order, and without which part."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
from msgspec.structs import replace as with_fields

from messaging.domain.backend_errors import StoreUnavailable
from messaging.domain.conversation_requests import ListRequest, PartnerRequest
from messaging.domain.conversations import NEVER, Mark, Participant, Peer
from messaging.domain.errors import ConversationNotFound, TemporarilyUnavailable, TooManyRequests
from messaging.domain.groups import FOR_GOOD
from messaging.domain.message import ChatType
from messaging.limits import MAX_PAGE_BYTES
from messaging.ports.directory import GroupAccess
from messaging.service import conversations, groups, unread
from messaging.service.conversation_views import ConversationView
from messaging.service.conversations import (
    ConversationPage,
    UnreadSum,
    list_conversations,
    sum_unread,
    view_conversation,
)
from messaging.service.delete import delete
from messaging.service.group_rules import Actor
from messaging.service.history import history
from messaging.service.marks import mark
from messaging.service.newest import Newest, read_newest
from messaging.service.recall import recall
from messaging.service.send import send
from messaging.testing.conversations import MemoryConversations
from tests.support.group_service import GroupService
from tests.support.memory import (
    ALICE,
    BOB,
    MALLORY,
    SETTINGS,
    MemoryService,
    to_bob,
    to_group,
    with_bob,
    with_group,
)
from tests.unit.service.test_groups import RunningClock

WITH_BOB, WITH_MALLORY = "1_2", "1_3"
ALL = ListRequest(size=100)


@pytest.fixture
def service() -> GroupService:
    return GroupService(clock=RunningClock())


async def tell(service: MemoryService, receiver: int = BOB, sender: int = ALICE) -> int:
    receipt = await send(service.backends, to_bob(target_id=receiver), sender_id=sender)
    return receipt.message_id


async def group_of_both(service: MemoryService) -> int:
    judged = await groups.create_group(
        service.backends, {"name": "club"}, actor=Actor(user_id=ALICE), user_ids=[BOB]
    )
    return judged.changed.group.id


async def listed(
    service: MemoryService, user_id: int = ALICE, **wanted: object
) -> ConversationPage:
    request = with_fields(ALL, **wanted)  # type: ignore[arg-type]
    return await list_conversations(service.backends, request, reader_id=user_id)


def names(page: ConversationPage) -> list[str]:
    return [view.entry.conversation_id for view in page.views]


async def one(service: MemoryService, group_id: int) -> tuple[ConversationView, bool]:
    wanted = PartnerRequest(chat_type=ChatType.GROUP, target_id=group_id)
    return await view_conversation(service.backends, wanted, reader_id=ALICE)


def set_state(service: MemoryService, name: str, user_id: int = ALICE, **state: object) -> None:
    """Change a participant past the use cases, as the database has it afterwards."""
    participant = service.store.participants[user_id, name]
    service.store.participants[user_id, name] = with_fields(
        participant, rev=participant.rev + 1, **state
    )
    service.cache.listings.pop(user_id, None)


async def only(service: MemoryService, user_id: int = ALICE) -> ConversationView:
    (view,) = (await listed(service, user_id)).views
    return view


class TestTheOrder:
    async def test_is_by_activity_and_pinned_ones_come_first(self, service: GroupService) -> None:
        for receiver in (BOB, MALLORY, ALICE):
            await tell(service, receiver)
        await service.consume()
        assert names(await listed(service)) == ["1_1", "1_3", "1_2"]
        await tell(service, MALLORY)  # not stored yet
        assert names(await listed(service)) == ["1_3", "1_1", "1_2"]
        set_state(service, "1_2", pin_time=5)
        set_state(service, "1_1", pin_time=9)
        assert names(await listed(service)) == ["1_1", "1_2", "1_3"]

    async def test_is_kept_over_pages(self, service: GroupService) -> None:
        for receiver in (BOB, MALLORY, ALICE):
            await tell(service, receiver)
        await service.consume()
        set_state(service, "1_2", pin_time=5)
        assert names(await listed(service)) == ["1_2", "1_1", "1_3"]
        paged, after = list[str](), None
        for _ in range(3):
            page = await listed(service, size=1, after=after)
            paged += names(page)
            after = page.next_after
        assert paged == ["1_2", "1_1", "1_3"]
        assert after is None

    async def test_leaves_hidden_ones_out_until_there_is_news(self, service: GroupService) -> None:
        newest = await tell(service)
        await service.consume()
        set_state(service, WITH_BOB, hidden_id=newest)
        assert names(await listed(service)) == []
        assert names(await listed(service, includes_hidden=True)) == [WITH_BOB]
        await tell(service, ALICE, BOB)
        assert names(await listed(service)) == [WITH_BOB]

    async def test_has_no_conversation_that_the_user_is_out_of(self, service: GroupService) -> None:
        group_id = await group_of_both(service)
        await tell(service, BOB)
        await service.consume()
        await tell(service, ALICE)
        assert names(await listed(service, BOB)) == [WITH_BOB, f"g{group_id}"]
        await groups.leave(service.backends, group_id, actor=Actor(user_id=BOB))
        for size in (1, 2):  # no place of a page is lost
            page = await listed(service, BOB, size=size, includes_hidden=True)
            assert (names(page), page.next_after) == ([WITH_BOB], None)
        assert names(await listed(service)) == [f"g{group_id}", WITH_BOB]


class Watch:
    """Watch how many conversations each statement counts, and how many are walked at a time.

    `most`: statements that the database answers.
    """

    def __init__(
        self, service: GroupService, monkeypatch: pytest.MonkeyPatch, *, most: int = 10**6
    ) -> None:
        self.counted: list[int] = []
        self.walks = self.most_walks = 0
        self._most = most
        self._count = service.conversations.count_unread
        monkeypatch.setattr(MemoryConversations, "count_unread", staticmethod(self._count_unread))
        monkeypatch.setattr(unread, "read_newest", self._read_newest)

    async def _count_unread(self, participants: Sequence[Participant], **up_to: Any) -> Any:
        if len(self.counted) == self._most:
            raise StoreUnavailable
        self.counted.append(len(participants))
        return await self._count(participants, **up_to)

    async def _read_newest(self, *args: Any, **options: Any) -> Newest:
        self.walks += 1
        self.most_walks = max(self.most_walks, self.walks)
        await asyncio.sleep(0)
        try:
            return await read_newest(*args, **options)
        finally:
            self.walks -= 1


Act = Callable[[GroupService, int], Awaitable[object]]
ACTS: dict[str, Act] = {
    "recall": lambda s, i: recall(s.backends, i, user_id=ALICE),
    "delete": lambda s, i: delete(s.backends, i, user_id=ALICE),
}


class TestTheLastMessage:
    async def test_is_the_first_of_the_history(self, service: GroupService) -> None:
        assert await listed(service) == ConversationPage(views=[], next_after=None, partial=False)
        for act in ACTS.values():
            for is_stored in (False, True):
                await tell(service)
                message_id = await tell(service)
                await service.consume()
                if not is_stored:
                    message_id = await tell(service)
                await act(service, message_id)
                page = await history(service.backends, with_bob(), reader_id=ALICE)
                assert (await only(service)).last_message == page.messages[0]
                await service.consume()
                page = await history(service.backends, with_bob(), reader_id=ALICE)
                assert (await only(service)).last_message == page.messages[0]

    async def test_that_one_has_deleted_keeps_the_place(self, service: GroupService) -> None:
        for receiver in (MALLORY, BOB):
            message_id = await tell(service, receiver)
        await service.consume()
        await delete(service.backends, message_id, user_id=ALICE)
        page = await listed(service)
        assert names(page) == [WITH_BOB, WITH_MALLORY]
        assert [view.last_message is None for view in page.views] == [True, False]

    async def test_of_a_group_is_above_the_floor(self, service: GroupService) -> None:
        group_id = await group_of_both(service)
        await groups.invite(service.backends, group_id, [MALLORY], actor=Actor(user_id=ALICE))
        view = await only(service, MALLORY)
        request = with_group(target_id=group_id)
        page = await history(service.backends, request, reader_id=MALLORY)
        assert [view.last_message] == list(page.messages)
        set_state(service, f"g{group_id}", MALLORY, floor_id=2**62)
        assert (await only(service, MALLORY)).last_message is None


class TestAView:
    async def test_tells_the_group_and_the_members_own_role(self, service: GroupService) -> None:
        group_id = await group_of_both(service)
        access = (await only(service)).access
        assert access is not None
        assert access.member is not None
        assert (access.group.name, access.member.role.value) == ("club", "owner")
        assert access.group.id == group_id

    async def test_tells_how_far_the_other_party_has_read(self, service: GroupService) -> None:
        await tell(service)
        await service.consume()
        set_state(service, WITH_BOB, BOB, read_seq=1, delivered_seq=1)
        peer = (await only(service)).peer
        assert peer is not None
        assert (peer.read_seq, peer.delivered_seq) == (1, 1)

    @pytest.mark.parametrize("hider", [ALICE, BOB])
    async def test_tells_no_position_where_one_party_shows_no_receipts(
        self, service: GroupService, hider: int
    ) -> None:
        await tell(service)
        await service.consume()
        service.store.shown_from[hider] = NEVER
        for user_id in (ALICE, BOB):
            assert (await only(service, user_id)).peer is None

    async def test_tells_no_position_from_before_receipts_were_shown_again(
        self, service: GroupService
    ) -> None:
        await tell(service)
        await tell(service)
        await service.consume()
        seen = []
        for read_seq in (1, 2):
            seat = Mark(user_id=BOB, conversation_id=WITH_BOB, read_seq=read_seq)
            (marked,) = (await mark(service.backends, [seat], user_id=BOB)).participants
            for receipts_from in (marked.position.read_time, marked.position.read_time + 1):
                service.store.shown_from[BOB] = receipts_from
                seen.append((await only(service)).peer)
        first, second = (
            Peer(read_seq=n, delivered_seq=n, read_time=seen[i].read_time)  # the clock runs
            for n, i in ((1, 0), (2, 2))
            if seen[i] is not None
        )
        assert seen == [first, None, second, None]

    async def test_tells_no_position_in_the_conversation_with_oneself(
        self, service: GroupService
    ) -> None:
        await tell(service, ALICE)
        await service.consume()
        view = await only(service)
        assert (view.peer, view.unread) == (None, 0)

    async def test_of_one_conversation_is_that_of_the_list(self, service: GroupService) -> None:
        group_id = await group_of_both(service)
        await tell(service)
        await service.consume()
        await listed(service)
        in_list = (await listed(service)).views
        for chat_type, target_id in ((ChatType.PRIVATE, BOB), (ChatType.GROUP, group_id)):
            wanted = PartnerRequest(chat_type=chat_type, target_id=target_id)
            view, partial = await view_conversation(service.backends, wanted, reader_id=ALICE)
            assert view in in_list
            assert not partial
        for chat_type, target_id in ((ChatType.PRIVATE, MALLORY), (ChatType.GROUP, group_id)):
            wanted = PartnerRequest(chat_type=chat_type, target_id=target_id)
            with pytest.raises(ConversationNotFound):
                await view_conversation(service.backends, wanted, reader_id=MALLORY)


class TestARightThatShrinks:
    async def test_shows_nothing_of_the_group_from_an_old_list(self, service: GroupService) -> None:
        group_id = await group_of_both(service)
        old = service.cache.listings
        await listed(service, BOB)
        kept = old[BOB]
        await groups.remove(
            service.backends, group_id, [BOB], bans=False, actor=Actor(user_id=ALICE)
        )
        old[BOB] = kept
        await send(service.backends, to_group(target_id=group_id), sender_id=ALICE)
        await service.consume()
        assert names(await listed(service, BOB)) == []
        sums = await sum_unread(service.backends, reader_id=BOB)
        assert (sums.loud, sums.partial) == (UnreadSum(0, 0), False)
        wanted = PartnerRequest(chat_type=ChatType.GROUP, target_id=group_id)
        with pytest.raises(ConversationNotFound):
            await view_conversation(service.backends, wanted, reader_id=BOB)


class TestWithoutAPart:
    async def test_the_cached_list_serves_without_the_database(self, service: GroupService) -> None:
        await tell(service)
        await tell(service, ALICE, MALLORY)
        await service.consume()
        await listed(service)
        service.store.down = True
        pending = await tell(service, ALICE, MALLORY)
        page = await listed(service)
        assert names(page) == [WITH_MALLORY, WITH_BOB]
        assert [view.last_message is not None for view in page.views] == [True, True]
        assert page.views[0].last_message is not None
        assert page.views[0].last_message.id == pending
        assert [view.unread for view in page.views] == [2, 0]

    async def test_a_number_that_is_not_known_is_none(self, service: GroupService) -> None:
        await tell(service, ALICE, BOB)
        await service.consume()
        await listed(service)
        service.cache.memos.clear()
        service.store.down = True
        page = await listed(service)
        assert [view.unread for view in page.views] == [None]
        assert page.partial

    async def test_a_group_whose_membership_nobody_can_tell_is_left_out(
        self, service: GroupService
    ) -> None:
        await group_of_both(service)
        await tell(service, ALICE, BOB)
        await service.consume()
        await listed(service)
        service.store.down = True
        page = await listed(service)
        assert names(page) == [WITH_BOB]
        assert page.partial

    async def test_one_group_whose_membership_nobody_can_tell_is_not_denied(
        self, service: GroupService
    ) -> None:
        group_id = await group_of_both(service)
        await listed(service)
        service.store.down = True
        with pytest.raises(TemporarilyUnavailable):
            await one(service, group_id)

    async def test_a_group_whose_messages_cannot_be_read_is_shown_without_them(
        self, service: GroupService
    ) -> None:
        group_id = await group_of_both(service)
        await send(service.backends, to_group(target_id=group_id), sender_id=BOB)
        await tell(service)
        await service.consume()
        service.cache.down = True
        for is_behind in (False, True):
            catch_up: Any = SimpleNamespace(is_behind=is_behind)
            service.backends = replace(service.backends, catch_up=catch_up)
            page = await listed(service)
            assert names(page) == [WITH_BOB, f"g{group_id}"]
            assert [view.last_message is None for view in page.views] == [is_behind, is_behind]
            assert page.partial
            view, partial = await one(service, group_id)
            assert (view.last_message is None, view.access, partial) == (
                is_behind,
                page.views[1].access,
                True,
            )

    async def test_the_database_serves_without_the_cache(self, service: GroupService) -> None:
        group_id = await group_of_both(service)
        await tell(service, ALICE, BOB)
        await service.consume()
        service.cache.down = True
        page = await listed(service)
        assert names(page) == [WITH_BOB, f"g{group_id}"]
        assert [view.unread for view in page.views] == [1, 0]
        assert page.partial

    async def test_nothing_serves_without_both(self, service: GroupService) -> None:
        service.store.down = service.cache.down = True
        with pytest.raises(TemporarilyUnavailable):
            await listed(service)


class TestSums:
    async def test_tell_muted_ones_apart(self, service: GroupService) -> None:
        for sender, count in ((BOB, 2), (MALLORY, 3)):
            for _ in range(count):
                await tell(service, ALICE, sender)
        await service.consume()
        await tell(service, ALICE, MALLORY)
        set_state(service, WITH_MALLORY, muted_until=FOR_GOOD)
        sums = await sum_unread(service.backends, reader_id=ALICE)
        assert (sums.loud, sums.muted) == (UnreadSum(2, 1), UnreadSum(4, 1))
        assert not sums.partial

    async def test_count_what_is_marked_as_unread_and_no_hidden_one(
        self, service: GroupService
    ) -> None:
        await tell(service, ALICE, BOB)
        hidden = await tell(service, ALICE, MALLORY)
        await service.consume()
        set_state(service, WITH_BOB, read_seq=1, is_marked_unread=True)
        set_state(service, WITH_MALLORY, hidden_id=hidden)
        sums = await sum_unread(service.backends, reader_id=ALICE)
        assert sums.loud == UnreadSum(0, 1)
        await tell(service, ALICE, MALLORY)
        sums = await sum_unread(service.backends, reader_id=ALICE)
        assert sums.loud == UnreadSum(2, 2)

    async def test_of_many_conversations_are_counted_in_portions_that_cost_reads(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        settings = replace(SETTINGS, read_rate=0.001, read_burst=4)
        service = GroupService(settings, clock=RunningClock())
        monkeypatch.setattr(unread, "COUNTED_AT_ONCE", 10)
        monkeypatch.setattr(unread, "WALKS_AT_ONCE", 2)
        for sender in range(10, 35):
            await tell(service, ALICE, sender)
        await service.consume()
        for sender in range(10, 15):
            await tell(service, ALICE, sender)
        watch = Watch(service, monkeypatch)
        sums = await sum_unread(service.backends, reader_id=ALICE)
        assert (sums.loud, sums.partial) == (UnreadSum(30, 25), False)
        assert watch.counted == [10, 10, 5]
        assert watch.most_walks == 2
        assert len(service.cache.memos[ALICE]) == 25
        await sum_unread(service.backends, reader_id=ALICE)  # the fourth read: one and two, and one
        assert watch.counted == [10, 10, 5]
        with pytest.raises(TooManyRequests):
            await sum_unread(service.backends, reader_id=ALICE)

    async def test_ask_for_a_few_memberships_at_a_time(
        self, service: GroupService, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(conversations, "MEMBERSHIPS_AT_ONCE", 2)
        for _ in range(5):
            group_id = await group_of_both(service)
            await send(service.backends, to_group(target_id=group_id), sender_id=BOB)
        await service.consume()
        ask, asked, most, under_way = service.directory.group_access, 0, 0, 0

        async def watched(group_id: int, user_id: int) -> GroupAccess | None:
            nonlocal asked, most, under_way
            asked, under_way = asked + 1, under_way + 1
            most = max(most, under_way)
            await asyncio.sleep(0)
            under_way -= 1
            return await ask(group_id, user_id)

        monkeypatch.setattr(service.directory, "group_access", watched)
        sums = await sum_unread(service.backends, reader_id=ALICE)
        assert (sums.loud, sums.partial) == (UnreadSum(5, 5), False)
        assert (asked, most) == (5, 2)

    async def test_keep_what_was_counted_before_the_database_went_away(
        self, service: GroupService, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(unread, "COUNTED_AT_ONCE", 2)
        for sender in range(10, 15):
            await tell(service, ALICE, sender)
        await service.consume()
        watch = Watch(service, monkeypatch, most=2)
        sums = await sum_unread(service.backends, reader_id=ALICE)
        assert (sums.loud, sums.partial) == (UnreadSum(4, 4), True)
        assert watch.counted == [2, 2]
        service.store.down = True
        sums = await sum_unread(service.backends, reader_id=ALICE)
        assert (sums.loud, sums.partial) == (UnreadSum(4, 4), True)

    async def test_tell_nothing_of_a_group_whose_membership_nobody_can_tell(
        self, service: GroupService
    ) -> None:
        group_id = await group_of_both(service)
        await send(service.backends, to_group(target_id=group_id), sender_id=ALICE)
        await service.consume()
        sums = await sum_unread(service.backends, reader_id=BOB)
        assert (sums.loud, sums.partial) == (UnreadSum(1, 1), False)
        service.store.down = True
        sums = await sum_unread(service.backends, reader_id=BOB)
        assert (sums.loud, sums.partial) == (UnreadSum(0, 0), True)

    async def test_say_when_a_number_is_not_known(self, service: GroupService) -> None:
        await tell(service, ALICE, BOB)
        await service.consume()
        await listed(service)
        service.cache.memos.clear()
        service.store.down = True
        sums = await sum_unread(service.backends, reader_id=ALICE)
        assert (sums.loud, sums.partial) == (UnreadSum(0, 0), True)


async def test_a_page_ends_where_its_messages_are_too_large() -> None:
    service = GroupService(clock=RunningClock())
    service.store.refuses = lambda message: False
    large = "\0" * (MAX_PAGE_BYTES // 8)  # escaped, six times as long
    for receiver in (BOB, MALLORY, ALICE):
        request = to_bob(large, target_id=receiver)
        await send(service.backends, request, sender_id=ALICE)
    await service.consume()
    first = await listed(service)
    assert names(first) == ["1_1"]
    assert names(await listed(service, after=first.next_after)) == ["1_3"]


async def test_a_page_counts_once_for_each_ten_conversations() -> None:
    service = GroupService(replace(SETTINGS, read_rate=0.001, read_burst=3), clock=RunningClock())
    users = range(100, 111)
    service.groups.users |= dict.fromkeys(users, True)
    service.directory.users |= set(users)
    for user_id in users:
        await tell(service, user_id)
    await service.consume()
    assert len((await listed(service)).views) == 11  # two of three
    await listed(service, size=1)
    with pytest.raises(TooManyRequests):
        await listed(service, size=1)


async def test_own_groups_need_no_look_up_of_the_users_rate() -> None:
    settings = replace(SETTINGS, lookup_rate=0.001, lookup_burst=1)
    service = GroupService(settings, clock=RunningClock())
    for _ in range(3):
        await group_of_both(service)
    assert len((await listed(service)).views) == 3
    with pytest.raises(TooManyRequests):
        for group_id in (1, 2):
            await send(service.backends, to_group(target_id=group_id), sender_id=ALICE)
