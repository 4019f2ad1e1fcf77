"""Show how far a long command is, by a bar on a terminal or by occasional lines elsewhere."""

from __future__ import annotations

import time
from typing import TextIO

BAR_CHARACTERS = 24
SHOW_EVERY_S = 10.0
LINE_CHARACTERS = 100


class Progress:
    """Show one stage after the other; a finished stage stays as a line."""

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
        """Show which fraction (0 to 1) of the stage is done; off a terminal rarely."""
        fraction = min(max(fraction, 0.0), 1.0)
        if self._is_terminal:
            full = round(fraction * BAR_CHARACTERS)
            bar = "█" * full + "░" * (BAR_CHARACTERS - full)
            line = f"{bar} {fraction:4.0%}  {self._title}  {note}"
            self._stream.write(f"\r{line[:LINE_CHARACTERS]:<{LINE_CHARACTERS}}")
            self._stream.flush()
        elif time.monotonic() - self._told_s >= SHOW_EVERY_S:
            self._told_s = time.monotonic()
            self._stream.write(f"  {fraction:4.0%}  {self._title}  {note}\n")
            self._stream.flush()

    def end(self, line: str) -> None:
        """End the stage with a line that says its result."""
        if self._is_terminal:
            self._stream.write("\r" + " " * LINE_CHARACTERS + "\r")
        self._stream.write(line + "\n")
        self._stream.flush()
