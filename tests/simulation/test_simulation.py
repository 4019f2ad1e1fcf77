"""A few thousand schedules, and by name the ones that once found a bug."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.simulation.schedule import run, run_many

SCHEDULES = 2_000
PROCESSES = 2
# Schedules that broke a promise once, or do when the remedy of that bug is taken back.
SEEDS = {
    "a stored message whose sender died is shown to its repeat": 374,
    "what a repeat is folded into is shown, though who stored it died": 1574,
    "a commit without an answer is made again though nothing follows": 26,
    "a delete is noted for a cache that is away": 53,
    "a recall is noted for a cache that is away": 69,
    "a recall that neither log nor store took is not acknowledged": 887,
    "a page says for some seconds that the cache was away": 421,
    "a breaker that is tripped in the moment of a good probe closes again": 1_002_796,
    "a hiccup that one process noticed, while the store hangs": 101_684,
}
ROOT = Path(__file__).parents[2]


@pytest.mark.timeout(600)
def test_every_schedule_keeps_every_promise() -> None:
    *_, (done, failures) = run_many(range(SCHEDULES), processes=PROCESSES)
    assert done == SCHEDULES
    told = [f"--replay {f.seed}: {f.violations[0].kind}" for f in failures]
    assert told == []


@pytest.mark.parametrize("name", SEEDS)
def test_what_was_found_is_kept(name: str) -> None:
    assert run(SEEDS[name]) == []


@pytest.mark.parametrize("seed", [3, 77])
def test_a_seed_is_one_schedule_whatever_else_is_drawn(seed: int) -> None:
    steps: list[str] = []
    run(seed, tell=steps.append)
    assert len(steps) > 50
    for hash_seed in ("1", "2"):
        told = subprocess.run(
            [sys.executable, "-m", "tests.simulation", "--replay", str(seed)],
            cwd=ROOT,
            env=os.environ | {"PYTHONHASHSEED": hash_seed},
            capture_output=True,
            text=True,
            check=False,
        )
        assert told.stdout.splitlines()[: len(steps)] == steps
