"""Test the pages of members."""

from __future__ import annotations

import pytest

from messaging.domain.groups import Member, Role
from messaging.ports.groups import GroupChange
from tests.contract.groups.decisions import deciding
from tests.contract.groups.rigs import Case

ROLES = {
    5: Role.OWNER,
    9: Role.ADMIN,
    11: Role.ADMIN,
    **dict.fromkeys([1, 4, 6, 10, 12], Role.MEMBER),
}


@pytest.fixture
async def group_id(case: Case) -> int:
    """Make a group with members of each role, beside another group of the same users."""
    await case.rig.add_users(*range(1, 13))
    await case.create(1, deciding(GroupChange(joins=dict.fromkeys(range(1, 13), Role.MEMBER))))
    return (await case.create(5, deciding(GroupChange(joins=ROLES)))).group.id


async def walk(case: Case, group_id: int, *, role: Role | None, limit: int) -> list[Member]:
    found: list[Member] = []
    while page := await case.groups.members(
        group_id,
        role=role,
        after=(found[-1].role, found[-1].user_id) if found else None,
        limit=limit,
    ):
        assert len(page) <= limit
        found += page
    return found


@pytest.mark.parametrize("limit", [1, 2, 3, 4, 8, 100])
async def test_come_by_role_and_id_without_an_omission_or_a_double(
    case: Case, group_id: int, limit: int
) -> None:
    found = await walk(case, group_id, role=None, limit=limit)

    assert [each.user_id for each in found] == [5, 9, 11, 1, 4, 6, 10, 12]
    assert {each.user_id: each.role for each in found} == ROLES


@pytest.mark.parametrize(
    ("role", "ids"),
    [(Role.OWNER, [5]), (Role.ADMIN, [9, 11]), (Role.MEMBER, [1, 4, 6, 10, 12])],
)
async def test_of_one_role_come_alone(
    case: Case, group_id: int, role: Role, ids: list[int]
) -> None:
    found = await walk(case, group_id, role=role, limit=2)

    assert [each.user_id for each in found] == ids


async def test_come_behind_a_member_who_has_gone_or_has_another_role(
    case: Case, group_id: int
) -> None:
    page = await case.groups.members(group_id, role=None, after=(Role.ADMIN, 10), limit=2)

    assert [each.user_id for each in page] == [11, 1]
    assert (
        await case.groups.members(group_id, role=Role.OWNER, after=(Role.MEMBER, 1), limit=2) == []
    )


async def test_of_an_absent_group_are_none(case: Case) -> None:
    assert await case.groups.members(77, role=None, after=None, limit=2) == []
