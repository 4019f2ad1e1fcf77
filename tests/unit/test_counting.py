"""Test what a process reads of its parts for its snapshots."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from messaging.domain.breakers import Breaker, State
from messaging.domain.ids import WorkerLease
from messaging.metrics import catalogue, snapshot
from messaging.metrics.families import Labels, Switch
from messaging.metrics.snapshot import Snapshot
from messaging.release import RELEASE
from messaging.runtime import counting
from tests.support.memory import SETTINGS, MemoryService, message


@pytest.fixture(autouse=True)
def switched_back() -> Iterator[None]:
    yield
    Switch.is_on = True


@pytest.fixture
def service() -> MemoryService:
    service = MemoryService()
    service.ids.use(lease(600))
    return service


def lease(left_s: float) -> WorkerLease:
    return WorkerLease(node=1, owner="me", valid_until_s=time.monotonic() + left_s, fenced=True)


async def written(service: MemoryService, folder: Path) -> Snapshot:
    """Return the last snapshot of a process with these parts."""
    writer = counting.begin(
        "web",
        replace(SETTINGS, metrics_dir=str(folder)),
        service.node.breakers,
        ids=service.ids,
        hints=service.hints,
    )
    await counting.end(writer)
    ((_, found),) = snapshot.read(folder)
    return found


def numbers(found: Snapshot, family: str) -> dict[Labels, float]:
    return {tuple(labels): number for labels, number in found.numbers[family]}


async def test_the_states_of_the_breakers(service: MemoryService, tmp_path: Path) -> None:
    service.broker.down = True
    service.node.breakers["log"].trip()
    found = await written(service, tmp_path)
    states = numbers(found, "im_breaker_processes")
    assert [labels for labels, number in states.items() if number] == [
        ("cache", "closed"),
        ("log", "open"),
        ("store", "closed"),
    ]
    assert len(states) == 9
    changes = {("cache",): 0, ("log",): 1, ("store",): 0}
    assert numbers(found, "im_breaker_changes_total") == changes
    seconds = numbers(found, "im_breaker_open_seconds_total")
    assert seconds[("log",)] > 0 == seconds[("store",)]


@pytest.mark.parametrize("left_s", [None, -5.0, 300.0])
async def test_the_lease(service: MemoryService, tmp_path: Path, left_s: float | None) -> None:
    service.ids.use(None if left_s is None else lease(left_s))
    (told,) = numbers(await written(service, tmp_path), "im_worker_lease_seconds").values()
    assert 0 <= told <= max(left_s or 0, 0)
    assert (told > 100) == (left_s == 300)


async def test_the_messages_owed_to_the_cache(service: MemoryService, tmp_path: Path) -> None:
    service.cache.down = True
    service.hints._kept.keep_late([message(), message()])
    assert numbers(await written(service, tmp_path), "im_arrears_late") == {(): 2}


async def test_the_last_sweep(service: MemoryService, tmp_path: Path) -> None:
    assert numbers(await written(service, tmp_path / "none"), catalogue.last_sweep.name) == {}
    before_s = time.time()
    counting.note_sweep()
    (told,) = numbers(await written(service, tmp_path), catalogue.last_sweep.name).values()
    assert before_s <= told <= time.time()


async def test_the_role_the_release_and_the_end(service: MemoryService, tmp_path: Path) -> None:
    found = await written(service, tmp_path)
    assert (found.role, found.release, found.is_over) == ("web", RELEASE, True)
    assert catalogue.arrears.read() == catalogue.lease_seconds.read() == {}


@pytest.mark.parametrize("changed", [{"metrics": False}, {"metrics_dir": ""}])
async def test_nothing_is_written_where_nothing_is_to_be_counted(
    service: MemoryService, tmp_path: Path, changed: dict[str, object]
) -> None:
    current = replace(SETTINGS, **({"metrics_dir": str(tmp_path)} | changed))  # type: ignore[arg-type]
    writer = counting.begin("web", current, service.node.breakers)
    assert writer is None
    await counting.end(writer)
    assert Switch.is_on == current.metrics
    assert list(tmp_path.iterdir()) == []


async def test_a_backend_that_nothing_has_asked_for_is_asked_at_once() -> None:
    asked = asyncio.Event()

    async def probe() -> None:
        asked.set()

    breaker = Breaker("log", probe, state=State.OPEN)
    counting.begin("web", SETTINGS, {"log": breaker})
    async with asyncio.timeout(10):
        await asked.wait()
    await breaker.close()
