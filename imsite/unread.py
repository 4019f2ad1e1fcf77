"""Output that nobody may be reading: a terminal after Ctrl-S, a log driver that is stuck.

A process that writes there stands still until somebody reads. So a thread writes, and what finds no
room before it is dropped and counted.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable

ROOM_BYTES = 1_000_000
PATIENCE_S = 2.0  # how long the end waits for a reader who takes nothing


class UnreadOutput:
    """Writes lines to a file descriptor, in order, without ever waiting for its reader.

    `note` makes the line that stands in the place of so many dropped ones. `on_gone` is called once
    when nobody can read any more, from the thread.
    """

    def __init__(
        self,
        fd: int,
        note: Callable[[int], bytes],
        on_gone: Callable[[], None] = lambda: None,
    ) -> None:
        self._fd = fd
        self._note = note
        self._on_gone = on_gone
        self._begin()
        os.register_at_fork(after_in_child=self._begin)

    def _begin(self) -> None:
        self._changed = threading.Condition()
        self._lines: list[bytes] = []
        self._bytes = 0  # of the lines, and of what is being written
        self._dropped = 0
        self._is_gone = False
        self._thread: threading.Thread | None = None

    def put(self, line: bytes) -> bool:
        """Take the line; False when it was dropped."""
        with self._changed:
            if self._is_gone or self._bytes + len(line) > ROOM_BYTES:
                self._dropped += 1
                return False
            self._note_dropped()
            self._append(line)
        return True

    def end(self) -> None:
        """Wait until all is written, as long as somebody reads."""
        with self._changed:
            self._note_dropped()
            deadline, before = time.monotonic() + PATIENCE_S, self._bytes
            while self._bytes and not self._is_gone and time.monotonic() < deadline:
                self._changed.wait(0.1)
                if self._bytes < before:
                    deadline, before = time.monotonic() + PATIENCE_S, self._bytes

    def _note_dropped(self) -> None:
        if self._dropped:
            self._append(self._note(self._dropped))
            self._dropped = 0

    def _append(self, line: bytes) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._write, name="output", daemon=True)
            self._thread.start()
        self._lines.append(line)
        self._bytes += len(line)
        self._changed.notify_all()

    def _write(self) -> None:
        changed = self._changed
        while True:
            with changed:
                while not self._lines:
                    changed.wait()
                rest = b"".join(self._lines)
                self._lines.clear()
            try:
                while rest:
                    written = os.write(self._fd, rest)
                    rest = rest[written:]
                    with changed:
                        self._bytes -= written
                        changed.notify_all()
            except OSError:
                break
        with changed:
            self._is_gone = True
            changed.notify_all()
        self._on_gone()


class StdoutHandler(logging.Handler):
    """Lines of the log on standard output; the log file has those that are dropped here."""

    def __init__(self) -> None:
        super().__init__()
        # What standard output is now: the thread may write when it is another for a moment.
        self._output = UnreadOutput(os.dup(1), _note)

    def emit(self, record: logging.LogRecord) -> None:
        try:
            self._output.put(f"{self.format(record)}\n".encode(errors="backslashreplace"))
        except Exception:  # noqa: BLE001  # as every handler of the standard library
            self.handleError(record)

    def flush(self) -> None:
        self._output.end()


def _note(count: int) -> bytes:
    return f"… {count} lines were not read; the log file has them\n".encode()
