"""Test order, repeats, omissions, and writers side by side."""

from __future__ import annotations

import asyncio
import itertools
import random
from collections.abc import Sequence

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec import structs

from messaging.domain.backend_errors import StoreUnavailable
from messaging.domain.message import Message
from messaging.ports.store import ApplyResult, MessageStore
from tests.contract.store.rows import without_numbers
from tests.support.messages import FIRST_ID, join_all, make_message


async def applied(store: MessageStore, messages: Sequence[Message]) -> ApplyResult:
    """Apply the messages as the consumer does: again, for as long as the store is unavailable."""
    for _ in range(50):
        try:
            return await store.apply(messages)
        except StoreUnavailable:
            await asyncio.sleep(0.02)
    raise AssertionError("the store stays unavailable")


@st.composite
def histories(draw: st.DrawFn) -> tuple[list[Message], list[list[Message]]]:
    """Draw all states of a few messages, and batches of them in any order, split and number.

    States that no batch holds come last, as compensation brings them.
    """
    states: list[Message] = []
    for number in range(draw(st.integers(1, 5))):
        message = make_message(number, to_id=draw(st.sampled_from([2, 3])))
        states.append(message)
        recall_times = draw(st.lists(st.integers(1, 9), max_size=2))
        states += [message.recalled(time) for time in recall_times]
    brought = draw(st.lists(st.sampled_from(states), max_size=3 * len(states)))
    batches: list[list[Message]] = [[]]
    for state in brought:
        if draw(st.booleans()):
            batches.append([])
        batches[-1].append(state)
    omitted = [state for state in states if state not in brought]
    return states, [*batches, draw(st.permutations(omitted))]


series = itertools.count()


@given(history=histories(), deletes=st.lists(st.tuples(st.integers(1, 3), st.integers(0, 4))))
@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
async def test_any_order_repeat_and_omission_ends_in_the_join(
    store: MessageStore,
    history: tuple[list[Message], list[list[Message]]],
    deletes: list[tuple[int, int]],
) -> None:
    shift = next(series) * 1_000  # every example has its own conversations
    states, batches = ([moved(m, shift) for m in history[0]], history[1])
    rows: dict[int, Message] = {}

    for number, batch in enumerate(batches):
        for user_id, message in deletes[number :: len(batches)]:
            await store.delete_for_user(user_id + shift, [FIRST_ID + shift + message], "1_2")
        for row in (await applied(store, join_all([moved(m, shift) for m in batch]))).rows:
            # A seq never changes once it is given, and each change of a row has a greater rev.
            before = rows.setdefault(row.id, row)
            assert row.seq == before.seq
            assert row == before or row.rev > before.rev
            assert row.rev == before.rev or without_numbers([row]) != without_numbers([before])
            rows[row.id] = row

    expected = join_all(states)
    for conversation_id in {message.conversation_id for message in states}:
        mine = [m for m in expected if m.conversation_id == conversation_id]
        tail = await store.tail(conversation_id, limit=100)
        assert without_numbers(tail.rows[::-1]) == mine
        assert sorted(m.seq or 0 for m in tail.rows) == list(range(1, len(mine) + 1))
        assert tail.total == len(mine)
    for user_id in (1, 2, 3):
        hidden = await store.deleted_among(user_id + shift, [m.id for m in expected])
        said = {FIRST_ID + shift + message for user, message in deletes if user == user_id}
        assert hidden == said & {m.id for m in expected}


def moved(message: Message, shift: int) -> Message:
    from_user_id, to_id = message.from_user_id + shift, message.to_id + shift
    return structs.replace(
        message,
        id=message.id + shift,
        from_user_id=from_user_id,
        to_id=to_id,
        conversation_id=f"{from_user_id}_{to_id}",
    )


async def test_writers_side_by_side_leave_no_gap_no_double_and_no_loss(
    store: MessageStore,
) -> None:
    shuffle = random.Random(7)
    messages = [
        make_message(n, to_id=2 + n % 5, client_msg_id=f"key {n}" if n % 3 else None)
        for n in range(300)
    ]
    states = [*messages, *(m.recalled(9) for m in messages[::4])]

    async def write() -> None:
        mine = shuffle.sample(states, k=len(states))
        for start in range(0, len(mine), 40):
            await applied(store, join_all(mine[start : start + 40]))

    await asyncio.gather(*(write() for _ in range(6)))

    expected = join_all(states)
    for to_id in range(2, 7):
        mine = [m for m in expected if m.to_id == to_id]
        tail = await store.tail(f"1_{to_id}", limit=1_000)
        assert without_numbers(tail.rows[::-1]) == mine
        assert sorted(m.seq or 0 for m in tail.rows) == list(range(1, len(mine) + 1))
        assert tail.total == len(mine)
