"""Test `scripts/run` as a newcomer meets it: its start, output, death, stop and second start."""

from __future__ import annotations

import fcntl
import http.client
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from tests.support.processes import (
    EMBEDDED,
    ServiceProcesses,
    clean_environment,
    processes_of,
    running_service,
    wait_until,
)
from tests.support.real_services import ROOT, connected, free_port

DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))
# Each test starts and stops a whole service, and bounds how long that takes.
pytestmark = [pytest.mark.acceptance, pytest.mark.alone, pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServiceProcesses]:
    with running_service(tmp_path_factory.mktemp("service") / "var") as service:
        yield service


@pytest.fixture
def stopped(tmp_path: Path) -> Iterator[ServiceProcesses]:
    """Make a service that is not started yet."""
    service = ServiceProcesses(tmp_path / "var")
    yield service
    service.clear()


def status_of(service: ServiceProcesses, path: str, token: str = "") -> int:
    request = urllib.request.Request(
        service.base_url + path, headers={"Authorization": f"Bearer {token}"} if token else {}
    )
    try:
        with DIRECT.open(request, timeout=10) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code
    except OSError:
        return 0


def history_status(service: ServiceProcesses, token: str = "") -> int:
    return status_of(service, "/api/message/history?targetId=1&chatType=1", token)


def test_the_banner_shows_tokens_that_work(service: ServiceProcesses) -> None:
    assert set(service.users) == {"alice", "bob"}
    assert history_status(service, service.users["bob"].token) == 200
    assert history_status(service) == 401


def test_each_line_is_prefixed_with_the_program_that_printed_it(service: ServiceProcesses) -> None:
    lines = service.output.splitlines()
    start = next(place for place, line in enumerate(lines) if line.startswith("supervisor"))
    banner = [place for place, line in enumerate(lines) if line.startswith("The message service")]
    end = next(place for place, line in enumerate(lines) if "stops it" in line)
    printed = [*lines[start : banner[0] - 1], *lines[end + 2 :]]
    names = "|".join((*EMBEDDED, "supervisor"))
    assert [line for line in printed if not re.match(rf"({names}) +\| ", line)] == []
    assert set(re.findall(r"^(\w+) +\|", service.output, re.MULTILINE)) >= {"redis", "web"}


@pytest.mark.parametrize("program", EMBEDDED)
def test_a_killed_program_is_started_again_and_leaves_nothing(
    service: ServiceProcesses, program: str
) -> None:
    killed = service.kill(program)
    service.await_restart(program, after=killed)
    wait_until(
        lambda: history_status(service, service.users["bob"].token) == 200,
        limit_s=30,
        what="history answers",
    )
    groups = {pid: Path(f"/proc/{pid}/stat").read_text() for pid in processes_of(service.var_dir)}
    left = [
        pid for pid, stat in groups.items() if int(stat.rpartition(")")[2].split()[2]) == killed
    ]
    assert left == []


def test_a_killed_web_worker_is_replaced(service: ServiceProcesses) -> None:
    main = service.pid("web")
    children = Path(f"/proc/{main}/task/{main}/children")
    before = set(children.read_text().split())
    victim = before.pop()
    os.kill(int(victim), signal.SIGKILL)
    wait_until(
        lambda: len(set(children.read_text().split()) - {victim}) > len(before),
        limit_s=30,
        what="a new worker",
    )
    assert service.pid("web") == main


def test_a_second_instance_needs_a_port_and_a_directory_alone(
    service: ServiceProcesses, tmp_path: Path
) -> None:
    with running_service(tmp_path / "var") as second:
        assert second.environment["IM_REDIS_URL"] != service.environment["IM_REDIS_URL"]
        assert history_status(second, second.users["bob"].token) == 200
        assert history_status(second, service.users["bob"].token) == 401, "its own keys"
    assert history_status(service, service.users["bob"].token) == 200


@pytest.mark.parametrize("command", ["FLUSHALL", "CONFIG GET *", "KEYS *", "SHUTDOWN"])
def test_its_redis_is_for_the_service_alone(service: ServiceProcesses, command: str) -> None:
    with redis.Redis.from_url(service.environment["IM_REDIS_URL"]) as client:
        port = client.connection_pool.connection_kwargs["port"]
        assert client.ping()
        with pytest.raises(redis.exceptions.NoPermissionError):
            client.execute_command(*command.split())
    with (
        redis.Redis(port=port) as stranger,
        pytest.raises(redis.AuthenticationError),
    ):
        stranger.get("msg:pending:bytes")
    for name in ("password", "users.acl"):
        assert (service.var_dir / "redis" / name).stat().st_mode & 0o077 == 0, name


def test_a_second_start_on_the_same_data_is_refused(service: ServiceProcesses) -> None:
    second = ServiceProcesses(service.var_dir)
    second.launch()
    assert second.await_exit() == 1
    assert "already running" in second.output


def test_a_taken_port_is_said_plainly(stopped: ServiceProcesses) -> None:
    with socket.create_server(("127.0.0.1", stopped.port)):
        stopped.launch()
        assert stopped.await_end() == 1
    assert f"port {stopped.port}" in stopped.output
    assert f"PORT={stopped.port + 1} scripts/run" in stopped.output


def test_runs_at_any_path_on_ipv6_and_past_a_proxy(tmp_path: Path) -> None:
    root = tmp_path / "o dd%(here)s" / "%s ü&'\"$(a);#\\"
    for part in ("imsite", "messaging", "bench", "scripts", "compose", "fixtures"):
        shutil.copytree(ROOT / part, root / part, ignore=shutil.ignore_patterns("__pycache__"))
    for path in (ROOT / "manage.py", *ROOT.glob("requirements*")):
        shutil.copy(path, root)
    (root / ".venv").symlink_to(Path(sys.prefix).resolve())
    nobody = f"http://127.0.0.1:{free_port()}"
    service = ServiceProcesses(
        root / "v ar%", root=root, HOST="::1", http_proxy=nobody, HTTP_PROXY=nobody
    )
    try:
        service.start()
        site = service.environment["IM_SITE_URL"]
        assert site == f"http://[::1]:{service.port}"
        client = http.client.HTTPConnection("::1", service.port, timeout=10)
        client.request("GET", "/api/health", headers={"Connection": "close"})
        assert client.getresponse().status == 200
        asked = subprocess.run(
            [sys.executable, root / "manage.py", "bench", "--help"],
            env=clean_environment(**service.environment),
            capture_output=True,
            check=True,
            text=True,
            timeout=60,
        ).stdout
        assert site in asked, "the command asks the site whose env was sourced"
        assert service.stop() == 0
    finally:
        service.clear()


@pytest.mark.parametrize("host", ["nobody.invalid", "192.0.2.1", "fe80::1%lo"])
def test_a_host_that_is_not_of_this_machine_is_refused_at_once(tmp_path: Path, host: str) -> None:
    service = ServiceProcesses(tmp_path / "var", HOST=host)
    service.launch()
    assert service.await_end() == 1
    assert f"HOST={host} is no name and no address of this machine" in service.output


def test_sigterm_stops_everything_and_a_second_start_finds_its_data(
    stopped: ServiceProcesses,
) -> None:
    stopped.start()
    token = stopped.users["alice"].token
    with redis.Redis.from_url(stopped.environment["IM_REDIS_URL"]) as client:
        client.set("kept", "yes")
    assert stopped.stop() == 0
    assert "stopped: redis (exit status 0)" in stopped.output
    order = re.findall(r"stopped: (\w+) \(", stopped.output)
    assert order == ["exporter", "web", "beat", "worker", "consumer", "redis", "orphans"]

    stopped.start()
    with redis.Redis.from_url(stopped.environment["IM_REDIS_URL"]) as client:
        assert client.get("kept") == b"yes"
    assert stopped.users["alice"].token != token
    assert history_status(stopped, token) == 200, "the key and the user are the same"
    stopped.press_ctrl_c()
    assert stopped.await_end() == 0


def test_ctrl_c_stops_a_service_that_a_script_has_started_in_the_background(
    stopped: ServiceProcesses,
) -> None:
    stopped.launch(in_background=True)
    wait_until(lambda: status_of(stopped, "/api/health") == 200, limit_s=120, what="it answers")
    stopped.press_ctrl_c()
    assert stopped.await_end() == 0
    assert "run: stopped\n" in stopped.output


def test_a_terminal_that_is_not_read_holds_up_neither_the_service_nor_its_end(
    stopped: ServiceProcesses,
) -> None:
    reader, writer = os.pipe()
    fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, 4_096)
    try:
        stopped.launch(writer)
        wait_until(lambda: status_of(stopped, "/api/health") == 200, limit_s=120, what="it answers")
        assert stopped.stop() == 0
    finally:
        os.close(writer)
        os.close(reader)


@pytest.mark.connected
def test_full_runs_on_the_real_services(tmp_path: Path) -> None:
    expected = {name: connected(name) for name in ("IM_DATABASE_URL", "IM_EVENT_LOG_URL")}
    with running_service(tmp_path / "var", "full") as full:
        assert expected.items() <= full.environment.items()
        assert "MariaDB, Redis, Kafka" in full.output
        assert full.pid("redis") == 0
        assert history_status(full, full.users["bob"].token) == 200


def test_nothing_goes_on_without_supervisord(stopped: ServiceProcesses) -> None:
    stopped.start()
    supervisord = int((stopped.var_dir / "run" / "supervisord.pid").read_text())
    os.kill(supervisord, signal.SIGKILL)
    assert stopped.await_end() == 1


def test_nothing_goes_on_when_the_script_itself_is_killed(stopped: ServiceProcesses) -> None:
    stopped.start()
    stopped.send_signal(signal.SIGKILL)
    wait_until(
        lambda: all("merge_output" in line for line in processes_of(stopped.var_dir).values()),
        limit_s=60,
        what="the programs have ended",
    )
    assert "stopped: redis (exit status 0)" in stopped.output
