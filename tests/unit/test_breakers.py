"""Test that the circuit breaker refuses calls while the backend is away and notices its return."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

import pytest

from messaging.domain.backend_errors import CacheUnavailable
from messaging.domain.breakers import Breaker, State


class PingedBackend:
    """Answer probes as told; `gate` holds a probe up while it is not set."""

    def __init__(self) -> None:
        self.well = True
        self.probes = 0
        self.gate = asyncio.Event()
        self.gate.set()

    async def probe(self) -> None:
        self.probes += 1
        await self.gate.wait()
        if not self.well:
            raise CacheUnavailable


async def until(met: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not met():
            await asyncio.sleep(0.005)


@pytest.fixture
def backend() -> PingedBackend:
    return PingedBackend()


@pytest.fixture
def breaker(backend: PingedBackend) -> Breaker:
    return Breaker("cache", backend.probe)


async def test_opens_at_once_and_closes_by_itself(backend: PingedBackend, breaker: Breaker) -> None:
    backend.well = False
    breaker.trip()
    assert breaker.state is State.OPEN
    await until(lambda: backend.probes > 1)
    assert not breaker.is_closed
    backend.well = True
    await until(lambda: breaker.is_closed)
    assert breaker.opened_s < breaker.closed_s


async def test_is_half_open_while_it_probes(backend: PingedBackend, breaker: Breaker) -> None:
    backend.gate.clear()
    breaker.trip()
    await asyncio.sleep(0.01)
    assert breaker.state is State.HALF_OPEN
    breaker.trip()  # a call from before the probe fails now, and says nothing new
    assert breaker.state is State.HALF_OPEN
    backend.gate.set()
    assert await breaker.try_now()
    assert breaker.is_closed


async def test_probes_ever_more_seldom(backend: PingedBackend, breaker: Breaker) -> None:
    backend.well = False
    breaker.trip()
    await asyncio.sleep(0.5)
    assert 2 <= backend.probes <= 5  # probes come at 0, 50, 150 and 350 ms
    await breaker.close()


async def test_those_who_ask_during_a_probe_share_the_next_one(
    backend: PingedBackend, breaker: Breaker
) -> None:
    backend.gate.clear()
    first = asyncio.create_task(breaker.try_now())
    await asyncio.sleep(0.01)
    others = [asyncio.create_task(breaker.try_now()) for _ in range(5)]
    await asyncio.sleep(0.01)
    assert backend.probes == 1
    backend.gate.set()
    assert await asyncio.gather(first, *others) == [True] * 6
    assert backend.probes == 2


async def test_a_failed_try_opens_it(backend: PingedBackend, breaker: Breaker) -> None:
    backend.well = False
    assert not await breaker.try_now()
    assert breaker.state is State.OPEN
    await breaker.close()


async def test_looks_at_an_idle_backend(backend: PingedBackend, breaker: Breaker) -> None:
    checks = 0

    async def check() -> None:
        nonlocal checks
        checks += 1
        if checks == 3:
            backend.well = False
            breaker.trip()
            raise CacheUnavailable

    breaker.watch(check, every_s=0.01)
    await until(lambda: backend.probes > 1)
    assert (checks, breaker.is_closed) == (3, False)  # no check runs while the breaker probes
    await breaker.close()
    await asyncio.sleep(0.05)
    assert checks == 3


async def test_a_probe_that_fails_by_a_fault_of_its_own_is_made_again(
    backend: PingedBackend, caplog: pytest.LogCaptureFixture
) -> None:
    async def probe() -> None:
        await backend.probe()
        if backend.probes < 4:
            raise RuntimeError("a bug")

    breaker = Breaker("cache", probe)
    breaker.trip()
    assert not await breaker.try_now()
    await until(lambda: breaker.is_closed)
    assert backend.probes == 4
    assert [r.message for r in caplog.records if r.exc_info] == [
        "a probe failed by a fault of its own"
    ]


async def test_a_look_that_fails_by_a_fault_of_its_own_is_made_again(
    backend: PingedBackend, breaker: Breaker, caplog: pytest.LogCaptureFixture
) -> None:
    checks = 0

    async def check() -> None:
        nonlocal checks
        checks += 1
        if checks != 4:
            raise RuntimeError("a bug")

    breaker.watch(check, every_s=0.01)
    await until(lambda: checks > 8)
    # Logged once each time that the failures begin.
    assert len([r for r in caplog.records if r.exc_info]) == 2
    await breaker.close()


async def test_lets_no_call_pass_in_a_process_that_has_slept(
    backend: PingedBackend, breaker: Breaker
) -> None:
    async def check() -> None:
        pass

    breaker.watch(check, every_s=0.01, longest_s=0.2)
    await asyncio.sleep(0.05)
    assert breaker.is_closed
    time.sleep(0.3)
    assert not breaker.is_closed
    await until(lambda: breaker.is_closed)
    assert backend.probes == 1
    await breaker.close()


async def test_closes_though_it_is_tripped_in_the_moment_of_a_good_probe(
    backend: PingedBackend, breaker: Breaker
) -> None:
    backend.gate.clear()
    breaker.trip()
    await asyncio.sleep(0.01)
    assert breaker._current is not None
    # Trip before the waiting task resumes.
    breaker._current.add_done_callback(lambda _: breaker.trip())
    backend.gate.set()
    await until(lambda: backend.probes > 1 and breaker.is_closed)


async def test_counts_its_outages_and_their_time(backend: PingedBackend, breaker: Breaker) -> None:
    assert (breaker.changes, breaker.open_s) == (0, 0)
    backend.well = False
    breaker.trip()
    breaker.trip()
    await until(lambda: breaker.open_s > 0.05)
    backend.well = True
    await until(lambda: breaker.is_closed)
    lasted_s = breaker.open_s
    await asyncio.sleep(0.05)
    assert (breaker.changes, breaker.open_s) == (1, lasted_s)
    breaker.trip()
    await until(lambda: breaker.is_closed)
    assert breaker.changes == 2
    assert breaker.open_s > lasted_s


async def test_a_backend_that_is_not_asked_for_yet_is_no_outage(backend: PingedBackend) -> None:
    breaker = Breaker("log", backend.probe, state=State.OPEN)
    await asyncio.sleep(0.01)
    assert breaker.open_s == 0
    backend.well = False
    breaker.trip()
    await until(lambda: breaker.open_s > 0.01)
    backend.well = True
    await until(lambda: breaker.is_closed)
    assert breaker.changes == 0
