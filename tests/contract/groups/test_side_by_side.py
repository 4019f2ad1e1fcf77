"""Test changes of one group from many callers at once."""

from __future__ import annotations

import asyncio
import random

from messaging.domain.backend_errors import StoreUnavailable
from messaging.domain.groups import Event, Member, Role
from messaging.domain.message import ChatType, Message
from messaging.ports.groups import Decide
from tests.contract.groups.decisions import creating, handing_over, joining, leaving
from tests.contract.groups.rigs import Case
from tests.support.messages import make_message

USERS = range(1, 41)
AT_ONCE = 20  # the database answers each within its time


async def changed(case: Case, group_id: int, actor_id: int, decide: Decide, *involved: int) -> None:
    """Make the change as a client does: again, for as long as the store is unavailable."""
    for _ in range(50):
        try:
            await case.change(group_id, actor_id, decide, *involved)
        except StoreUnavailable:
            await asyncio.sleep(0.02)
        else:
            return
    raise AssertionError("the store stays unavailable")


def retold(notices: list[Message]) -> dict[int, Role]:
    """Return the members and their roles as the notices tell of them, in order of `seq`."""
    members = {1: Role.OWNER} | dict.fromkeys(range(2, 11), Role.MEMBER)
    for row in notices[1:]:
        assert row.notice is not None
        (user_id,) = row.notice.user_ids
        match row.notice.event:
            case Event.JOINED:
                assert members.setdefault(user_id, Role.MEMBER) is Role.MEMBER
            case Event.LEFT:
                assert members.pop(user_id) is not Role.OWNER
            case _:
                assert members[row.from_user_id] is Role.OWNER
                members |= {row.from_user_id: Role.ADMIN, user_id: Role.OWNER}
    return members


async def test_leave_one_owner_a_true_count_and_a_notice_each(case: Case) -> None:
    await case.rig.add_users(*USERS)
    group_id = (await case.create(1, creating(1, *range(2, 11)))).group.id
    chance = random.Random(5)
    places = asyncio.Semaphore(AT_ONCE)

    async def act(turn: int) -> None:
        user_id, other = chance.choice(USERS), chance.choice(USERS)
        async with places:
            match turn % 4:
                case 0:
                    await changed(case, group_id, user_id, joining(user_id))
                case 1:
                    await changed(case, group_id, user_id, leaving(user_id))
                case 2:
                    for owner in (await owners(case, group_id))[:1]:
                        decide = handing_over(owner.user_id, other)
                        await changed(case, group_id, owner.user_id, decide, other)
                case _:
                    message = make_message(turn, to_id=group_id, chat_type=ChatType.GROUP)
                    await case.store.apply([message])

    await asyncio.gather(*(act(turn) for turn in range(200)))

    members = await case.groups.members(group_id, role=None, after=None, limit=100)
    view = await case.groups.find_group(group_id, 1)
    assert view is not None
    assert view.group.member_count == len(members)
    assert len(await owners(case, group_id)) == 1
    tail = await case.store.tail(f"g{group_id}", limit=1_000)
    rows = sorted(tail.rows, key=lambda row: row.seq or 0)
    assert [row.seq for row in rows] == list(range(1, tail.total + 1))
    notices = [row for row in rows if row.notice is not None]
    assert len(rows) - len(notices) == 50
    assert {row.notice.event for row in notices if row.notice} == {
        *(Event.CREATED, Event.JOINED, Event.LEFT, Event.TRANSFERRED)
    }
    assert retold(notices) == {each.user_id: each.role for each in members}
    participants = await case.rig.participants(f"g{group_id}")
    assert {i for i, row in participants.items() if row.is_in} == {m.user_id for m in members}
    assert len(await case.store.hints(limit=1_000)) == len(notices)


async def owners(case: Case, group_id: int) -> list[Member]:
    return await case.groups.members(group_id, role=Role.OWNER, after=None, limit=9)
