"""Check that calls past their deadline are ended, and no other call is."""

from __future__ import annotations

import asyncio
import time

import pytest

from messaging.gateway.deadlines import Deadlines


async def answer_after(seconds: float) -> str:
    await asyncio.sleep(seconds)
    return "answer"


async def test_a_call_in_time_returns_its_value() -> None:
    assert await Deadlines(0.2).bound(answer_after(0)) == "answer"


@pytest.mark.alone
async def test_a_call_that_takes_too_long_is_ended() -> None:
    began_s = time.monotonic()
    with pytest.raises(TimeoutError):
        await Deadlines(0.1).bound(answer_after(30))
    assert time.monotonic() - began_s < 5


@pytest.mark.alone
async def test_each_call_has_its_own_time() -> None:
    deadlines = Deadlines(0.4)

    async def late() -> str:
        await asyncio.sleep(0.3)
        return await deadlines.bound(answer_after(0.2))

    outcomes = await asyncio.gather(
        *(deadlines.bound(answer_after(s)) for s in (30, 0, 30)), late(), return_exceptions=True
    )
    assert [type(outcome) for outcome in outcomes] == [TimeoutError, str, TimeoutError, str]


async def test_a_call_may_follow_one_that_was_ended() -> None:
    deadlines = Deadlines(0.05)
    with pytest.raises(TimeoutError):
        await deadlines.bound(answer_after(30))
    assert await deadlines.bound(answer_after(0)) == "answer"
    task = asyncio.current_task()
    assert task is not None
    assert task.cancelling() == 0


async def test_whoever_is_cancelled_by_others_is_told_so() -> None:
    task = asyncio.create_task(Deadlines(30).bound(answer_after(30)))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_the_timer_ends_with_the_last_call() -> None:
    deadlines = Deadlines(0.05)
    await deadlines.bound(answer_after(0))
    await asyncio.sleep(0.1)
    assert deadlines._under_way._timer is None
