"""Merges the output of several programs into one stream, with the program's name before each line.

usage: merge_output.py FILE FIFO…        (each FIFO is named after its program)

scripts/run runs this program, and supervisord writes each program's output into its own FIFO. The
FIFOs are always read. Lines for which the reader of the stream leaves no room go to FILE.
SIGUSR1 ends this program when all earlier output has been passed on. The signals that stop the
service do not end this program, because the last lines of the service are still to come.
"""

from __future__ import annotations

import contextlib
import os
import selectors
import signal
import sys
import time
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[1]))
from imsite.unread import UnreadOutput

CHUNK_BYTES = 65_536
LINE_BYTES = 1_000_000  # a longer line goes out in pieces
FILE_BYTES = 20_000_000  # one older file is kept
SELECT_TIMEOUT_S = 0.2
STOP_TIMEOUT_S = 60


class Stream:
    """Standard output, and the file for the lines that nobody reads there."""

    def __init__(self, file: Path, width: int) -> None:
        self._file = file
        self._prefix = f"{'output':<{width}} | "
        self._output = UnreadOutput(1, self._note, on_gone=_stop_the_service)
        self.end = self._output.end

    def _note(self, count: int) -> bytes:
        return f"{self._prefix}{count} lines were not read; they are in {self._file}\n".encode()

    def put(self, line: bytes) -> None:
        if self._output.put(line):
            return
        with contextlib.suppress(OSError):  # a full disk, and nobody to tell
            with self._file.open("ab") as file:
                file.write(line)
                is_full = file.tell() > FILE_BYTES
            if is_full:
                self._file.replace(self._file.with_name(f"{self._file.name}.1"))


def _stop_the_service() -> None:
    """Nobody can read any more: the terminal was closed, or the program behind the pipe ended."""
    os.kill(os.getppid(), signal.SIGTERM)


class Program:
    """The output of one program and what of it is not yet a whole line."""

    def __init__(self, fifo: Path, width: int, stream: Stream) -> None:
        self._stream = stream
        # Open for writing as well, so that it never ends while the program is started again.
        self.fd = os.open(fifo, os.O_RDWR | os.O_NONBLOCK)
        self.prefix = f"{fifo.name:<{width}} | ".encode()
        self.rest = b""

    def read(self) -> bool:
        """Pass on the lines that have come; False when nothing had."""
        try:
            chunk = os.read(self.fd, CHUNK_BYTES)
        except BlockingIOError:
            return False
        *lines, self.rest = (self.rest + chunk).split(b"\n")
        if len(self.rest) > LINE_BYTES:
            lines, self.rest = [*lines, self.rest], b""
        self._write(lines)
        return True

    def end(self) -> None:
        while self.read():
            pass
        if self.rest:
            self._write([self.rest])

    def _write(self, lines: list[bytes]) -> None:
        for line in lines:
            self._stream.put(self.prefix + line + b"\n")


def main(file: Path, fifos: list[Path]) -> None:
    told_to_end = False

    def end(*_: object) -> None:
        nonlocal told_to_end
        told_to_end = True

    signal.signal(signal.SIGUSR1, end)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    width = max(len(fifo.name) for fifo in fifos)
    selector = selectors.DefaultSelector()
    stream = Stream(file, width)
    programs = [Program(fifo, width, stream) for fifo in fifos]
    for program in programs:
        selector.register(program.fd, selectors.EVENT_READ, program)
    parent, alone_since = os.getppid(), None
    while not told_to_end:
        for key, _ in selector.select(timeout=SELECT_TIMEOUT_S):
            key.data.read()
        if os.getppid() != parent:  # it was killed, and cannot tell when supervisord has ended
            alone_since = alone_since or time.monotonic()
            told_to_end = time.monotonic() > alone_since + STOP_TIMEOUT_S
    for program in programs:
        program.end()
    stream.end()


if __name__ == "__main__":
    main(Path(sys.argv[1]), [Path(argument) for argument in sys.argv[2:]])
    os._exit(0)  # the thread may stand in a write for ever
