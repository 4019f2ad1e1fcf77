"""Space the attempts of a call that fails, so that a backend in trouble is not asked all the time.

Pure.
"""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(slots=True)
class Backoff:
    """Give the pauses between attempts, each twice the one before, up to the longest."""

    first_s: float
    longest_s: float
    _pause_s: float = field(init=False)

    def __post_init__(self) -> None:
        self.reset()

    @property
    def is_fresh(self) -> bool:
        """Tell whether no pause was given since the last reset."""
        return self._pause_s == self.first_s

    def next_s(self) -> float:
        """Return the pause before the next attempt."""
        pause_s = self._pause_s
        self._pause_s = min(2 * pause_s, self.longest_s)
        return pause_s

    def reset(self) -> None:
        """Begin with the first pause again, after an attempt that succeeded."""
        self._pause_s = self.first_s
