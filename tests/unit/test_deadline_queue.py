"""Check that one timer watches many deadlines."""

from __future__ import annotations

import asyncio

import pytest

from messaging.domain.deadline_queue import DeadlineQueue


def in_s(seconds: float) -> float:
    return asyncio.get_running_loop().time() + seconds


async def test_tells_of_each_overdue_item_once_and_of_no_other() -> None:
    overdue: list[str] = []
    queue = DeadlineQueue(overdue.append, pause_s=0.01)
    queue.add("first", in_s(0.01))
    queue.add("second", in_s(0.02))
    queue.add("later", in_s(30))
    await asyncio.sleep(0.1)
    assert overdue == ["first", "second"]
    assert queue.drain() == ["later"]


async def test_does_not_tell_of_what_was_discarded() -> None:
    overdue: list[str] = []
    queue = DeadlineQueue(overdue.append, pause_s=0.01)
    queue.add("ended", in_s(0.02))
    queue.add("overdue", in_s(0.02))
    queue.discard("ended")
    queue.discard("ended")
    await asyncio.sleep(0.1)
    assert overdue == ["overdue"]


@pytest.mark.parametrize("pause_s", [None, 0.01])
async def test_never_tells_early(pause_s: float | None) -> None:
    told_s: dict[str, float] = {}
    loop = asyncio.get_running_loop()
    queue = DeadlineQueue(lambda item: told_s.setdefault(item, loop.time()), pause_s=pause_s)
    deadlines_s = {"first": in_s(0.05), "second": in_s(0.1)}
    for item, deadline_s in deadlines_s.items():
        queue.add(item, deadline_s)
    await asyncio.sleep(0.3)
    assert told_s.keys() == deadlines_s.keys()
    assert all(told_s[item] >= deadlines_s[item] for item in told_s)


async def test_without_a_pause_the_timer_is_set_to_the_oldest_deadline() -> None:
    queue = DeadlineQueue(lambda item: None)
    queue.add("first", first_s := in_s(0.02))
    queue.add("second", second_s := in_s(30))
    assert queue._timer is not None
    assert queue._timer.when() == first_s
    await asyncio.sleep(0.1)
    assert queue._timer.when() == second_s
    queue.drain()


async def test_one_timer_serves_all_and_ends_with_the_last_item() -> None:
    queue = DeadlineQueue(lambda item: None, pause_s=0.02)
    queue.add("first", in_s(30))
    timer = queue._timer
    queue.add("second", in_s(30))
    assert queue._timer is timer
    queue.discard("first")
    queue.discard("second")
    await asyncio.sleep(0.1)
    assert queue._timer is None


async def test_an_item_that_is_overdue_may_discard_or_drain_the_others() -> None:
    overdue: list[str] = []

    def end(item: str) -> None:
        overdue.append(item)
        queue.discard("second")
        assert queue.drain() == ["later"]

    queue = DeadlineQueue(end, pause_s=0.01)
    queue.add("first", in_s(0.02))
    queue.add("second", in_s(0.02))
    queue.add("later", in_s(30))
    await asyncio.sleep(0.1)
    assert overdue == ["first"]
    assert queue._timer is None


async def test_what_is_drained_is_told_of_no_more() -> None:
    overdue: list[str] = []
    queue = DeadlineQueue(overdue.append)
    queue.add("one", in_s(0.02))
    queue.add("other", in_s(0.02))
    timer = queue._timer
    assert queue.drain() == ["one", "other"]
    assert timer is not None
    assert timer.cancelled()
    await asyncio.sleep(0.1)
    assert overdue == []
    queue.add("next", in_s(0.02))
    await asyncio.sleep(0.1)
    assert overdue == ["next"]
