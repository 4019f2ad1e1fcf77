"""Serve the bare no-op (`bench.laps.noop`) as `scripts/run` serves the web."""

from __future__ import annotations

import contextlib
import socket
import subprocess
import sys
import time
from collections.abc import Iterator

HOST = "127.0.0.1"
WORKERS = 2  # as scripts/run starts
START_LIMIT_S = 20.0
STOP_LIMIT_S = 15.0


class NoopFailed(Exception):
    """Report that the no-op's server did not start."""


@contextlib.contextmanager
def serving(workers: int) -> Iterator[int]:
    """Serve the no-op until the end of the block, and yield its port.

    Raises: NoopFailed.
    """
    with socket.create_server((HOST, 0)) as probe:
        port: int = probe.getsockname()[1]
    command = [sys.executable, "-m", "granian", "--interface", "asgi", "--host", HOST]
    command += ["--port", str(port), "--workers", str(workers), "--loop", "uvloop"]
    command += ["--workers-kill-timeout", "10", "bench.laps.noop:application"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            _await(port, process)
            yield port
        finally:
            process.terminate()
            try:
                process.wait(STOP_LIMIT_S)
            except subprocess.TimeoutExpired:
                process.kill()


def _await(port: int, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + START_LIMIT_S
    while time.monotonic() < deadline and process.poll() is None:
        with contextlib.suppress(OSError), socket.create_connection((HOST, port), 1):
            return
        time.sleep(0.05)
    raise NoopFailed("the server of the bare no-op did not start")
