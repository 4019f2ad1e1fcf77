"""Write the snapshot of this process each second, from a thread beside the event loop.

A loop that stands still is told by the snapshot: the thread goes on writing, with the loop's age.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import secrets
import threading
import time
from pathlib import Path

from messaging.metrics import catalogue, snapshot
from messaging.metrics.snapshot import SUFFIX
from messaging.metrics.usage import usage

logger = logging.getLogger(__name__)

WRITE_EVERY_S = 1.0
BEAT_EVERY_S = 0.25
END_TIMEOUT_S = 2.0  # a stalled disk may not hold up the end of a process
FORGOTTEN_AFTER_S = 86_400.0  # a snapshot that no exporter has taken for a day


class SnapshotWriter:
    """Write the counts of this process to a folder from `start` until `close`.

    Belongs to one event loop, whose delay it counts. `role` is one of `catalogue.ROLES`.
    """

    def __init__(self, folder: Path, *, role: str, release: str) -> None:
        self._folder = folder
        self._role = role
        self._release = release
        self._started_ms = round(time.time() * 1000)
        self._path = folder / (
            f"{role}.{os.getpid()}.{self._started_ms}.{secrets.token_hex(4)}{SUFFIX}"
        )
        self._over = threading.Event()
        self._thread: threading.Thread | None = None
        self._beats: asyncio.Task[None] | None = None
        self._beat_s = time.monotonic()
        self._is_failing = False

    def start(self) -> None:
        """Begin to measure the loop's delay and to write; a second call does nothing."""
        if self._thread is not None:
            return
        catalogue.starts.add()
        catalogue.memory_bytes.read = lambda: {(): usage().memory_bytes}
        catalogue.cpu_seconds.read = lambda: {(): usage().cpu_seconds}
        self._beats = asyncio.create_task(self._keep_beating())
        self._thread = threading.Thread(target=self._keep_writing, name="metrics", daemon=True)
        self._thread.start()

    async def close(self) -> None:
        """Write the final snapshot, and end the thread. Safe to repeat."""
        if self._thread is None:
            return
        self._over.set()
        await asyncio.to_thread(self._thread.join, END_TIMEOUT_S)
        if self._beats is not None:
            self._beats.cancel()
            await asyncio.wait([self._beats])
        self._thread = self._beats = None

    async def _keep_beating(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            due_s = loop.time() + BEAT_EVERY_S
            await asyncio.sleep(BEAT_EVERY_S)
            catalogue.loop_delay_seconds.observe(max(0.0, loop.time() - due_s))
            self._beat_s = time.monotonic()

    def _keep_writing(self) -> None:
        self._forget_old()
        while not self._over.wait(WRITE_EVERY_S):
            self._write(is_over=False)
        self._write(is_over=True)

    def _write(self, *, is_over: bool) -> None:
        """Write a snapshot; log the first of a row of failures."""
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            taken = snapshot.take(
                role=self._role,
                release=self._release,
                started_ms=self._started_ms,
                loop_age_s=round(time.monotonic() - self._beat_s, 3),
                is_over=is_over,
            )
            snapshot.write(taken, self._path)
        except OSError as error:
            if not self._is_failing:
                logger.warning(
                    "the counts of this process cannot be written; trying again",
                    extra={"action": "metrics.not_written", "reason": str(error)},
                )
            self._is_failing = True
        else:
            self._is_failing = False

    def _forget_old(self) -> None:
        """Remove the files that no exporter has taken, which would pile up without an exporter."""
        with contextlib.suppress(OSError):
            for path in self._folder.glob(f"*{SUFFIX}"):
                if time.time() - path.stat().st_mtime > FORGOTTEN_AFTER_S:
                    path.unlink()
