"""Test who is told who has read a message, and of whom."""

from __future__ import annotations

from dataclasses import replace

import pytest
from msgspec.structs import replace as with_fields

from messaging.domain.conversation_requests import ReadersRequest
from messaging.domain.conversations import NEVER, Mark
from messaging.domain.errors import (
    AlreadyRecalled,
    GroupTooLarge,
    InvalidInput,
    MessageNotFound,
    NotYourMessage,
    ReceiptsHidden,
    TemporarilyUnavailable,
)
from messaging.service import groups
from messaging.service.delete import delete
from messaging.service.group_rules import Actor
from messaging.service.marks import mark
from messaging.service.readers import MessageReaders, list_readers
from messaging.service.recall import recall
from messaging.service.send import send
from tests.support.group_service import GroupService
from tests.support.memory import ALICE, BOB, MALLORY, SETTINGS, MemoryService, to_bob, to_group
from tests.unit.service.test_groups import RunningClock

MEMBERS = range(10, 17)


@pytest.fixture
def service() -> GroupService:
    service = GroupService(clock=RunningClock())
    service.groups.users |= dict.fromkeys(MEMBERS, True)
    service.directory.users |= set(MEMBERS)
    return service


async def made(service: MemoryService, *user_ids: int) -> int:
    judged = await groups.create_group(
        service.backends, {"name": "club"}, actor=Actor(user_id=ALICE), user_ids=user_ids
    )
    return judged.changed.group.id


async def said(service: MemoryService, group_id: int) -> int:
    receipt = await send(service.backends, to_group(target_id=group_id), sender_id=ALICE)
    await service.consume()
    return receipt.message_id


async def read_by(service: MemoryService, conversation_id: str, *user_ids: int) -> None:
    for user_id in user_ids:
        position = Mark(user_id=user_id, conversation_id=conversation_id, read_seq=10**6)
        await mark(service.backends, [position], user_id=user_id)


async def readers(
    service: MemoryService, message_id: int, reader_id: int = ALICE, **wanted: object
) -> MessageReaders:
    request = ReadersRequest(message_id=message_id, has_read=True, after=0, size=20)
    changed = with_fields(request, **wanted)  # type: ignore[arg-type]
    return await list_readers(service.backends, changed, reader_id=reader_id)


class TestReaders:
    async def test_are_the_members_who_could_see_the_message(self, service: GroupService) -> None:
        group_id = await made(service, *MEMBERS)
        message_id = await said(service, group_id)
        await groups.invite(service.backends, group_id, [MALLORY], actor=Actor(user_id=ALICE))
        await groups.leave(service.backends, group_id, actor=Actor(user_id=16))
        service.store.shown_from[15] = NEVER
        await read_by(service, f"g{group_id}", ALICE, MALLORY, 10, 12, 15)
        assert await readers(service, message_id) == MessageReaders(
            read_count=2, member_count=5, user_ids=(10, 12)
        )
        unread = await readers(service, message_id, has_read=False)
        assert unread.user_ids == (11, 13, 14)

    async def test_come_in_pages(self, service: GroupService) -> None:
        message_id = await said(service, await made(service, *MEMBERS))
        first = await readers(service, message_id, has_read=False, size=4)
        assert (first.user_ids, first.has_more) == (tuple(MEMBERS[:4]), True)
        rest = await readers(service, message_id, has_read=False, size=3, after=13)
        assert (rest.user_ids, rest.has_more) == (tuple(MEMBERS[4:]), False)

    async def test_of_a_private_message_are_the_other_party(self, service: GroupService) -> None:
        receipt = await send(service.backends, to_bob(), sender_id=ALICE)
        assert await readers(service, receipt.message_id) == MessageReaders()  # not stored yet
        await service.consume()
        assert await readers(service, receipt.message_id) == MessageReaders(member_count=1)
        await read_by(service, "1_2", BOB)
        assert (await readers(service, receipt.message_id)).user_ids == (BOB,)


class TestARefusal:
    async def test_of_others_messages(self, service: GroupService) -> None:
        group_id = await made(service, BOB)
        message_id = await said(service, group_id)
        with pytest.raises(NotYourMessage):
            await readers(service, message_id, BOB)
        with pytest.raises(MessageNotFound):
            await readers(service, message_id, MALLORY)

    async def test_of_what_the_sender_does_not_see(self, service: GroupService) -> None:
        message_id = await said(service, await made(service, BOB))
        await delete(service.backends, message_id, user_id=ALICE)
        with pytest.raises(MessageNotFound):
            await readers(service, message_id)

    async def test_of_a_recalled_message(self, service: GroupService) -> None:
        message_id = await said(service, await made(service, BOB))
        await recall(service.backends, message_id, user_id=ALICE)
        with pytest.raises(AlreadyRecalled):
            await readers(service, message_id)

    async def test_of_a_notice(self, service: GroupService) -> None:
        await made(service, BOB)
        notice = min(service.store.rows)
        with pytest.raises(InvalidInput):
            await readers(service, notice)

    async def test_of_a_sender_who_shows_no_receipts(self, service: GroupService) -> None:
        message_id = await said(service, await made(service, BOB))
        service.store.shown_from[ALICE] = NEVER
        with pytest.raises(ReceiptsHidden):
            await readers(service, message_id)

    async def test_of_a_large_group(self) -> None:
        service = GroupService(replace(SETTINGS, receipt_members=2), clock=RunningClock())
        group_id = await made(service, BOB)
        message_id = await said(service, group_id)
        assert (await readers(service, message_id)).member_count == 1
        await groups.invite(service.backends, group_id, [MALLORY], actor=Actor(user_id=ALICE))
        with pytest.raises(GroupTooLarge):
            await readers(service, message_id)

    async def test_while_the_database_is_away(self, service: GroupService) -> None:
        receipt = await send(service.backends, to_bob(), sender_id=ALICE)
        await service.consume()
        service.store.down = True
        with pytest.raises(TemporarilyUnavailable):
            await readers(service, receipt.message_id)
