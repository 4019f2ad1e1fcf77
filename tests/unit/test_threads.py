"""Test calls in a bounded number of threads: queue length, waiting time, and kept places."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator

import pytest

from imsite.threads import Threads
from messaging.domain.errors import TooManyRequests

SOON_S = 0.05
LONG_S = 20.0


class Gate:
    """Hold the calls that pass through the gate until it is opened."""

    def __init__(self) -> None:
        self._open = threading.Event()
        self.passed = 0

    def __call__(self) -> int:
        assert self._open.wait(LONG_S)
        self.passed += 1
        return 42

    def open(self) -> None:
        self._open.set()


@pytest.fixture
def gate() -> Iterator[Gate]:
    gate = Gate()
    yield gate
    gate.open()


def begin(threads: Threads, call: Gate, *, wait_s: float = LONG_S) -> asyncio.Task[int]:
    return asyncio.create_task(threads.run(call, queue=1, wait_s=wait_s))


async def test_past_the_queue_a_call_is_refused_at_once(gate: Gate) -> None:
    threads = Threads(2, name="test")
    taken = [begin(threads, gate) for _ in range(3)]
    await asyncio.sleep(0)
    with pytest.raises(TooManyRequests):
        await begin(threads, gate)
    gate.open()
    assert await asyncio.gather(*taken) == [42, 42, 42]
    assert await begin(threads, gate) == 42


async def test_a_call_that_waits_too_long_is_refused_and_never_made(gate: Gate) -> None:
    threads = Threads(1, name="test")
    first = begin(threads, gate)
    await asyncio.sleep(0)
    for _ in range(3):  # each refused call leaves the queue as it was
        with pytest.raises(TooManyRequests):
            await begin(threads, gate, wait_s=SOON_S)
    gate.open()
    assert await first == 42
    assert await begin(threads, gate) == 42
    assert gate.passed == 2


async def test_a_call_that_nobody_waits_for_keeps_its_place_until_it_ends(gate: Gate) -> None:
    threads = Threads(1, name="test")
    left = begin(threads, gate)
    await asyncio.sleep(SOON_S)
    left.cancel()
    with pytest.raises(asyncio.CancelledError):
        await left
    with pytest.raises(TooManyRequests):
        await begin(threads, gate, wait_s=SOON_S)
    gate.open()
    assert await begin(threads, gate) == 42


async def test_who_leaves_the_queue_is_not_waited_for(gate: Gate) -> None:
    threads = Threads(1, name="test")
    first, second = begin(threads, gate), begin(threads, gate)
    await asyncio.sleep(0)
    second.cancel()
    await asyncio.sleep(0)
    third = begin(threads, gate)
    gate.open()
    assert await asyncio.gather(first, third) == [42, 42]
    assert gate.passed == 2


async def test_what_a_call_raises_is_raised() -> None:
    def fail() -> None:
        raise ZeroDivisionError

    threads = Threads(1, name="test")
    for _ in range(2):
        with pytest.raises(ZeroDivisionError):
            await threads.run(fail, queue=1, wait_s=LONG_S)
