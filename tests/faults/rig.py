"""Run the stack under test: three real services behind proxies, and `scripts/run full` on them."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import signal
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import psutil

from tests.support.processes import ServiceProcesses
from tests.support.proxy import Proxy
from tests.support.servers import Servers
from tests.support.site import Site

PEOPLE = 4
TOPIC, DEAD_LETTER_TOPIC, GROUP = "im-faults", "im-faults-dead-letter", "im-faults"
SETTINGS = {
    "IM_TOPIC": TOPIC,
    "IM_DEAD_LETTER_TOPIC": DEAD_LETTER_TOPIC,
    "IM_CONSUMER_GROUP": GROUP,
    "IM_COMPENSATE_EVERY_S": "1",
    "IM_COMPENSATE_AFTER_S": "2",
    "IM_COMPENSATE_BUDGET_S": "1",
    "IM_ACCESS_TOKEN_MINUTES": "1440",
    "WEB_WORKERS": "2",
    "CONSUMER_WORKERS": "2",
}
MAKE_CASTS = """\
import json
from bench.laps.accounts import make_pairs
from bench.laps.group_rows import insert_group
casts = []
people = make_pairs({run!r}, {count} * ({size} + 1))
for start in range(0, len(people), {size} + 1):
    *cast, guest = people[start : start + {size} + 1]
    group = insert_group({run!r}, [person.user_id for person in cast])
    tokens = [(person.user_id, person.token) for person in cast]
    casts.append((tokens, group, guest.user_id, guest.token))
print(json.dumps(casts))
"""


@dataclass(frozen=True, slots=True)
class Cast:
    """Hold four people who have never written to anybody, a group of them all, and a guest.

    The first of the people owns the group. The guest belongs to the group at times.
    """

    tokens: Mapping[int, str]  # by user id
    group: int
    guest: int
    guest_token: str

    @property
    def owner(self) -> int:
        return next(iter(self.tokens))


@dataclass(slots=True)
class Rig:
    """Hold the parts that a row breaks and mends, and that its load uses."""

    servers: Servers
    proxies: Mapping[str, Proxy]
    service: ServiceProcesses
    directory: Path
    _casts: list[Cast]
    note: Callable[..., None] = lambda *_: None
    """Add a mark, with a figure if there is one, to the transcript of the run."""

    def take_cast(self) -> Cast:
        if not self._casts:
            self._casts = _make_casts(self.service, 20)
        return self._casts.pop()

    def log_lines(self, action: str) -> list[str]:
        """Return the lines that the service's processes have logged under this action so far."""
        path = Path(self.service.environment["LOG_DIR"]) / "im-message.log"
        with path.open(errors="replace") as lines:
            return [line for line in lines if f" {action} " in line]

    def workers(self, program: str) -> list[int]:
        """Return the pids of the processes that do the work of `web` or `consumer`."""
        try:
            return [child.pid for child in psutil.Process(self.service.pid(program)).children()]
        except psutil.Error:
            return []

    def signal_workers(self, program: str, number: int) -> None:
        for pid in self.workers(program):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)

    def web_memory_bytes(self) -> int:
        """Return the resident memory of the web's processes together."""
        return sum(psutil.Process(pid).memory_info().rss for pid in self.workers("web"))

    def restart(self, program: str) -> None:
        """Stop the program as supervisord does, and start it again."""
        with self.service.supervisor() as supervisor:
            supervisor.stopProcess(program)
            supervisor.startProcess(program)

    def mend(self) -> None:
        """Undo everything that a row may have broken.

        No process of the service is started.
        """
        for proxy in self.proxies.values():
            proxy.heal()
        self.servers.mend()
        for program in ("web", "consumer"):
            self.signal_workers(program, signal.SIGCONT)


@contextlib.contextmanager
def running_rig(directory: Path, **variables: str) -> Iterator[Rig]:
    """Start the rig with people; at the end nothing is left running.

    `variables`: settings in place of those of SETTINGS.

    Raises: ServersFailed.
    """
    servers = Servers(directory / "servers")
    proxies = {
        name: Proxy(f"tcp://127.0.0.1:{port}", port=servers.proxy_ports[name])
        for name, port in servers.ports.items()
    }
    var_dir = directory / "service"
    var_dir.mkdir()
    (var_dir / "services").symlink_to(servers.home, target_is_directory=True)
    service = ServiceProcesses(var_dir, "full", **(SETTINGS | variables), **servers.environment)
    try:
        servers.start()
        service.start()
        yield Rig(servers, proxies, service, directory, _make_casts(service, 60))
    finally:
        for proxy in proxies.values():
            proxy.heal()
        service.clear()
        servers.close()
        for proxy in proxies.values():
            proxy.close()


def _make_casts(service: ServiceProcesses, count: int) -> list[Cast]:
    run = secrets.token_hex(4)
    script = MAKE_CASTS.format(run=run, count=count, size=PEOPLE)
    printed = Site(service).manage("shell", "--verbosity", "0", "--command", script)
    (made,) = (line for line in printed.splitlines() if line.startswith("[["))  # not a log line
    return [Cast(dict(people), *others) for people, *others in json.loads(made)]
