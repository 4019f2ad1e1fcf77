"""Run each fault once, in its short form: nothing may be lost, doubled, altered or shown again.

`python -m tests.faults` runs the same faults for longer and with other seeds.
"""

from __future__ import annotations

import pytest

from tests.faults.result import FaultResult, explain
from tests.faults.rig import Rig
from tests.faults.rows import FAULTS
from tests.faults.run import run

pytestmark = [pytest.mark.faults, pytest.mark.connected, pytest.mark.timeout(300)]
SEED = 1
ALWAYS = (
    "redis-killed",
    "redis-rewound",
    "kafka-killed",
    "mariadb-killed",
    "redis+kafka-killed",
    "all-killed",
    "swizzle",
    "web-killed",
    "abuse-bodies",
)
"""Name one row for each thing that can break; the other rows are variants, and long."""


@pytest.mark.parametrize(
    "name",
    [name if name in ALWAYS else pytest.param(name, marks=pytest.mark.long) for name in FAULTS],
)
def test_every_message_is_accounted_for(rig: Rig, results: list[FaultResult], name: str) -> None:
    fault = FAULTS[name]
    result = run(rig, fault, seed=SEED, hold_s=fault.hold_s, report=lambda _: None)
    results.append(result)
    assert not result.violations, "\n".join(explain([result]))
