"""Says how far a long command is: a bar on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import time
from typing import TextIO

BAR_CHARACTERS = 24
QUIET_S = 10.0
LINE_CHARACTERS = 100


class Progress:
    """One stage after the other; what is finished stays as a line."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._is_terminal = stream.isatty()
        self._title = ""
        self._told_s = 0.0

    def begin(self, title: str) -> None:
        self._title = title
        self._told_s = time.monotonic()
        self.update(0.0)

    def update(self, fraction: float, note: str = "") -> None:
        """So much of the stage is done."""
        fraction = min(max(fraction, 0.0), 1.0)
        if self._is_terminal:
            full = round(fraction * BAR_CHARACTERS)
            bar = "█" * full + "░" * (BAR_CHARACTERS - full)
            line = f"{bar} {fraction:4.0%}  {self._title}  {note}"
            self._stream.write(f"\r{line[:LINE_CHARACTERS]:<{LINE_CHARACTERS}}")
            self._stream.flush()
        elif time.monotonic() - self._told_s >= QUIET_S:
            self._told_s = time.monotonic()
            self._stream.write(f"  {fraction:4.0%}  {self._title}  {note}\n")
            self._stream.flush()

    def end(self, line: str) -> None:
        """The stage is over; `line` says what came of it."""
        if self._is_terminal:
            self._stream.write("\r" + " " * LINE_CHARACTERS + "\r")
        self._stream.write(line + "\n")
        self._stream.flush()
