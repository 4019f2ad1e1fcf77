"""Test what a store keeps of a new group, and of repeats of its creation."""

from __future__ import annotations

import asyncio

import pytest

from messaging.domain.conversations import Participant
from messaging.domain.errors import GroupNotFound, InvalidInput
from messaging.domain.groups import Event, Group, Member, Notice, Role
from messaging.domain.ids import first_id_at
from messaging.domain.message import ChatType, MsgType, hash_body
from messaging.ports.groups import GroupChange, GroupFacts, GroupView
from messaging.ports.store import CacheHint
from tests.contract.groups.decisions import creating, deciding
from tests.contract.groups.rigs import NOW_MS, Case


async def test_a_new_group_has_its_members_its_count_and_its_notice(case: Case) -> None:
    await case.rig.add_users(1, 2, 3)

    made = await case.create(1, creating(1, 2, 3))

    owner, *others = [
        Member(user_id=i, role=role, join_time=NOW_MS)
        for i, role in ((1, Role.OWNER), (2, Role.MEMBER), (3, Role.MEMBER))
    ]
    group_id = made.group.id
    assert made.group == Group(id=group_id, name="group", member_count=3, create_time=NOW_MS)
    assert await case.groups.find_group(group_id, 1) == GroupView(made.group, owner, False)
    assert await case.groups.find_group(group_id, 9) == GroupView(made.group, None, False)
    assert made.members == {1: owner, 2: others[0], 3: others[1]}
    assert await case.groups.members(group_id, role=None, after=None, limit=9) == [owner, *others]
    name = f"g{group_id}"
    assert await case.rig.participants(name) == {
        i: Participant(user_id=i, conversation_id=name) for i in (1, 2, 3)
    }


async def test_a_notice_is_a_stored_message_with_a_hint(case: Case) -> None:
    await case.rig.add_users(1)

    made = await case.create(1, creating(1))

    (notice,) = made.notices
    assert (await case.store.get([notice.id])) == {notice.id: notice}
    assert (await case.store.tail(f"g{made.group.id}", limit=9)).rows == (notice,)
    assert notice.id == first_id_at(NOW_MS)
    assert notice.notice == Notice(event=Event.CREATED)
    assert (notice.from_user_id, notice.to_id, notice.seq) == (1, made.group.id, 1)
    assert (notice.chat_type, notice.msg_type) == (ChatType.GROUP, MsgType.NOTICE)
    assert notice.send_time == NOW_MS
    assert notice.body_hash == hash_body(
        to_id=made.group.id, chat_type=2, msg_type=9, content="", url=None, at_user_ids=()
    )
    (hint,) = made.hints
    assert hint.message_id == notice.id
    assert await case.store.hints(limit=9) == [hint]
    await case.store.drop_hints(made.hints)
    assert await case.store.hints(limit=9) == []


async def test_each_of_several_notices_has_a_seq_and_a_hint_of_its_own(case: Case) -> None:
    await case.rig.add_users(1)
    notices = [Notice(event=Event.CREATED), Notice(event=Event.INVITED, user_ids=(2,), count=1)]

    made = await case.create(1, deciding(GroupChange(joins={1: Role.OWNER}, notices=notices)))

    assert [(row.seq, row.notice) for row in made.notices] == list(enumerate(notices, start=1))
    assert [(row.message_id, row.user_id) for row in made.hints] == [
        (row.id, None) for row in made.notices
    ]
    assert all(isinstance(hint, CacheHint) and hint.hint_id for hint in made.hints)
    assert len({hint.hint_id for hint in made.hints}) == 2


@pytest.mark.parametrize("request_id", ["a", "~ !" * 21])
async def test_a_repeat_with_the_request_id_gives_the_first_group(
    case: Case, request_id: str
) -> None:
    await case.rig.add_users(1, 2)
    made = await case.create(1, creating(1), request_id=request_id)

    for decide in (creating(1), creating(1, 2)):
        again = await case.create(1, decide, request_id=request_id)
        assert (again.group, again.change) == (made.group, GroupChange())
        assert (again.members, again.notices, again.hints) == (made.members, (), ())

    assert await case.rig.count_groups() == 1
    other = await case.create(2, creating(2), request_id=request_id)
    third = await case.create(1, creating(1), request_id=request_id.upper() + "B")
    assert len({made.group.id, other.group.id, third.group.id}) == 3


async def test_without_a_request_id_each_creation_is_a_group(case: Case) -> None:
    await case.rig.add_users(1)

    first, second = await case.create(1, creating(1)), await case.create(1, creating(1))

    assert first.group.id != second.group.id


async def test_concurrent_repeats_give_one_group(case: Case) -> None:
    await case.rig.add_users(1, 2)

    made = await asyncio.gather(
        *(case.create(1, creating(1, 2), request_id="once") for _ in range(12))
    )

    assert len({each.group.id for each in made}) == 1
    assert len([each for each in made if each.notices]) == 1
    assert {each.group.member_count for each in made} == {2}
    assert await case.rig.count_groups() == 1
    assert (await case.store.tail(f"g{made[0].group.id}", limit=9)).total == 1


async def test_a_refused_creation_leaves_nothing_and_its_request_id_free(case: Case) -> None:
    await case.rig.add_users(1)

    def refuse(facts: GroupFacts) -> GroupChange:
        assert facts.group.id
        raise InvalidInput({})

    with pytest.raises(InvalidInput):
        await case.create(1, refuse, request_id="a")

    assert await case.rig.count_groups() == 0
    made = await case.create(1, creating(1), request_id="a")
    assert made.group.member_count == 1


async def test_an_absent_group_is_not_found(case: Case) -> None:
    assert await case.groups.find_group(7, 1) is None
    with pytest.raises(GroupNotFound):
        await case.change(7, 1, creating(1))
