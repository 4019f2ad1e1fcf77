"""Test who may recall whose messages in a group, and that all are told who did."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from messaging.domain.errors import (
    AlreadyRecalled,
    GroupDissolved,
    MessageNotFound,
    NotTheSender,
    RecallWindowPassed,
    TemporarilyUnavailable,
)
from messaging.domain.groups import Group, GroupState, Role
from messaging.domain.ids import group_conversation
from messaging.domain.message import ChatType, Message, MsgType
from messaging.service.delete import delete
from messaging.service.fetch import fetch
from messaging.service.history import history
from messaging.service.recall import recall
from messaging.service.send import send
from tests.support.memory import (
    ALICE,
    BOB,
    GROUP,
    MALLORY,
    SETTINGS,
    MemoryService,
    to_group,
    with_group,
)
from tests.support.messages import make_message

LATE_MS = SETTINGS.recall_window_s * 1000 + 1


@pytest.fixture
def service() -> MemoryService:
    service = MemoryService()
    service.directory.groups[GROUP] = {ALICE, BOB, MALLORY}
    return service


async def sent_by(service: MemoryService, role: Role) -> int:
    """Return the id of a message of bob, who has this role."""
    service.directory.roles[GROUP, BOB] = role
    return (await send(service.backends, to_group("secret"), sender_id=BOB)).message_id


async def row_of(service: MemoryService, message_id: int) -> Message:
    await service.consume()
    return (await service.store.get([message_id]))[message_id]


@pytest.mark.parametrize("late", [False, True], ids=["in time", "late"])
@pytest.mark.parametrize("of", list(Role))
@pytest.mark.parametrize("by", list(Role))
async def test_who_recalls_has_the_higher_role(
    service: MemoryService, by: Role, of: Role, late: bool
) -> None:
    message_id = await sent_by(service, of)
    service.directory.roles[GROUP, ALICE] = by
    service.clock.now_ms += LATE_MS if late else 0
    if not by.is_above(of):
        with pytest.raises(NotTheSender):
            await recall(service.backends, message_id, user_id=ALICE)
        assert (await fetch(service.backends, message_id, reader_id=MALLORY)).content == "secret"
        return
    tombstone = await recall(service.backends, message_id, user_id=ALICE)
    assert (tombstone.recalled_by, tombstone.content) == (ALICE, "")
    for reader in (ALICE, BOB, MALLORY):
        seen = await fetch(service.backends, message_id, reader_id=reader)
        assert (seen.content, seen.recalled_by) == ("", ALICE)
    assert (await row_of(service, message_id)).recalled_by == ALICE
    with pytest.raises(AlreadyRecalled):
        await recall(service.backends, message_id, user_id=ALICE)


@pytest.mark.parametrize("role", list(Role))
async def test_ones_own_message_keeps_its_time_limit(service: MemoryService, role: Role) -> None:
    message_id = await sent_by(service, role)
    late_id = await sent_by(service, role)
    assert (await recall(service.backends, message_id, user_id=BOB)).recalled_by is None
    assert (await row_of(service, message_id)).recalled_by is None
    service.clock.now_ms += LATE_MS
    with pytest.raises(RecallWindowPassed):
        await recall(service.backends, late_id, user_id=BOB)


async def test_a_sender_who_has_left_counts_as_a_member(service: MemoryService) -> None:
    message_id = await sent_by(service, Role.ADMIN)
    service.directory.groups[GROUP].remove(BOB)
    service.directory.roles[GROUP, ALICE] = Role.ADMIN
    assert (await recall(service.backends, message_id, user_id=ALICE)).recalled_by == ALICE


async def test_the_consumer_stores_who_recalled_where_the_mark_alone_tells(
    service: MemoryService,
) -> None:
    """The database is away for the recall, and the event of the recall comes later."""
    message_id = await sent_by(service, Role.MEMBER)
    service.directory.roles[GROUP, ALICE] = Role.OWNER
    service.store.down = True
    await recall(service.backends, message_id, user_id=ALICE)
    assert (await fetch_page(service))[0].recalled_by == ALICE
    service.store.down = False
    (records,) = service.broker.records.values()
    records.pop()  # the RECALL event
    assert (await row_of(service, message_id)).recalled_by == ALICE


async def fetch_page(service: MemoryService) -> tuple[Message, ...]:
    service.cache.deletes_floors[MALLORY] = 0
    return (await history(service.backends, with_group(), reader_id=MALLORY)).messages


async def test_a_recall_without_the_cache_says_who_recalled(service: MemoryService) -> None:
    message_id = await sent_by(service, Role.MEMBER)
    await service.consume()
    service.directory.roles[GROUP, ALICE] = Role.OWNER
    service.cache.down = True
    assert (await recall(service.backends, message_id, user_id=ALICE)).recalled_by == ALICE
    service.cache.down = False
    assert await service.hints.breaker.try_now()
    seen = await fetch(service.backends, message_id, reader_id=MALLORY)
    assert (seen.content, seen.recalled_by) == ("", ALICE)


async def test_a_role_that_was_taken_recalls_nothing_more(service: MemoryService) -> None:
    message_id = await sent_by(service, Role.MEMBER)
    service.directory.known = {}
    service.directory.roles[GROUP, ALICE] = Role.ADMIN
    await fetch(service.backends, message_id, reader_id=ALICE)
    service.directory.roles[GROUP, ALICE] = Role.MEMBER
    await service.cache.distrust(group_conversation(GROUP), [ALICE])
    with pytest.raises(NotTheSender):
        await recall(service.backends, message_id, user_id=ALICE)


async def test_the_role_of_the_sender_is_not_an_old_one(service: MemoryService) -> None:
    service.directory.known = {}
    message_id = await sent_by(service, Role.MEMBER)
    service.directory.roles[GROUP, BOB] = service.directory.roles[GROUP, ALICE] = Role.ADMIN
    with pytest.raises(NotTheSender):
        await recall(service.backends, message_id, user_id=ALICE)
    service.directory.down = True
    with pytest.raises(TemporarilyUnavailable):
        await recall(service.backends, message_id, user_id=ALICE)


async def test_a_notice_is_not_recalled_and_may_be_deleted(service: MemoryService) -> None:
    notice = replace(
        make_message(1, from_user_id=BOB, to_id=GROUP, chat_type=ChatType.GROUP, content=""),
        msg_type=MsgType.NOTICE,
    )
    await service.store.apply([notice])
    for user_id, role in ((BOB, Role.MEMBER), (ALICE, Role.OWNER)):
        service.directory.roles[GROUP, user_id] = role
        with pytest.raises(NotTheSender):
            await recall(service.backends, notice.id, user_id=user_id)
    await delete(service.backends, notice.id, user_id=ALICE)
    with pytest.raises(MessageNotFound):
        await fetch(service.backends, notice.id, reader_id=ALICE)
    assert (await fetch(service.backends, notice.id, reader_id=BOB)).id == notice.id


async def test_a_dissolved_group_is_left_as_it_is(service: MemoryService) -> None:
    message_id = await sent_by(service, Role.MEMBER)
    service.directory.roles[GROUP, ALICE] = Role.OWNER
    service.directory.records[GROUP] = Group(id=GROUP, name="group", state=GroupState.DISSOLVED)
    for user_id in (ALICE, BOB):
        with pytest.raises(GroupDissolved):
            await recall(service.backends, message_id, user_id=user_id)
    with pytest.raises(NotTheSender):
        await recall(service.backends, message_id, user_id=MALLORY)
