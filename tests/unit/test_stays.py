"""Check that few calls stay at a time, and that no call waits behind calls that stay."""

from __future__ import annotations

import asyncio

import pytest

from messaging.domain.errors import TemporarilyUnavailable
from messaging.domain.stays import Stays

LONG_S = 60.0


async def stay(stays: Stays, seconds: float) -> None:
    async with stays.place():
        await stays.stay(seconds)


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_calls_that_leave_at_once_let_others_in() -> None:
    stays, under_way, most = Stays(2), 0, 0

    async def call() -> None:
        nonlocal under_way, most
        async with stays.place():
            under_way += 1
            most = max(most, under_way)
            await asyncio.sleep(0)
            under_way -= 1

    await asyncio.gather(*(call() for _ in range(9)))
    assert most == 2


async def test_nobody_waits_behind_calls_that_all_stay() -> None:
    """Let a call wait already when the last call in a place begins to stay."""
    stays, begins = Stays(2), asyncio.Event()

    async def stay_later() -> None:
        async with stays.place():
            await begins.wait()
            await stays.stay(LONG_S)

    holders = [asyncio.create_task(call) for call in (stay(stays, LONG_S), stay_later())]
    await settle()
    waiting = asyncio.create_task(stay(stays, 0))
    await settle()
    assert not waiting.done()
    begins.set()
    with pytest.raises(TemporarilyUnavailable):
        await asyncio.wait_for(waiting, 1)
    with pytest.raises(TemporarilyUnavailable):
        await asyncio.wait_for(stay(stays, 0), 1)
    for holder in holders:
        holder.cancel()
    await asyncio.gather(*holders, return_exceptions=True)
    await asyncio.wait_for(asyncio.gather(stay(stays, 0), stay(stays, 0)), 1)


async def test_a_call_that_gives_up_waiting_leaves_nothing_behind() -> None:
    stays = Stays(1)
    async with stays.place():
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(stay(stays, 0), 0.01)
    await asyncio.wait_for(stay(stays, 0), 1)
