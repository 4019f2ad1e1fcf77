"""Start MariaDB, Redis and Kafka for one test with scripts/services; kill, freeze, restart them."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import MySQLdb
import psutil
import redis
from MySQLdb.connections import Connection
from MySQLdb.cursors import Cursor

from tests.support.processes import clean_environment, processes_of
from tests.support.real_services import ROOT, SERVICES_ENV, free_port

NAMES = ("mariadb", "redis", "kafka")
SCRIPT_TIMEOUT_S = 200.0
CALL_TIMEOUT_S = 10

# A killed broker may come back, and a dead consumer is noticed, within seconds.
KAFKA_PROPERTIES = """\
advertised.listeners=PLAINTEXT://127.0.0.1:{proxy_port}
broker.heartbeat.interval.ms=300
broker.session.timeout.ms=1500
group.min.session.timeout.ms=500
"""


class ServersFailed(Exception):
    """Report that scripts/services failed; the text is the end of the script's output."""


class Servers:
    """Run the three real services on given or free ports; clients connect to their proxies."""

    def __init__(
        self,
        var_dir: Path,
        *,
        ports: Mapping[str, int] | None = None,
        proxy_ports: Mapping[str, int] | None = None,
    ) -> None:
        self.home = var_dir / "services"
        taken: set[int] = set()
        self.ports = {name: _other_port(taken) for name in NAMES} | dict(ports or {})
        self.proxy_ports = {name: _other_port(taken) for name in NAMES} | dict(proxy_ports or {})
        self.environment = {
            **{f"{name.upper()}_PORT": str(port) for name, port in self.ports.items()},
            "KAFKA_PROPERTIES": KAFKA_PROPERTIES.format(proxy_port=self.proxy_ports["kafka"]),
            "JAVA_TOOL_OPTIONS": "-XX:TieredStopAtLevel=1",  # a broker that starts sooner
        }
        self._var_dir = var_dir
        (self.home / "kafka").mkdir(parents=True)
        jars = SERVICES_ENV.parent / "kafka" / "libs"
        if jars.exists():
            (self.home / "kafka" / "libs").symlink_to(jars)

    def start(self, *names: str) -> None:
        """Start these servers, or all, unless they run.

        Raises: ServersFailed.
        """
        self._script("start", *names)
        self._write_addresses()

    def stop(self, *names: str) -> None:
        """Stop these servers, frozen or not."""
        for name in names:
            self.thaw(name)
        self._script("stop", *names)

    def close(self) -> None:
        """Stop all servers, and kill every process of this rig that is left."""
        self.stop(*NAMES)
        for pid in processes_of(self._var_dir):
            os.kill(pid, signal.SIGKILL)

    def pid(self, name: str) -> int | None:
        """Return the pid of the server; None while the server does not run."""
        try:
            process = psutil.Process(int((self.home / name / "pid").read_text()))
            if str(self.home) in " ".join(process.cmdline()):
                return process.pid
        except (OSError, ValueError, psutil.Error):
            pass
        return None

    def kill(self, *names: str) -> None:
        """Send SIGKILL to all of these at once, and wait until they are gone."""
        processes = [psutil.Process(pid) for name in names if (pid := self.pid(name)) is not None]
        for process in processes:
            process.kill()
        for process in processes:
            process.wait(CALL_TIMEOUT_S)

    def freeze(self, name: str) -> None:
        """Stop the server with SIGSTOP: it holds its connections and does nothing, until `thaw`."""
        self._signal(name, signal.SIGSTOP)

    def thaw(self, name: str) -> None:
        self._signal(name, signal.SIGCONT)

    def _signal(self, name: str, number: int) -> None:
        if (pid := self.pid(name)) is not None:
            os.kill(pid, number)

    def mend(self, *names: str) -> None:
        """Thaw and start these servers, or all, so that they answer again."""
        for name in names or NAMES:
            self.thaw(name)
        if dead := [name for name in names or NAMES if self.pid(name) is None]:
            self.start(*dead)

    def redis(self) -> redis.Redis:
        """Return a client past the proxy."""
        return redis.Redis(port=self.ports["redis"], socket_timeout=CALL_TIMEOUT_S)

    def database(self) -> Connection:
        """Return a connection past the proxy, as the service's user; each read sees all commits."""
        password = (self.home / "mariadb" / "password").read_text().strip()
        return MySQLdb.connect(
            host="127.0.0.1",
            port=self.ports["mariadb"],
            user="im",
            passwd=password,
            db="im",
            charset="utf8mb4",
            autocommit=True,
            connect_timeout=CALL_TIMEOUT_S,
            read_timeout=CALL_TIMEOUT_S,
        )

    @contextlib.contextmanager
    def administrator(self) -> Iterator[Cursor]:
        """Open a cursor with more rights than the service's user, over the server's socket."""
        connection = MySQLdb.connect(
            unix_socket=str(self.home / "mariadb" / "data" / "mariadb.sock"),
            user="root",
            connect_timeout=CALL_TIMEOUT_S,
        )
        with contextlib.closing(connection):
            yield connection.cursor()

    def _script(self, command: str, *names: str) -> None:
        done = subprocess.run(
            [ROOT / "scripts" / "services", command, *names],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=SCRIPT_TIMEOUT_S,
            env=clean_environment(VAR_DIR=str(self._var_dir), **self.environment),
        )
        if done.returncode:
            raise ServersFailed(done.stdout[-2_000:])

    def _write_addresses(self) -> None:
        """Write the addresses for scripts/run: the proxies' ports in the place of the servers'."""
        env = self.home / "env"
        text = env.read_text()
        for name in NAMES:
            text = text.replace(f":{self.ports[name]}", f":{self.proxy_ports[name]}")
        env.write_text(text)


def _other_port(taken: set[int], choose: Callable[[], int] = free_port) -> int:
    """Return a free port that is none of these nor beside one, and add it to the taken ones."""
    while (port := choose()) in taken:
        pass
    taken |= {port - 1, port, port + 1}
    return port
