"""Write output that may have no reader: a terminal after Ctrl-S, a log driver that is stuck.

A process that writes there stands still until somebody reads. So a thread writes from a bounded
buffer. Lines that find no room in the buffer are dropped and counted.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable

ROOM_BYTES = 1_000_000
UNREAD_TIMEOUT_S = 2.0  # how long `end` waits for a reader who takes nothing


class UnreadOutput:
    """Write lines to a file descriptor, in order, without ever waiting for its reader.

    `note` makes the line that stands in the place of a number of dropped lines. `on_gone` is called
    once, from the writing thread, when nobody can read any more.
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
        self._bytes = 0  # of the lines that wait, and of those that are being written
        self._dropped = 0
        self._is_gone = False
        self._thread: threading.Thread | None = None

    def put(self, line: bytes) -> bool:
        """Take the line; return False when the line was dropped."""
        with self._changed:
            if self._is_gone or self._bytes + len(line) > ROOM_BYTES:
                self._dropped += 1
                return False
            self._note_dropped()
            self._append(line)
        return True

    def end(self) -> None:
        """Wait until all lines are written, if the reader takes some every `UNREAD_TIMEOUT_S`."""
        with self._changed:
            self._note_dropped()
            deadline, before = time.monotonic() + UNREAD_TIMEOUT_S, self._bytes
            while self._bytes and not self._is_gone and time.monotonic() < deadline:
                self._changed.wait(0.1)
                if self._bytes < before:
                    deadline, before = time.monotonic() + UNREAD_TIMEOUT_S, self._bytes

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
    """Write lines of the log to standard output; the log file also has lines dropped here."""

    def __init__(self) -> None:
        super().__init__()
        # A copy of standard output as of now: the thread may write while descriptor 1 is another
        # file for a moment.
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
