"""Test each inspector of groups: in memory, and the database of the settings in force."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from messaging.domain.conversations import Participant
from messaging.domain.groups import FOR_GOOD, GroupState, OutReason, Role
from messaging.ports.group_audit import Headcount, Seat, StoredSeat
from messaging.ports.groups import ChangedGroup, GroupChange
from tests.contract.groups.decisions import creating, deciding, joining, leaving
from tests.contract.groups.rigs import Case
from tests.support.messages import FIRST_ID, make_message


@pytest.fixture
async def made(case: Case) -> ChangedGroup:
    """Make two groups of the users 1 to 3; return the second, which the user 3 has left."""
    await case.rig.add_users(1, 2, 3, 4)
    await case.create(1, creating(1, 2, 3))
    made = await case.create(1, creating(1, 2, 3))
    await case.change(made.group.id, 3, leaving(3))
    return made


async def test_walks_groups_and_counts_them(case: Case, made: ChangedGroup) -> None:
    second = made.group.id
    third = (await case.create(4, deciding(GroupChange()))).group
    await case.rig.set_count(second, 7)

    found: list[tuple[int, int]] = []
    inspector = case.rig.inspector
    while part := await inspector.groups_after(found[-1][0] if found else 0, limit=2):
        assert len(part) <= 2
        found += part

    first = found[0][0]
    assert found == [(first, 3), (second, 7), (third.id, 0)]
    assert await inspector.headcounts([first, second, third.id, 999]) == {
        first: Headcount(False, 3, 3, 1),
        second: Headcount(False, 7, 2, 1),
        third.id: Headcount(False, 0, 0, 0),
    }


async def test_counts_owners_and_tells_of_dissolved_groups(case: Case, made: ChangedGroup) -> None:
    change = GroupChange(
        group=replace(made.group, state=GroupState.DISSOLVED),
        members=[replace(made.members[2], role=Role.OWNER)],
    )
    await case.change(made.group.id, 1, deciding(change))

    assert await case.rig.inspector.headcounts([made.group.id]) == {
        made.group.id: Headcount(True, 2, 2, 2)
    }


@pytest.mark.parametrize("limit", [1, 2, 100])
async def test_walks_members(case: Case, made: ChangedGroup, limit: int) -> None:
    inspector = case.rig.inspector
    found: list[Seat] = []
    behind = (0, 0)
    while part := await inspector.members_after(*behind, limit=limit):
        assert len(part) <= limit
        found += part
        user_id, name = part[-1]
        behind = (int(name[1:]), user_id)

    first, second = f"g{made.group.id - 1}", f"g{made.group.id}"
    assert found == [(1, first), (2, first), (3, first), (1, second), (2, second)]
    asked = [*found, (3, second), (9, first), (1, "1_2")]
    assert await inspector.members_among(asked) == set(found)
    assert await inspector.members_among([]) == set()


@pytest.mark.parametrize("limit", [1, 2, 100])
async def test_walks_participants(case: Case, made: ChangedGroup, limit: int) -> None:
    await case.store.apply([make_message(n, to_id=3) for n in range(4)])
    await case.groups.change_group(made.group.id, case.order(4, joining(4), floor_id=FIRST_ID + 9))
    inspector = case.rig.inspector

    found: list[tuple[Seat, StoredSeat]] = []
    while part := await inspector.participants_after(
        found[-1][0] if found else (0, ""), limit=limit
    ):
        assert len(part) <= limit
        found += part

    first, second = f"g{made.group.id - 1}", f"g{made.group.id}"
    one, three = StoredSeat(True, 0, 0, 1), StoredSeat(True, 0, 0, 3)
    assert dict(found) == {
        **{(i, first): one for i in (1, 2, 3)},
        **{(i, second): three for i in (1, 2)},
        (3, second): StoredSeat(False, 0, 0, 3),
        (4, second): StoredSeat(True, FIRST_ID + 9, 2, 3),
        **{(i, "1_3"): StoredSeat(True, 0, 0, 4) for i in (1, 3)},
    }
    assert [seat for seat, _ in found] == sorted(seat for seat, _ in found)
    asked = [(3, second), (1, "1_3"), (7, first)]
    assert await inspector.participants(asked) == {p: dict(found)[p] for p in asked[:2]}
    assert await inspector.participants([]) == {}


async def test_recounts_members(case: Case, made: ChangedGroup) -> None:
    await case.rig.set_count(made.group.id, 99)

    for _ in range(2):
        await case.rig.inspector.recount(made.group.id)

    view = await case.groups.find_group(made.group.id, 1)
    assert view is not None
    assert view.group.member_count == 2


async def test_lets_in_who_belongs_and_nobody_else(case: Case, made: ChangedGroup) -> None:
    await case.store.apply([make_message(n) for n in range(4)])
    name = f"g{made.group.id}"
    for seat in ((2, name), (2, "1_2")):
        await case.rig.drop_participant(seat)

    for seat in ((2, name), (3, name), (9, name), (2, "1_2"), (9, "1_2")):
        await case.rig.inspector.let_in(seat)

    rows = await case.rig.participants(name)
    assert rows.keys() == {1, 2, 3}
    assert rows[2] == Participant(user_id=2, conversation_id=name, read_seq=2, delivered_seq=2)
    assert rows[3].out_reason is OutReason.LEFT
    assert await case.rig.participants("1_2") == {
        1: Participant(user_id=1, conversation_id="1_2"),
        2: Participant(user_id=2, conversation_id="1_2", read_seq=4, delivered_seq=4),
    }


async def test_lets_out_who_is_no_member_and_nobody_else(case: Case, made: ChangedGroup) -> None:
    await case.store.apply([make_message(1)])
    name = f"g{made.group.id}"
    await case.rig.drop_member(made.group.id, 2)

    for seat in ((2, name), (1, name), (1, "1_2")):
        await case.rig.inspector.let_out(seat)

    rows = await case.rig.participants(name)
    assert rows[2] == Participant(
        user_id=2, conversation_id=name, is_in=False, out_reason=OutReason.REMOVED, rev=1
    )
    assert rows[1].is_in
    assert (await case.rig.participants("1_2"))[1].is_in


async def test_lets_out_nobody_past_a_mute_that_was_kept(case: Case, made: ChangedGroup) -> None:
    group_id, muted = made.group.id, replace(made.members[2], muted_until=FOR_GOOD)
    await case.change(group_id, 1, deciding(GroupChange(members=[muted])), 2)
    await case.change(group_id, 1, leaving(2), 2)

    await case.rig.inspector.let_out((2, f"g{group_id}"))

    assert (await case.change(group_id, 1, joining(2), 2)).members[2].muted_until == FOR_GOOD
