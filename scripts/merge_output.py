"""Merges what several programs print into one stream, each line after its program's name.

usage: merge_output.py FIFO…        (each named after its program)

Run by scripts/run, which lets supervisord write each program's output into a FIFO of its own.
SIGTERM ends it after everything written so far has been passed on; Ctrl-C is scripts/run's affair.
"""

from __future__ import annotations

import os
import selectors
import signal
import sys
from pathlib import Path

CHUNK_BYTES = 65_536
LINE_BYTES = 1_000_000  # a longer line goes out in pieces


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

    signal.signal(signal.SIGTERM, end)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    width = max(len(fifo.name) for fifo in fifos)
    selector = selectors.DefaultSelector()
    programs = [Program(fifo, width) for fifo in fifos]
    for program in programs:
        selector.register(program.fd, selectors.EVENT_READ, program)
    while not told_to_end:
        for key, _ in selector.select(timeout=0.2):
            key.data.read()
    for program in programs:
        program.end()


if __name__ == "__main__":
    try:
        main([Path(argument) for argument in sys.argv[1:]])
    except BrokenPipeError:  # nobody reads any more
        os._exit(1)
