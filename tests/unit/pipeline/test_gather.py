"""Test that calls which wait leave together, and that each gets its own answer."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from messaging.domain.backend_errors import StoreUnavailable
from messaging.domain.errors import TooManyRequests
from messaging.pipeline import gather
from messaging.pipeline.gather import Gatherer

Item = tuple[str, int]


class Desk:
    """Carry out batches of (key, number), each when it is let go; `unknown` keys have no result."""

    def __init__(self) -> None:
        self.batches: list[list[Item]] = []
        self.may_go = asyncio.Event()
        self.may_go.set()
        self.unknown: set[str] = set()
        self.error: Exception | None = None
        self.gatherer: Gatherer[str, Item, int] = Gatherer(
            self._carry_out, key_of=lambda item: item[0], fold=max
        )

    async def _carry_out(self, items: Sequence[Item]) -> dict[str, int]:
        self.batches.append(list(items))
        await self.may_go.wait()
        if self.error is not None:
            raise self.error
        return {key: number for key, number in items if key not in self.unknown}


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_a_lone_item_is_carried_out_at_once() -> None:
    desk = Desk()
    assert await desk.gatherer.submit([("a", 1)]) == [1]
    assert desk.batches == [[("a", 1)]]


async def test_items_that_wait_leave_together_and_fold_by_key() -> None:
    desk = Desk()
    desk.may_go.clear()
    first = asyncio.create_task(desk.gatherer.submit([("a", 1)]))
    await settle()
    calls = [
        asyncio.create_task(desk.gatherer.submit(items))
        for items in ([("a", 2), ("b", 1)], [("a", 5)], [("a", 3), ("c", 7)])
    ]
    await settle()
    desk.may_go.set()
    assert await first == [1]
    assert await asyncio.gather(*calls) == [[5, 1], [5], [5, 7]]
    assert desk.batches == [[("a", 1)], [("a", 5), ("b", 1), ("c", 7)]]


async def test_an_item_without_a_result_is_answered_by_none() -> None:
    desk = Desk()
    desk.unknown.add("b")
    assert await desk.gatherer.submit([("a", 1), ("b", 2)]) == [1, None]


async def test_a_batch_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gather, "MOST_AT_ONCE", 3)
    desk = Desk()
    items = [(str(n), n) for n in range(8)]
    assert await desk.gatherer.submit(items) == list(range(8))
    assert [len(batch) for batch in desk.batches] == [3, 3, 2]


async def test_past_the_bound_nothing_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gather, "MOST_WAITING", 2)
    desk = Desk()
    with pytest.raises(TooManyRequests):
        await desk.gatherer.submit([("a", 1), ("b", 1), ("c", 1)])
    with pytest.raises(TooManyRequests):
        desk.gatherer.submit_later([("a", 1), ("b", 1), ("c", 1)])
    await settle()
    assert desk.batches == []


async def test_items_without_an_answer_leave_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gather, "MOST_WAITING", 4)
    desk = Desk()
    desk.gatherer.submit_later([("a", 1), ("b", 1)])
    with pytest.raises(TooManyRequests):
        desk.gatherer.submit_later([("c", 1)])
    assert await desk.gatherer.submit([("d", 1), ("e", 2)]) == [1, 2]


async def test_a_failure_is_that_of_its_batch_alone() -> None:
    desk = Desk()
    desk.error = StoreUnavailable()
    with pytest.raises(StoreUnavailable):
        await desk.gatherer.submit([("a", 1), ("b", 1)])
    desk.error = None
    assert await desk.gatherer.submit([("a", 2)]) == [2]


async def test_a_batch_that_is_held_up_lets_the_next_one_pass(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(gather, "TURN_TIMEOUT_S", 0.01)
    desk = Desk()
    desk.may_go.clear()
    held = asyncio.create_task(desk.gatherer.submit([("a", 1)]))
    await settle()
    behind = asyncio.create_task(desk.gatherer.submit([("b", 1)]))
    async with asyncio.timeout(5):
        while len(desk.batches) < 2:
            await asyncio.sleep(0.001)
    desk.may_go.set()
    assert await asyncio.gather(held, behind) == [[1], [1]]


async def test_no_more_batches_than_allowed_are_under_way(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gather, "TURN_TIMEOUT_S", 0.001)
    monkeypatch.setattr(gather, "MOST_BATCHES", 2)
    desk = Desk()
    desk.may_go.clear()
    calls = []
    for n in range(5):
        calls.append(asyncio.create_task(desk.gatherer.submit([(str(n), n)])))
        await asyncio.sleep(0.01)
    assert len(desk.batches) == 2
    desk.may_go.set()
    assert await asyncio.gather(*calls) == [[n] for n in range(5)]
    assert len(desk.batches) == 3


async def test_a_caller_who_has_gone_leaves_the_others_alone() -> None:
    desk = Desk()
    desk.may_go.clear()
    gone = asyncio.create_task(desk.gatherer.submit([("a", 1)]))
    stays = asyncio.create_task(desk.gatherer.submit([("a", 2)]))
    await settle()
    gone.cancel()
    await settle()
    desk.may_go.set()
    assert await stays == [2]


async def test_the_end_waits_for_items_without_an_answer() -> None:
    desk = Desk()
    desk.gatherer.submit_later([("a", 1)])
    desk.gatherer.submit_later([("a", 4), ("b", 2)])
    await desk.gatherer.close()
    assert desk.batches == [[("a", 4), ("b", 2)]]


async def test_nothing_begins_when_the_loop_ends() -> None:
    desk = Desk()
    desk.may_go.clear()
    desk.gatherer.submit_later([("a", 1)])
    await settle()
    desk.gatherer.submit_later([("b", 1)])
    (batch,) = desk.gatherer._tasks
    batch.cancel()
    await desk.gatherer.close()
    assert desk.batches == [[("a", 1)]]


async def test_an_unforeseen_error_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    desk = Desk()
    desk.error = KeyError("x")
    desk.gatherer.submit_later([("a", 1)])
    await desk.gatherer.close()
    assert [record.action for record in caplog.records] == ["gather.failed"]  # type: ignore[attr-defined]
