"""The whole service as a person starts it: `scripts/run` with its own data and port.

For the acceptance tests. Nothing is started but by the scripts, and what they started is looked
for by the `VAR_DIR` in its environment, so that a process that got away is found.
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
EMBEDDED = ("redis", "consumer", "worker", "beat", "web")


@dataclass(frozen=True, slots=True)
class DemoUser:
    id: str
    token: str


def wait_until(met: Callable[[], bool], *, limit_s: float, what: str) -> None:
    """Return as soon as the condition is met; raises AssertionError at the limit."""
    deadline = time.monotonic() + limit_s
    while not met():
        assert time.monotonic() < deadline, f"{what}: not within {limit_s:.0f} s"
        time.sleep(0.1)


def clean_environment(**variables: str) -> dict[str, str]:
    """This process's environment without settings of ours, plus the given ones."""
    ours = ("IM_", "GRANIAN_")
    names = ("VAR_DIR", "LOG_DIR", "PORT", "HOST", "WEB_WORKERS", "DJANGO_SETTINGS_MODULE")
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(ours) and name not in names
    }
    return kept | variables


def processes_of(var_dir: Path) -> dict[int, str]:
    """The command lines, by pid, of what runs with this `VAR_DIR`."""
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
    """One `scripts/run` with these settings; `base_url`, `users` and `pid` are there once ready."""

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
        """Start it and wait until it says that it answers."""
        self.launch()
        wait_until(self._is_ready, limit_s=START_TIMEOUT_S, what="the service answers")

    def launch(self, stdout: int | None = None) -> None:
        """Start it, with its output into the file that `output` reads or into this descriptor."""
        environment = clean_environment(
            VAR_DIR=str(self.var_dir), PORT=str(self.port), **self._variables
        )
        self._output.parent.mkdir(parents=True, exist_ok=True)
        with self._output.open("wb") as output:
            self._process = subprocess.Popen(
                [self._root / "scripts" / "run", *self._arguments],
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
        """Everything it has printed since it was started."""
        return self._output.read_text(errors="replace")

    @property
    def users(self) -> Mapping[str, DemoUser]:
        """`alice` and `bob`, as the banner shows them."""
        ids = dict(re.findall(r"(alice|bob) \(id (\d+)\)", self.output))
        tokens = dict(re.findall(r"^(ALICE|BOB)=(\S+)$", self.output, re.MULTILINE))
        return {name: DemoUser(ids[name], tokens[name.upper()]) for name in ids}

    @property
    def environment(self) -> dict[str, str]:
        """The addresses that it runs with, for `manage.py` and for clients of the tests."""
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
        """The calls that supervisord takes: `getProcessInfo`, `stopProcess` and so on."""
        config = (self.var_dir / "run" / "supervisord.conf").read_text()
        (address,) = re.findall(r"^serverurl=(\S+)$", config, re.MULTILINE)
        transport = SupervisorTransport(serverurl=address)
        with xmlrpc.client.ServerProxy("http://127.0.0.1", transport=transport) as proxy:
            yield proxy.supervisor

    def pid(self, program: str) -> int:
        """The pid of a program under supervision; 0 while it is not running."""
        with contextlib.suppress(OSError, xmlrpc.client.Fault), self.supervisor() as supervisor:
            return int(supervisor.getProcessInfo(program)["pid"])
        return 0

    def kill(self, program: str) -> int:
        """SIGKILL the program's main process; returns the pid it had."""
        pid = self.pid(program)
        assert pid, f"{program} is not running"
        os.kill(pid, signal.SIGKILL)
        return pid

    def await_restart(self, program: str, *, after: int) -> int:
        """The pid of the program that replaced the one with pid `after`."""
        wait_until(lambda: self.pid(program) not in (0, after), limit_s=20, what=f"a new {program}")
        return self.pid(program)

    def send_signal(self, number: int) -> None:
        """Signal scripts/run alone, as `kill` does."""
        self._running.send_signal(number)

    def press_ctrl_c(self) -> None:
        """SIGINT to the whole process group, as a terminal does."""
        os.killpg(self._running.pid, signal.SIGINT)

    def await_exit(self) -> int:
        """The exit status of scripts/run itself."""
        return self._running.wait(STOP_TIMEOUT_S)

    def await_end(self) -> int:
        """Its exit status, once everything that it started is gone as well."""
        status = self.await_exit()
        wait_until(lambda: not processes_of(self.var_dir), limit_s=30, what="everything has ended")
        return status

    def stop(self) -> int:
        """SIGTERM; returns the exit status. A process left behind fails the test."""
        self.send_signal(signal.SIGTERM)
        return self.await_end()

    def clear(self) -> None:
        """Leave nothing running, whatever has happened."""
        if self._process is not None and self._process.poll() is None:
            self._process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(STOP_TIMEOUT_S)
        for pid in processes_of(self.var_dir):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


def choose_redis_port(var_dir: Path) -> None:
    """Give the embedded Redis of this data a free port, as if it had run there before.

    Two services that start at the same moment would both find the usual port free.
    """
    kept = var_dir / "redis" / "port"
    kept.parent.mkdir(parents=True)
    kept.write_text(f"{free_port()}\n")


@contextlib.contextmanager
def running_service(var_dir: Path, *arguments: str, **variables: str) -> Iterator[ServiceProcesses]:
    """`scripts/run`, or with `full` on what scripts/services has started; stopped at the end."""
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
