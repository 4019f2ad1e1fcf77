"""Control a load process from its parent."""

from __future__ import annotations

import json
import subprocess
import sys
from contextlib import suppress
from threading import Event, Thread
from typing import Any, TextIO, cast

from bench.load.process import Job

LIMIT_S = 30.0  # for acts that should take no time: to start, to end once the load is over


class LoadFailed(Exception):
    """Report a load process that ended without an outcome, or did not start or end in time."""


class LoadChild:
    """Hold a load process, and its last report."""

    def __init__(self, job: Job) -> None:
        self._said: dict[str, Any] = {}
        self._is_ready = Event()
        self._process = subprocess.Popen(
            [sys.executable, "-m", "bench.load.process"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._reader = Thread(target=self._read, daemon=True)
        self._reader.start()
        self._tell(job.as_json())

    @property
    def is_running(self) -> bool:
        return self._reader.is_alive()

    @property
    def told(self) -> tuple[int, int]:
        """Return the counts of answered and of failed requests in the process's last report."""
        errors = self._said.get("errors", 0)
        return self._said.get("answered", 0), errors if isinstance(errors, int) else sum(
            errors.values()
        )

    def await_ready(self) -> None:
        if not self._is_ready.wait(LIMIT_S):
            raise LoadFailed("a load process did not start in time")

    def start(self, start_ns: int) -> None:
        self._tell(str(start_ns))

    def wait(self, timeout_s: float) -> None:
        self._reader.join(timeout_s)

    def end(self) -> None:
        """Kill the process unless it has ended by itself."""
        if self.is_running:
            self._process.kill()
        self._process.wait()
        self._reader.join()
        with suppress(BrokenPipeError):
            cast(TextIO, self._process.stdin).close()

    def outcome(self) -> dict[str, Any]:
        if "measured" not in self._said:
            raise LoadFailed("a load process ended without an outcome; its own words are above")
        return self._said

    def _tell(self, line: str) -> None:
        """Write a line to the process.

        A line to a process that has died is lost, as the outcome of the process is.
        """
        stdin = cast(TextIO, self._process.stdin)
        with suppress(BrokenPipeError):
            stdin.write(line + "\n")
            stdin.flush()

    def _read(self) -> None:
        with cast(TextIO, self._process.stdout) as stdout:
            for line in stdout:
                self._said = json.loads(line)
                self._is_ready.set()
        self._is_ready.set()
