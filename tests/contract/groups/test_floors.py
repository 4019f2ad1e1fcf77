"""Test what a member may see after joins and returns, and what counts as read."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from messaging.domain.conversations import Participant
from messaging.domain.ids import first_id_at
from messaging.domain.message import ChatType, MsgType
from messaging.ports.groups import ChangedGroup, GroupChange
from tests.contract.groups.decisions import creating, joining, leaving
from tests.contract.groups.rigs import NOW_MS, Case
from tests.support.messages import FIRST_ID, make_message


@pytest.fixture
async def made(case: Case) -> ChangedGroup:
    await case.rig.add_users(1, 2)
    return await case.create(1, creating(1))


async def say(case: Case, group_id: int, *numbers: int) -> None:
    messages = [make_message(n, to_id=group_id, chat_type=ChatType.GROUP) for n in numbers]
    await case.store.apply(messages)


async def join(case: Case, group_id: int, **options: object) -> Participant:
    order = case.order(2, joining(2, hides_history=bool(options.pop("hides", True))), **options)  # type: ignore[arg-type]
    await case.groups.change_group(group_id, order)
    return (await case.rig.participants(f"g{group_id}"))[2]


async def test_a_join_hides_what_is_stored(case: Case, made: ChangedGroup) -> None:
    await say(case, made.group.id, NOW_MS, NOW_MS + 5)  # of later times than the notice

    participant = await join(case, made.group.id, floor_id=9)

    assert participant == Participant(
        user_id=2,
        conversation_id=f"g{made.group.id}",
        floor_id=FIRST_ID + NOW_MS + 5,
        floor_seq=3,
        read_seq=3,
        delivered_seq=3,
    )
    notice = (await case.store.tail(f"g{made.group.id}", limit=1)).rows[0]
    assert (notice.msg_type, notice.seq) == (MsgType.NOTICE, 4)
    assert notice.id > participant.floor_id


async def test_a_join_hides_what_may_be_under_way(case: Case, made: ChangedGroup) -> None:
    floor_id = first_id_at(NOW_MS + 1) - 1
    assert made.notices[0].id < floor_id

    participant = await join(case, made.group.id, floor_id=floor_id)

    assert (participant.floor_id, participant.floor_seq) == (floor_id, 1)


async def test_a_join_with_all_history_hides_nothing_and_counts_all_as_read(
    case: Case, made: ChangedGroup
) -> None:
    await say(case, made.group.id, 1, 2)

    participant = await join(case, made.group.id, floor_id=9, hides=False)

    assert participant == Participant(
        user_id=2, conversation_id=f"g{made.group.id}", read_seq=3, delivered_seq=3
    )


async def test_a_join_hides_what_a_group_without_a_notice_was_told(case: Case) -> None:
    await case.rig.add_users(2)
    made = await case.create(1, lambda facts: GroupChange())
    await say(case, made.group.id, 1)

    participant = await join(case, made.group.id)

    assert (participant.floor_id, participant.floor_seq) == (FIRST_ID + 1, 1)


async def test_a_creator_sees_the_groups_first_notice(case: Case) -> None:
    await case.rig.add_users(1)
    made = await case.create(1, creating(1))

    participant = (await case.rig.participants(f"g{made.group.id}"))[1]

    assert participant.floor_id < made.notices[0].id
    assert participant.floor_seq == 0


rounds = itertools.count()


@given(
    steps=st.lists(
        st.tuples(
            st.sampled_from(["join", "join with all", "leave", "say"]), st.integers(0, 2_000)
        ),
        max_size=12,
    )
)
@settings(
    max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
async def test_no_join_and_no_return_lowers_a_floor_or_a_position(
    case: Case, steps: list[tuple[str, int]]
) -> None:
    await case.rig.add_users(1, 2)
    group_id = (await case.create(1, creating(1))).group.id
    numbers = itertools.count(next(rounds) * 10_000)
    before = Participant(user_id=2, conversation_id=f"g{group_id}", is_in=False)
    hidden: set[int] = set()
    stored: list[int] = []
    for step, number in steps:
        if step == "say":
            stored.append(FIRST_ID + (number := next(numbers) + number))
            await say(case, group_id, number)
        elif step == "leave":
            await case.change(group_id, 2, leaving(2))
        else:
            hides = step == "join"
            if hides and not before.is_in:
                hidden.update(stored)
            await join(case, group_id, hides=hides, floor_id=FIRST_ID + number)
        after = (await case.rig.participants(f"g{group_id}")).get(2, before)
        assert after.floor_id >= before.floor_id
        assert after.floor_seq >= before.floor_seq
        assert after.read_seq >= before.read_seq
        assert after.delivered_seq >= before.delivered_seq
        assert after.rev == before.rev + (after != before and had_row(before))
        assert all(i <= after.floor_id for i in hidden)
        before = after


def had_row(participant: Participant) -> bool:
    """Tell whether the participant had a row: each has been in or has a reason to be out."""
    return participant.is_in or participant.out_reason is not None
