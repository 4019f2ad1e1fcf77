"""Test that a client has only a few calls running at a time."""

from __future__ import annotations

import asyncio
import contextlib

import pytest

from messaging.domain.turns import Turns


async def test_a_key_has_so_many_places_and_the_others_wait() -> None:
    turns, under_way, most = Turns(2), 0, 0

    async def call(key: str) -> None:
        nonlocal under_way, most
        async with turns.turn(key):
            under_way += 1
            most = max(most, under_way)
            await asyncio.sleep(0)
            under_way -= 1

    await asyncio.gather(*(call("a") for _ in range(9)))
    assert most == 2
    await asyncio.gather(*(call(key) for key in "ab" for _ in range(9)))
    assert most == 4
    assert not turns._places


async def test_who_gives_up_waiting_leaves_nothing_behind() -> None:
    turns = Turns(1)
    async with turns.turn("a"):
        for patience in (asyncio.timeout(0.01), contextlib.nullcontext()):
            with pytest.raises(TimeoutError):
                async with patience, turns.turn("a", wait_s=0.02):
                    raise AssertionError("there was no place")
    async with turns.turn("a"):
        pass
    assert not turns._places
