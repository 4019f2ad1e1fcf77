"""Check that health and the log report it when no process sweeps."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace

import pytest

from messaging.conf import Settings
from messaging.pipeline.sweep_watch import Sweeps, SweepWatch, mark_swept
from messaging.testing.cache import MemoryCache

SETTINGS = Settings(redis_url="", event_log_url="")
LATE_S = 300.0


@dataclass
class SweepScene:
    now_s: float = 1_000.0

    def __post_init__(self) -> None:
        self.cache = MemoryCache(clock_s=lambda: self.now_s)
        self.watch = SweepWatch(self.cache, SETTINGS, monotonic_s=lambda: self.now_s)

    async def after(self, seconds: float) -> Sweeps:
        """Return the watch's state after so many seconds more."""
        self.now_s += seconds
        await self.watch.check()
        return self.watch.state


@pytest.fixture
def scene() -> SweepScene:
    return SweepScene()


async def test_a_start_is_given_the_time_of_a_few_sweeps(scene: SweepScene) -> None:
    assert await scene.after(LATE_S) is Sweeps.ON_TIME
    assert await scene.after(1) is Sweeps.LATE


async def test_a_sweep_now_and_then_is_enough(scene: SweepScene) -> None:
    for _ in range(10):
        await mark_swept(scene.cache, SETTINGS)
        assert await scene.after(LATE_S - 1) is Sweeps.ON_TIME


async def test_an_end_of_all_sweeps_is_told_once_and_so_is_the_next_sweep(
    scene: SweepScene, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    await mark_swept(scene.cache, SETTINGS)
    for _ in range(50):
        await scene.after(60)
    assert scene.watch.state is Sweeps.LATE
    await mark_swept(scene.cache, SETTINGS)
    assert await scene.after(1) is Sweeps.ON_TIME
    told = [vars(record)["action"] for record in caplog.records]
    assert told == ["compensation.late", "compensation.again"]


async def test_nothing_is_judged_while_the_cache_is_away(scene: SweepScene) -> None:
    scene.cache.down = True
    assert await scene.after(10 * LATE_S) is Sweeps.ON_TIME


async def test_rare_sweeps_are_late_later() -> None:
    scene = SweepScene()
    rarely = replace(SETTINGS, compensate_every_s=600.0)
    scene.watch = SweepWatch(scene.cache, rarely, monotonic_s=lambda: scene.now_s)
    assert await scene.after(3_000) is Sweeps.ON_TIME
    assert await scene.after(1) is Sweeps.LATE
