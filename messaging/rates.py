"""How fast one sender may send. Pure.

The generic cell rate algorithm: each message moves a point in time on by a step (1 / rate), and a
message is refused that would move it more than `burst` steps past now. `accept.lua` does the same
with times that all processes share; this one serves where those are out of reach.
"""

from __future__ import annotations

import time
from collections.abc import Callable

MOST_SENDERS = 50_000  # about 10 MB


def monotonic_us() -> int:
    return time.monotonic_ns() // 1_000


def step_us(rate: float) -> int:
    """What a message takes at this many a second; 0 where any number may pass."""
    return int(1e6 / rate) if rate else 0


class SenderRates:
    """Lets each sender `burst` messages at once and `rate` a second; a rate of 0 lets all pass."""

    def __init__(
        self, *, rate: float, burst: int, clock_us: Callable[[], int] = monotonic_us
    ) -> None:
        self._step_us = step_us(rate)
        self._burst_us = burst * self._step_us
        self._clock_us = clock_us
        self._moved_to_us: dict[int, int] = {}

    def take(self, sender_id: int) -> float:
        """Count one message and return 0.0, or count nothing and return the seconds to wait."""
        if not self._step_us:
            return 0.0
        now_us = self._clock_us()
        reached_us = max(self._moved_to_us.pop(sender_id, now_us), now_us)
        wait_us = reached_us + self._step_us - now_us - self._burst_us
        if wait_us <= 0:
            reached_us += self._step_us
        self._moved_to_us[sender_id] = reached_us  # who was seen last is last in the dictionary
        if len(self._moved_to_us) > MOST_SENDERS:
            del self._moved_to_us[next(iter(self._moved_to_us))]
        return max(wait_us, 0) / 1e6
