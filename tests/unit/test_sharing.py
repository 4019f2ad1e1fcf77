"""Test that callers who want the same share a read, and that none gets what is old."""

from __future__ import annotations

import asyncio

import pytest

from messaging.domain.backend_errors import StoreUnavailable
from messaging.domain.sharing import SharedReads


class Source:
    """Answer each read by its number, when the read is let go."""

    def __init__(self) -> None:
        self.began = 0
        self.may_go = asyncio.Event()
        self.fails = 0  # the number of the read that fails
        self.reads: SharedReads[str, int] = SharedReads()

    def call(self, key: str = "a") -> asyncio.Task[int]:
        return asyncio.create_task(self.reads.read(key, self._read))

    async def _read(self) -> int:
        self.began += 1
        number = self.began
        await self.may_go.wait()
        if number == self.fails:
            raise StoreUnavailable
        return number


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_callers_at_the_same_time_share_one_read() -> None:
    source = Source()
    calls = [source.call() for _ in range(20)]
    other = source.call("b")
    await settle()
    source.may_go.set()
    assert await asyncio.gather(*calls) == [1] * 20
    assert await other == 2


async def test_callers_during_a_read_share_the_next_one() -> None:
    source = Source()
    first = source.call()
    await settle()
    later = [source.call() for _ in range(3)]
    await settle()
    assert source.began == 1
    later.append(source.call())
    await settle()
    source.may_go.set()
    assert await first == 1
    assert await asyncio.gather(*later) == [2] * 4


async def test_nothing_is_kept() -> None:
    source = Source()
    source.may_go.set()
    assert [await source.call() for _ in range(3)] == [1, 2, 3]
    assert not source.reads._running
    assert not source.reads._next


async def test_an_error_is_that_of_all_callers_of_the_read_alone() -> None:
    source = Source()
    source.fails = 1
    calls = [source.call() for _ in range(3)]
    await settle()
    later = source.call()
    await settle()
    source.may_go.set()
    for call in calls:
        with pytest.raises(StoreUnavailable):
            await call
    assert await later == 2


async def test_a_caller_who_has_gone_leaves_the_others_alone() -> None:
    source = Source()
    gone, stays = source.call(), source.call()
    await settle()
    next_gone, next_stays = source.call(), source.call()
    await settle()
    for call in (gone, next_gone):
        call.cancel()
    await settle()
    source.may_go.set()
    assert (await stays, await next_stays) == (1, 2)
    assert gone.cancelled()
    assert next_gone.cancelled()


def test_the_end_of_a_loop_leaves_nothing_behind() -> None:
    source = Source()

    async def begin() -> None:
        source.call()
        await settle()
        source.call()
        await asyncio.sleep(0)

    asyncio.run(begin())

    async def read() -> int:
        source.may_go = asyncio.Event()
        source.may_go.set()
        return await source.call()

    assert asyncio.run(read()) == 2
