"""Start one rig for all faults of a test run, and print their table at the end."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.faults.result import FaultResult, notes, table
from tests.faults.rig import Rig, running_rig
from tests.support.real_services import connected

RESULTS = pytest.StashKey[list[FaultResult]]()


@pytest.fixture(scope="session")
def rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    """Start the rig; skip where the common services are not started."""
    connected("IM_DATABASE_URL")
    with running_rig(tmp_path_factory.mktemp("faults")) as rig:
        yield rig


@pytest.fixture
def results(pytestconfig: pytest.Config) -> list[FaultResult]:
    return pytestconfig.stash.setdefault(RESULTS, [])


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    if results := config.stash.get(RESULTS, None):
        terminalreporter.section("faults")
        for line in (*table(results), *notes(results)):
            terminalreporter.write_line(line)
