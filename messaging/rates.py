"""How fast one client may ask. Pure.

The generic cell rate algorithm: each request moves a point in time on by a step (1 / rate), and a
request is refused that would move it more than `burst` steps past now. `accept.lua` does the same
with times that all processes share; this one serves a process by itself.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable
from dataclasses import dataclass

from messaging.conf import Settings
from messaging.errors import TooManyRequests

MOST_KEYS = 50_000  # of one kind of rate; about 10 MB


def monotonic_us() -> int:
    return time.monotonic_ns() // 1_000


def step_us(rate: float) -> int:
    """Return what a request takes at this many a second; 0 where any number may pass."""
    return int(1e6 / rate) if rate else 0


class Rates:
    """Lets each key pass `burst` times at once and `rate` times a second; at a rate of 0 always."""

    def __init__(
        self, *, rate: float, burst: int, clock_us: Callable[[], int] = monotonic_us
    ) -> None:
        self._step_us = step_us(rate)
        self._burst_us = burst * self._step_us
        self._clock_us = clock_us
        self._moved_to_us: dict[Hashable, int] = {}

    def take(self, key: Hashable) -> float:
        """Count one request and return 0.0, or count nothing and return the seconds to wait."""
        if not self._step_us:
            return 0.0
        now_us = self._clock_us()
        reached_us = max(self._moved_to_us.pop(key, now_us), now_us)
        wait_us = reached_us + self._step_us - now_us - self._burst_us
        if wait_us <= 0:
            reached_us += self._step_us
        self._moved_to_us[key] = reached_us  # who was seen last is last in the dictionary
        if len(self._moved_to_us) > MOST_KEYS:
            del self._moved_to_us[next(iter(self._moved_to_us))]
        return max(wait_us, 0) / 1e6

    def spend(self, key: Hashable) -> None:
        """Count one request, or count nothing and raise TooManyRequests."""
        if wait_s := self.take(key):
            raise TooManyRequests(wait_s)


@dataclass(frozen=True, slots=True, kw_only=True)
class UserRates:
    """What a user may ask of this process besides sends, which have their own rate.

    `reads` are history, single messages and the list of blocks. `changes` are recalls, deletes,
    blocks and unblocks. `lookups` are questions about users and groups that the process has to ask
    the database: a call about somebody known takes none.
    """

    reads: Rates
    changes: Rates
    lookups: Rates

    @classmethod
    def of(cls, settings: Settings) -> UserRates:
        return cls(
            reads=Rates(rate=settings.read_rate, burst=settings.read_burst),
            changes=Rates(rate=settings.change_rate, burst=settings.change_burst),
            lookups=Rates(rate=settings.lookup_rate, burst=settings.lookup_burst),
        )
