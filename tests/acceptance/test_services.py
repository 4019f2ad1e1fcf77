"""Test `scripts/services` on ports and data of its own, beside the services of other tests."""

from __future__ import annotations

import os
import re
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.processes import clean_environment, processes_of
from tests.support.real_services import ROOT, connected, free_port

pytestmark = [
    pytest.mark.acceptance,
    pytest.mark.connected,
    pytest.mark.timeout(300),
]
NAMES = ("mariadb", "redis", "kafka")


class Services:
    """Run scripts/services with a `VAR_DIR` and ports of its own."""

    def __init__(self, var_dir: Path) -> None:
        self.var_dir = var_dir
        kafka_port = free_port()
        self.environment = clean_environment(
            VAR_DIR=str(var_dir),
            MARIADB_PORT=str(free_port()),
            REDIS_PORT=str(free_port()),
            KAFKA_PORT=str(kafka_port),
        )

    def __call__(self, *command: str, **variables: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [ROOT / "scripts" / "services", *command],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=200,
            env=self.environment | variables,
        )

    def pids(self) -> dict[str, int]:
        """Return by name the pids of the services that `status` reports as up."""
        found = re.findall(r"^(\w+): up on .*, pid (\d+)$", self("status").stdout, re.MULTILINE)
        return {name: int(pid) for name, pid in found}

    def addresses(self) -> str:
        return (self.var_dir / "services" / "env").read_text()


@pytest.fixture(scope="module")
def services(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Services]:
    """Start the services once; skip where the common services are not started."""
    connected("IM_DATABASE_URL")
    services = Services(tmp_path_factory.mktemp("services") / "var")
    try:
        started = services("start")
        assert started.returncode == 0, started.stderr
        yield services
    finally:
        stopped = services("stop")
        assert stopped.returncode == 0, stopped.stderr
        assert processes_of(services.var_dir) == {}


def test_all_three_are_up_and_their_addresses_written(services: Services) -> None:
    assert set(services.pids()) == set(NAMES)
    assert services("status").returncode == 0
    lines = services.addresses().splitlines()
    assert [line.partition("=")[0] for line in lines] == [
        "export IM_DATABASE_URL",
        "export IM_REDIS_URL",
        "export IM_CELERY_BROKER_URL",
        "export IM_EVENT_LOG_URL",
    ]


def test_status_asks_the_running_ones_whatever_ports_its_shell_names(services: Services) -> None:
    others = {f"{name.upper()}_PORT": str(free_port()) for name in NAMES}
    told = services("status", **others)
    assert (told.returncode, told.stdout) == (0, services("status").stdout)


def test_topics_are_made_without_a_driver_of_the_database(
    services: Services, tmp_path: Path
) -> None:
    """`scripts/run` installs no driver, and the services may be started after `scripts/run`."""
    (tmp_path / "MySQLdb.py").write_text("raise ImportError\n")
    made = services("topics", PYTHONPATH=str(tmp_path))
    assert made.returncode == 0, made.stderr
    assert "im-message-private: " in made.stderr


def test_a_second_start_changes_nothing_whatever_ports_its_shell_names(services: Services) -> None:
    before, addresses = services.pids(), services.addresses()
    others = {f"{name.upper()}_PORT": str(free_port()) for name in NAMES}
    assert services("start", **others).returncode == 0
    assert services.pids() == before
    assert services.addresses() == addresses


def test_a_server_starts_on_its_last_port_in_a_shell_that_names_none(services: Services) -> None:
    """A remedy of the doctor is typed in such a shell."""
    addresses = services.addresses()
    assert services("stop", "redis").returncode == 0
    nameless = dict.fromkeys((f"{name.upper()}_PORT" for name in NAMES), "")
    started = services("start", "redis", **nameless)
    assert started.returncode == 0, started.stderr
    assert f"redis: up on 127.0.0.1:{services.environment['REDIS_PORT']}" in started.stderr
    assert services.addresses() == addresses
    assert set(services.pids()) == set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_only_the_one_that_died_is_started_again(services: Services, name: str) -> None:
    before = services.pids()
    os.kill(before[name], signal.SIGKILL)
    down = services("status")
    assert down.returncode == 3
    assert f"{name}: down" in down.stdout
    started = services("start")
    assert started.returncode == 0, started.stderr
    after = services.pids()
    assert after.pop(name) != before.pop(name)
    assert after == before


def test_one_is_stopped_and_started_by_its_name(services: Services) -> None:
    before = services.pids()
    assert services("stop", "redis").returncode == 0
    assert set(services.pids()) == {"mariadb", "kafka"}
    assert services("status", "mariadb").returncode == 0
    assert services("start", "kafka").returncode == 0
    assert set(services.pids()) == {"mariadb", "kafka"}
    assert services("start", "redis").returncode == 0
    assert services.pids().keys() == before.keys()


def test_a_name_that_is_none_is_refused(services: Services) -> None:
    refused = services("stop", "reddis")
    assert refused.returncode == 1
    assert "no service reddis" in refused.stderr
    assert set(services.pids()) == set(NAMES)


def test_a_password_is_for_its_owner_alone(services: Services) -> None:
    for name in ("env", "mariadb/password", "mariadb/client.cnf", "mariadb/accounts.sql"):
        assert (services.var_dir / "services" / name).stat().st_mode & 0o077 == 0, name


@pytest.mark.skipif(os.geteuid() != 0, reason="only root could run it as root")
def test_the_database_does_not_run_as_root(services: Services) -> None:
    status = Path(f"/proc/{services.pids()['mariadb']}/status").read_text()
    uids = re.search(r"^Uid:\s+(\d+)\s+(\d+)", status, re.MULTILINE)
    assert uids
    assert "0" not in uids.groups()


def test_a_port_of_another_program_is_said_plainly(services: Services, tmp_path: Path) -> None:
    port = services.environment["REDIS_PORT"]
    refused = services("start", VAR_DIR=str(tmp_path / "var"), MARIADB_PORT=port)
    assert refused.returncode == 1
    assert f"port {port} is taken" in refused.stderr
    assert "MARIADB_PORT=" in refused.stderr
