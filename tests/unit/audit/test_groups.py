"""Check that the audit reports faults of groups and participants, and mends what it can."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest
from msgspec import structs

from messaging.audit.findings import Defect
from messaging.domain.conversations import Head, Participant
from messaging.domain.groups import Event, Group, GroupState, Notice, OutReason, Role
from messaging.domain.ids import first_id_at
from messaging.domain.message import MsgType
from messaging.ports.groups import GroupChange, GroupFacts, GroupOrder
from tests.support.planting import Audited, wrong

Plant = Callable[[Audited], Awaitable[str]]
GROUP = 1
NAME = f"g{GROUP}"


async def grouped(audited: Audited) -> None:
    """Make a group of the users 1 to 3, with one notice, beside a private conversation."""
    await audited.persisted()
    audited.groups.users |= dict.fromkeys((1, 2, 3), True)
    change = GroupChange(
        joins={1: Role.OWNER, 2: Role.ADMIN, 3: Role.MEMBER},
        notices=[Notice(event=Event.CREATED)],
    )

    def decide(facts: GroupFacts) -> GroupChange:
        return change

    next_id = first_id_at(audited.service.clock.now_ms + 1)
    order = GroupOrder(actor_id=1, involved=(), decide=decide, next_id=lambda _: next_id, now_ms=1)
    made = await audited.groups.create_group(Group(id=0, name="group"), order, request_id=None)
    assert made.group.id == GROUP


async def test_sound_groups_have_nothing_to_tell() -> None:
    audited = Audited()
    await grouped(audited)

    report = await audited.audit()

    assert wrong(report) == {}
    assert report.is_clean


async def count_that_is_wrong(audited: Audited) -> str:
    audited.groups.groups[GROUP] = structs.replace(audited.groups.groups[GROUP], member_count=9)
    return "group 1"


async def count_that_is_wrong_when_dissolved(audited: Audited) -> str:
    audited.groups.groups[GROUP] = structs.replace(
        audited.groups.groups[GROUP], member_count=0, state=GroupState.DISSOLVED
    )
    return "group 1"


async def member_without_a_participant(audited: Audited) -> str:
    audited.service.store.heads[NAME] = Head(last_seq=1)
    del audited.groups.participants[3, NAME]
    return "user 3 in g1"


async def member_who_is_out(audited: Audited) -> str:
    audited.groups.put_participant((3, NAME), OutReason.LEFT)
    return "user 3 in g1"


async def party_without_a_participant(audited: Audited) -> str:
    del audited.groups.participants[2, "1_2"]
    return "user 2 in 1_2"


async def participant_who_is_no_member(audited: Audited) -> str:
    audited.groups.participants[9, NAME] = Participant(user_id=9, conversation_id=NAME)
    return "user 9 in g1"


async def participant_of_no_group(audited: Audited) -> str:
    audited.groups.participants[1, "g77"] = Participant(user_id=1, conversation_id="g77")
    return "user 1 in g77"


@pytest.mark.parametrize(
    ("plant", "kind"),
    [
        (count_that_is_wrong, Defect.MEMBER_COUNT),
        (count_that_is_wrong_when_dissolved, Defect.MEMBER_COUNT),
        (member_without_a_participant, Defect.PARTICIPANT_MISSING),
        (member_who_is_out, Defect.PARTICIPANT_MISSING),
        (party_without_a_participant, Defect.PARTICIPANT_MISSING),
        (participant_who_is_no_member, Defect.PARTICIPANT_LEFT),
        (participant_of_no_group, Defect.PARTICIPANT_LEFT),
    ],
    ids=lambda each: getattr(each, "__name__", ""),
)
async def test_what_is_wrong_is_told_then_mended_and_then_not_there(
    plant: Plant, kind: Defect
) -> None:
    audited = Audited()
    await grouped(audited)
    name = await plant(audited)

    told = await audited.audit()
    assert wrong(told) == {kind: [name]}
    assert not told.is_clean

    mended = await audited.audit(repair=True)
    assert wrong(mended) == {kind: [name]}
    assert mended.is_clean
    assert wrong(await audited.audit()) == {}


async def test_a_mended_participant_has_read_all_and_keeps_the_floor() -> None:
    audited = Audited()
    await grouped(audited)
    del audited.groups.participants[2, "1_2"]
    out = audited.groups.participants[3, NAME]
    audited.groups.participants[3, NAME] = structs.replace(
        out, is_in=False, out_reason=OutReason.LEFT, floor_id=7, floor_seq=1, rev=4
    )

    await audited.audit(repair=True)

    assert audited.groups.participants[2, "1_2"] == Participant(
        user_id=2, conversation_id="1_2", read_seq=1, delivered_seq=1
    )
    assert audited.groups.participants[3, NAME] == Participant(
        user_id=3,
        conversation_id=NAME,
        floor_id=7,
        floor_seq=1,
        read_seq=1,
        delivered_seq=1,
        rev=5,
    )


async def group_without_an_owner(audited: Audited) -> str:
    owner = audited.groups.group_members[GROUP, 1]
    audited.groups.group_members[GROUP, 1] = structs.replace(owner, role=Role.ADMIN)
    return "group 1"


async def group_with_two_owners(audited: Audited) -> str:
    admin = audited.groups.group_members[GROUP, 2]
    audited.groups.group_members[GROUP, 2] = structs.replace(admin, role=Role.OWNER)
    return "group 1"


async def floor_above_the_numbers(audited: Audited) -> str:
    audited.groups.put_participant((2, NAME), floor=(0, 2))
    return "user 2 in g1"


async def floor_above_the_clock(audited: Audited) -> str:
    ahead = first_id_at(audited.service.clock.now_ms + 1_001)
    audited.groups.put_participant((2, "1_2"), floor=(ahead, 0))
    return "user 2 in 1_2"


async def notice_that_tells_nothing(audited: Audited) -> str:
    (notice,) = [m for m in audited.service.store.rows.values() if m.notice]
    audited.alter_row(notice.id, notice=None)
    return str(notice.id)


async def notice_that_is_recalled(audited: Audited) -> str:
    (notice,) = [m for m in audited.service.store.rows.values() if m.notice]
    audited.service.store.rows[notice.id] = notice.recalled(notice.send_time)
    return str(notice.id)


async def message_that_tells(audited: Audited) -> str:
    (row,) = [m for m in audited.service.store.rows.values() if m.msg_type is MsgType.TEXT]
    audited.alter_row(row.id, notice=Notice(event=Event.JOINED))
    audited.service.cache.details.clear()
    return str(row.id)


@pytest.mark.parametrize(
    ("plant", "kind"),
    [
        (group_without_an_owner, Defect.OWNER),
        (group_with_two_owners, Defect.OWNER),
        (floor_above_the_numbers, Defect.FLOOR),
        (floor_above_the_clock, Defect.FLOOR),
        (notice_that_tells_nothing, Defect.NOTICE),
        (notice_that_is_recalled, Defect.NOTICE),
        (message_that_tells, Defect.NOTICE),
    ],
    ids=lambda each: getattr(each, "__name__", ""),
)
async def test_what_only_a_person_can_judge_is_told_and_left(plant: Plant, kind: Defect) -> None:
    audited = Audited()
    await grouped(audited)
    name = await plant(audited)
    before = dict(audited.groups.participants), dict(audited.groups.group_members)

    for repair in (True, False):
        report = await audited.audit(repair=repair)
        assert wrong(report) == {kind: [name]}
        assert not report.is_clean
    assert before == (audited.groups.participants, audited.groups.group_members)


async def test_a_dissolved_group_needs_no_owner() -> None:
    audited = Audited()
    await grouped(audited)
    await group_without_an_owner(audited)
    dissolved = structs.replace(audited.groups.groups[GROUP], state=GroupState.DISSOLVED)
    audited.groups.groups[GROUP] = dissolved

    assert wrong(await audited.audit()) == {}


async def test_a_floor_at_the_present_moment_is_sound() -> None:
    audited = Audited()
    await grouped(audited)
    now_ms = audited.service.clock.now_ms
    audited.groups.put_participant((2, NAME), floor=(first_id_at(now_ms + 251), 1))

    assert wrong(await audited.audit()) == {}
