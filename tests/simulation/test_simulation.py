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
ROOT = Path(__file__).parents[2]


@pytest.mark.timeout(600)
def test_every_schedule_keeps_every_promise() -> None:
    *_, (done, failures) = run_many(range(SCHEDULES), processes=PROCESSES)
    assert done == SCHEDULES
    told = [f"--replay {f.seed}: {f.violations[0].kind}" for f in failures]
    assert told == []


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
