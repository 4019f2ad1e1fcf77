"""Merges what several programs print into one stream, each line after its program's name.

usage: merge_output.py FIFO…        (each named after its program)

Run by scripts/run, which lets supervisord write each program's output into a FIFO of its own.
SIGUSR1 ends it after everything written so far has been passed on. The signals that stop the
service do not, for its last lines are still to come.
"""

from __future__ import annotations

import os
import selectors
import signal
import sys
import time
from pathlib import Path

CHUNK_BYTES = 65_536
LINE_BYTES = 1_000_000  # a longer line goes out in pieces
LOOK_UP_S = 0.2
STOP_LIMIT_S = 60


class Program:
    """The output of one program and what of it is not yet a whole line."""

    def __init__(self, fifo: Path, width: int) -> None:
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
        sys.stdout.buffer.write(b"".join(self.prefix + line + b"\n" for line in lines))
        sys.stdout.buffer.flush()


def main(fifos: list[Path]) -> None:
    told_to_end = False

    def end(*_: object) -> None:
        nonlocal told_to_end
        told_to_end = True

    signal.signal(signal.SIGUSR1, end)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    width = max(len(fifo.name) for fifo in fifos)
    selector = selectors.DefaultSelector()
    programs = [Program(fifo, width) for fifo in fifos]
    for program in programs:
        selector.register(program.fd, selectors.EVENT_READ, program)
    parent, alone_since = os.getppid(), None
    while not told_to_end:
        for key, _ in selector.select(timeout=LOOK_UP_S):
            key.data.read()
        if os.getppid() != parent:  # it was killed, and cannot tell when supervisord has ended
            alone_since = alone_since or time.monotonic()
            told_to_end = time.monotonic() > alone_since + STOP_LIMIT_S
    for program in programs:
        program.end()


if __name__ == "__main__":
    try:
        main([Path(argument) for argument in sys.argv[1:]])
    except BrokenPipeError:  # nobody reads any more
        os.kill(os.getppid(), signal.SIGTERM)
        os._exit(1)
