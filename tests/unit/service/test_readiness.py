"""Test how a process judges itself by its own state."""

from __future__ import annotations

import time
from dataclasses import replace

import pytest

from messaging.domain.ids import WorkerLease
from messaging.domain.modes import MODES, Reads, Sends, Status
from messaging.service.readiness import ROOM_BYTES, away_of, may_serve, mode_now
from messaging.service.send import send
from tests.support.memory import ALICE, SETTINGS, MemoryService, to_bob


def lease(left_s: float) -> WorkerLease:
    return WorkerLease(node=1, owner="me", valid_until_s=time.monotonic() + left_s, fenced=True)


@pytest.fixture
def service() -> MemoryService:
    return MemoryService(replace(SETTINGS, pending_bytes=ROOM_BYTES + 1_000))


def lose(service: MemoryService, *names: str) -> None:
    for name in names:
        getattr(service, name).down = True
        service.node.breakers[name].trip()


@pytest.mark.parametrize("away", MODES, ids=lambda away: "+".join(sorted(away)) or "nothing")
async def test_each_set_of_backends_has_its_mode(
    service: MemoryService, away: frozenset[str]
) -> None:
    lose(service, *away)
    assert set(away_of(service.backends)) == away
    assert mode_now(service.backends) == MODES[away]
    assert may_serve(service.backends)


@pytest.mark.parametrize("away", [(), ("cache",), ("store",), ("log",)])
async def test_a_lease_that_ran_out_is_the_process_own_fault(
    service: MemoryService, away: tuple[str, ...]
) -> None:
    lose(service, *away)
    service.ids.use(lease(-1))
    assert not may_serve(service.backends)


async def test_a_lease_that_nobody_could_renew_is_not(service: MemoryService) -> None:
    lose(service, "cache", "store")
    service.ids.use(lease(-1))
    assert may_serve(service.backends)
    assert mode_now(service.backends).sends is Sends.REFUSED


@pytest.mark.parametrize("away", [(), ("cache", "log", "store")])
async def test_without_any_lease_a_process_cannot_serve(
    service: MemoryService, away: tuple[str, ...]
) -> None:
    lose(service, *away)
    service.ids.use(None)
    assert not may_serve(service.backends)


async def test_a_full_pending_set_refuses_until_it_has_drained(service: MemoryService) -> None:
    while not (seen := await service.cache.heartbeat()).pending_bytes > 1_000:
        await send(service.backends, to_bob("x" * 400), sender_id=ALICE)
    assert seen.pending_bytes == sum(service.cache.pending_set.sizes.values())
    assert mode_now(service.backends).status is Status.OK  # as the last heartbeat told
    await service.hints.heartbeat()
    assert mode_now(service.backends).status is Status.REFUSING
    await service.consume()
    await service.hints.heartbeat()
    assert mode_now(service.backends).status is Status.OK


async def test_without_redis_a_database_that_lags_behind_the_log_refuses_reads(
    service: MemoryService,
) -> None:
    lose(service, "cache")
    assert mode_now(service.backends).reads is Reads.STORED
    service.node.breakers["store"].closed_s = 5.0  # it was away, and has not caught up since
    assert mode_now(service.backends).reads is Reads.REFUSED


async def test_a_full_redis_that_is_away_refuses_nothing(service: MemoryService) -> None:
    service.hints.pending_bytes = 10**9
    lose(service, "cache")
    assert mode_now(service.backends).sends is Sends.LOG
