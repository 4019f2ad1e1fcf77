"""Run the whole service as a person starts it: `scripts/run` with data and a port of its own.

For the acceptance tests. The scripts alone start processes. The processes are found by the
`VAR_DIR` in their environment, so that a process left behind is found as well.
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import time
import xmlrpc.client
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from supervisor.xmlrpc import SupervisorTransport

from tests.support.real_services import ROOT, SERVICES_ENV, free_port

START_TIMEOUT_S = 120
STOP_TIMEOUT_S = 60
EMBEDDED = ("redis", "consumer", "worker", "beat", "web", "exporter")


@dataclass(frozen=True, slots=True)
class DemoUser:
    id: str
    token: str


def wait_until(met: Callable[[], bool], *, limit_s: float, what: str) -> None:
    """Return as soon as the condition is met.

    Raises: AssertionError at the limit.
    """
    deadline = time.monotonic() + limit_s
    while not met():
        assert time.monotonic() < deadline, f"{what}: not within {limit_s:.0f} s"
        time.sleep(0.1)


@contextlib.contextmanager
def frozen(pid: int) -> Iterator[None]:
    """Let a process stand still during the block."""
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def clean_environment(**variables: str) -> dict[str, str]:
    """Return this process's environment without the project's settings, plus the given ones."""
    ours = ("IM_", "GRANIAN_")
    names = (
        "VAR_DIR",
        "LOG_DIR",
        "PORT",
        "EXPORTER_PORT",
        "HOST",
        "WEB_WORKERS",
        "DJANGO_SETTINGS_MODULE",
    )
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(ours) and name not in names
    }
    return kept | variables


def processes_of(var_dir: Path) -> dict[int, str]:
    """Return by pid the command lines of the processes with this `VAR_DIR`."""
    mark = f"VAR_DIR={var_dir}".encode()
    found = {}
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if mark in (process / "environ").read_bytes().split(b"\0"):
                command = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode()
                if command:  # a zombie has none
                    found[int(process.name)] = command
    return found


class ServiceProcesses:
    """Run one `scripts/run` with these settings.

    `users` and `pid` can be used once the service is ready.
    """

    def __init__(
        self,
        var_dir: Path,
        *arguments: str,
        port: int | None = None,
        root: Path = ROOT,
        **variables: str,
    ) -> None:
        self.var_dir = var_dir
        self._root = root
        self.port = port or free_port()
        self.base_url = f"http://127.0.0.1:{self.port}"
        self._arguments = arguments
        self._variables = {"IM_REGISTER_PER_HOUR": "0"} | variables  # users for many tests
        self._output = var_dir.with_name(f"output-{self.port}")
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start the service and wait until its banner says that it answers."""
        self.launch()
        wait_until(self._is_ready, limit_s=START_TIMEOUT_S, what="the service answers")

    def launch(self, stdout: int | None = None, *, in_background: bool = False) -> None:
        """Start the service; its output goes to this descriptor, else to the file of `output`.

        `in_background`: Ctrl-C is ignored, as for a command that a script starts with `&`.
        """
        ports = {"PORT": str(self.port), "EXPORTER_PORT": str(self.port + 1)}
        environment = clean_environment(VAR_DIR=str(self.var_dir), **ports | self._variables)
        signals = ("env", f"--{'ignore' if in_background else 'default'}-signal=INT")
        self._output.parent.mkdir(parents=True, exist_ok=True)
        with self._output.open("wb") as output:
            self._process = subprocess.Popen(
                [*signals, self._root / "scripts" / "run", *self._arguments],
                stdin=subprocess.DEVNULL,
                stdout=output if stdout is None else stdout,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                env=environment,
            )

    def _is_ready(self) -> bool:
        assert self._running.poll() is None, f"it ended while starting:\n{self.output[-4_000:]}"
        return "stops it" in self.output

    @property
    def _running(self) -> subprocess.Popen[bytes]:
        assert self._process is not None, "not started"
        return self._process

    @property
    def output(self) -> str:
        """Return everything that the service has printed since its start."""
        return self._output.read_text(errors="replace")

    @property
    def users(self) -> Mapping[str, DemoUser]:
        """Return `alice` and `bob` as the banner shows them."""
        ids = dict(re.findall(r"(alice|bob) \(id (\d+)\)", self.output))
        tokens = dict(re.findall(r"^(ALICE|BOB)=(\S+)$", self.output, re.MULTILINE))
        return {name: DemoUser(ids[name], tokens[name.upper()]) for name in ids}

    @property
    def environment(self) -> dict[str, str]:
        """Return the addresses of the service, for `manage.py` and for clients of the tests."""
        sourced = subprocess.run(
            ["bash", "-c", 'source "$1" && env -0', "bash", self.var_dir / "env"],
            env={},
            capture_output=True,
            check=True,
            text=True,
        ).stdout
        written = dict(each.split("=", 1) for each in sourced.split("\0") if each)
        for name in ("PWD", "SHLVL", "_"):  # of bash itself
            written.pop(name, None)
        return written | self._variables

    @contextlib.contextmanager
    def supervisor(self) -> Iterator[Any]:
        """Open supervisord's interface: `getProcessInfo`, `stopProcess` and so on."""
        config = (self.var_dir / "run" / "supervisord.conf").read_text()
        (address,) = re.findall(r"^serverurl=(\S+)$", config, re.MULTILINE)
        transport = SupervisorTransport(serverurl=address)
        with xmlrpc.client.ServerProxy("http://127.0.0.1", transport=transport) as proxy:
            yield proxy.supervisor

    def pid(self, program: str) -> int:
        """Return the pid of a program under supervision; 0 while the program is not running."""
        with contextlib.suppress(OSError, xmlrpc.client.Fault), self.supervisor() as supervisor:
            return int(supervisor.getProcessInfo(program)["pid"])
        return 0

    def kill(self, program: str) -> int:
        """Send SIGKILL to the program's main process, and return the pid of that process."""
        pid = self.pid(program)
        assert pid, f"{program} is not running"
        os.kill(pid, signal.SIGKILL)
        return pid

    def await_restart(self, program: str, *, after: int) -> int:
        """Wait for the program that replaces the one with pid `after`, and return the new pid."""
        wait_until(lambda: self.pid(program) not in (0, after), limit_s=20, what=f"a new {program}")
        return self.pid(program)

    def send_signal(self, number: int) -> None:
        """Signal scripts/run alone, as `kill` does."""
        self._running.send_signal(number)

    def press_ctrl_c(self) -> None:
        """Send SIGINT to the whole process group, as a terminal does."""
        os.killpg(self._running.pid, signal.SIGINT)

    def await_exit(self) -> int:
        """Return the exit status of scripts/run itself."""
        return self._running.wait(STOP_TIMEOUT_S)

    def await_end(self) -> int:
        """Return the exit status, once every process of the service is gone as well."""
        status = self.await_exit()
        wait_until(lambda: not processes_of(self.var_dir), limit_s=30, what="everything has ended")
        return status

    def stop(self) -> int:
        """Send SIGTERM, and return the exit status.

        Raises: AssertionError when a process is left behind.
        """
        self.send_signal(signal.SIGTERM)
        return self.await_end()

    def clear(self) -> None:
        """Kill every process of the service. Safe to repeat."""
        if self._process is not None and self._process.poll() is None:
            self._process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(STOP_TIMEOUT_S)
        for pid in processes_of(self.var_dir):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


def choose_redis_port(var_dir: Path) -> None:
    """Give the embedded Redis of this data a free port, as if Redis had run on that port before.

    Two services that start at the same moment would both find the usual port free.
    """
    kept = var_dir / "redis" / "port"
    kept.parent.mkdir(parents=True)
    kept.write_text(f"{free_port()}\n")


@contextlib.contextmanager
def running_service(var_dir: Path, *arguments: str, **variables: str) -> Iterator[ServiceProcesses]:
    """Run `scripts/run`, or with `full` on the services of scripts/services; stopped at the end."""
    if "full" in arguments:
        var_dir.mkdir(parents=True, exist_ok=True)
        (var_dir / "services").symlink_to(SERVICES_ENV.parent, target_is_directory=True)
    service = ServiceProcesses(var_dir, *arguments, **variables)
    try:
        service.start()
        yield service
        assert service.stop() == 0
    finally:
        service.clear()
