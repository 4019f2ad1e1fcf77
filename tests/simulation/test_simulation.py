"""Run a few thousand schedules, and by name the schedules that once found a bug."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.simulation.schedule import run, run_many

SCHEDULES = 2_000
PROCESSES = 2
# Each of these broke a promise before the remedy of a bug. A later change of the code may give a
# seed another schedule, in which the bug does not show; the remedies have tests or mutations too.
SEEDS = {
    "a commit without an answer is made again though nothing follows": 362,
    "a delete is noted for a cache that is away": 9_400_216,
    "a recall that neither log nor store took is not acknowledged": 9_400_113,
    "a row whose sender died unseen is shown before its repeat is answered": 1_017_919,
    "a delete without the cache hides the attempt that the cache alone has": 9_074_937,
    "a process that starts without the store believes no cache that may lack a delete": 9_041_474,
    "a repeat is not answered while nobody can tell whether its row was shown": 7_700_064,
    "a repeat is remembered that a cache alone has answered": 1_014_142,
    "a recall is told to the cache though the store is lost as well": 1_087_506,
    "a recall that was stored but not shown is shown by its repeat": 12_090,
    "a send waits for a cache that its process alone has lost": 1_061_397,
    "an attempt that was deleted is not shown under the id of its retry": 9_085_684,
    "an id that the lost cache alone had leads to the repeat that was stored": 4_000_801,
    "an id that the lost cache alone had leads to the repeat that is pending": 4_000_432,
    "a write to the cache goes on though the time of its send is over": 9_561_505,
    "the others heed a process that alone has lost the cache": 9_002_556,
    "the others heed a process that has not reached the cache since its start": 9_044_151,
    "the return of the store is noticed in time though a probe hangs": 9_200_051,
    "callers who have all gone away make no group": 1_000_392,
    "a process that starts after a loss looks up the sends that the cache has forgotten": 9_710_655,
    "a page of a process whose front door is not open yet is no page": 9_566_690,
    "a message that is accepted after a join is above the floor of a row of a later clock": 965,
    "a message that the store may have taken gets no other id below a floor": 2_699,
    "an answer from before a loss of the cache counts for nothing after it": 22_019,
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
    run(seed, report=steps.append)
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
