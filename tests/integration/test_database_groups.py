"""Test the groups on the database of the settings in force: statements, limits and outages."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest
from django.db import OperationalError, connection, connections

from messaging.conf import settings
from messaging.domain.backend_errors import StoreUnavailable
from messaging.domain.groups import FOR_GOOD, Event, Member, Notice, OutReason, Role
from messaging.models import ChatGroupMember, Participant
from messaging.ports.groups import ChangedGroup, Decide, GroupChange
from messaging.store import groups
from messaging.store.changing import change_group, create_group
from messaging.store.groups import CALL_S, DatabaseGroups
from tests.contract.groups.decisions import creating, deciding, joining, leaving
from tests.contract.groups.rigs import Case, InDatabase
from tests.integration.database import held_group
from tests.integration.database_work import counted

pytestmark = pytest.mark.django_db(transaction=True)
on_mysql = pytest.mark.skipif(
    connections["default"].vendor != "mysql", reason="MySQL and MariaDB alone"
)


@pytest.fixture
async def case() -> AsyncIterator[Case]:
    rig = InDatabase(settings())
    yield Case(rig)
    await rig.close()


def joining_all(*user_ids: int) -> Decide:
    notice = Notice(event=Event.INVITED, user_ids=user_ids[:20], count=len(user_ids))
    joins = dict.fromkeys(user_ids, Role.MEMBER)
    return deciding(GroupChange(joins=joins, notices=[notice]))


def muting(user_id: int) -> Decide:
    muted = Member(user_id=user_id, role=Role.MEMBER, muted_until=FOR_GOOD)
    notice = Notice(event=Event.MUTED, user_ids=(user_id,), count=1, muted_until=FOR_GOOD)
    return deciding(GroupChange(members=[muted], notices=[notice]))


async def test_no_change_makes_more_statements_for_more_users(case: Case) -> None:
    await case.rig.add_users(*range(1, 500))
    group = (await case.create(1, creating(1))).group

    def count(decide: Decide, *involved: int) -> int:
        with counted() as words:
            change_group(connection, group.id, case.order(1, decide, involved=involved))
        return len(words)

    def count_all() -> None:
        # The group's lock, facts, members, the group, the conversation's lock and numbers, its next
        # numbers, the notice, participants, the hint.
        assert count(joining_all(2), 2) == 11
        assert count(joining_all(*range(3, 203)), *range(3, 203)) == 11
        assert count(muting(2), 2) == 9
        assert count(leaving(2), 2) == 11
        everyone = dict.fromkeys(range(3, 203), OutReason.REMOVED)
        assert count(deciding(GroupChange(leaves=everyone)), *everyone) == 5
        assert count(deciding(GroupChange())) == 2
        with counted() as words:
            create_group(connection, group, case.order(1, creating(1, 2, 3)), "once")
        assert len(words) == 12
        with counted() as words:
            create_group(connection, group, case.order(1, creating(1, 2, 3)), "once")
        assert len(words) == 2

    await asyncio.to_thread(_with_connection, count_all)


def _with_connection(job: Any) -> None:
    try:
        job()
    finally:
        connection.close()


@pytest.mark.alone
async def test_a_change_that_waits_for_a_lock_ends_within_its_time(case: Case) -> None:
    await case.rig.add_users(1, 2)
    group_id = (await case.create(1, creating(1))).group.id

    with held_group(group_id):
        began_s = time.monotonic()
        with pytest.raises(StoreUnavailable):
            await case.change(group_id, 2, joining(2))
        assert time.monotonic() - began_s < CALL_S + 0.5

    made = await _settled(case, group_id)
    assert made.member_count in (1, 2)  # the outcome was unknown
    await case.change(group_id, 2, joining(2))
    assert (await _settled(case, group_id)).member_count == 2


async def _settled(case: Case, group_id: int) -> Any:
    for _ in range(50):
        with contextlib.suppress(StoreUnavailable):
            view = await case.groups.find_group(group_id, 1)
            assert view is not None
            return view.group
        await asyncio.sleep(0.1)
    raise AssertionError("the store stays unavailable")


async def test_no_time_of_the_settings_exceeds_that_of_a_change() -> None:
    for timeout_s in (30.0, 0.2):
        opened = DatabaseGroups(replace(settings(), store_timeout_s=timeout_s))
        assert opened._threads._timeout_s < min(timeout_s, CALL_S) + 0.001
        await opened.close()


@on_mysql
async def test_groups_of_the_same_users_never_deadlock(case: Case) -> None:
    await case.rig.add_users(*range(1, 51))
    group_ids = [(await case.create(1, creating(1))).group.id for _ in range(4)]
    users = list(range(2, 51))

    async def change(group_id: int, turn: int) -> None:
        mine = users[turn:] + users[:turn]
        await case.change(group_id, 1, joining_all(*mine), *mine)
        leaves = dict.fromkeys(mine, OutReason.LEFT)
        await case.change(group_id, 1, deciding(GroupChange(leaves=leaves)), *mine)

    for turn in range(10):
        await asyncio.gather(*(change(group_id, turn + n) for n, group_id in enumerate(group_ids)))

    for group_id in group_ids:
        assert (await _settled(case, group_id)).member_count == 1


@on_mysql
async def test_a_creation_whose_connection_ends_after_the_commit_makes_one_group(
    case: Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    await case.rig.add_users(1)
    await case.groups.find_group(1, 1)  # a connection is kept
    ends = [True]

    def create_and_end(*given: Any) -> ChangedGroup:
        made = create_group(*given)
        if ends and ends.pop():
            raise OperationalError(2013, "lost")
        return made

    monkeypatch.setattr(groups, "create_group", create_and_end)

    made = await case.create(1, creating(1))

    assert not ends
    assert made.group.member_count == 1
    assert await case.rig.count_groups() == 1


async def test_a_member_added_past_the_verbs_meanwhile_is_met_by_a_second_try(case: Case) -> None:
    await case.rig.add_users(1, 2)
    group_id = (await case.create(1, creating(1))).group.id
    tries: list[bool] = []

    def decide(facts: Any) -> GroupChange:
        tries.append(2 in facts.members)
        return joining(2)(facts)

    def add_and_change() -> None:
        ChatGroupMember.objects.create(group_id=group_id, user_id=2)
        change_group(connection, group_id, case.order(2, blind))

    def blind(facts: Any) -> GroupChange:
        """Decide at the first try by facts that were true a moment ago."""
        without = {i: m for i, m in facts.members.items() if tries or i != 2}
        return decide(replace(facts, members=without))

    await asyncio.to_thread(_with_connection, add_and_change)

    assert tries == [False, True]
    assert await ChatGroupMember.objects.filter(group_id=group_id).acount() == 2
    assert await Participant.objects.filter(conversation_id=f"g{group_id}").acount() == 1
