"""Limit how fast one client may ask.

Pure. The generic cell rate algorithm: each request moves a point in time on by a step (1 / rate),
and a request is refused that would move the point more than `burst` steps past now. `accept.lua`
and `take_rates.lua` do the same with times that all processes share; this module serves one process
by itself.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field

from messaging.conf import Settings
from messaging.domain.errors import TooManyRequests
from messaging.domain.turns import Turns
from messaging.limits import PAGES_UNDER_WAY

MOST_KEYS = 50_000  # of one kind of rate; about 10 MB


def monotonic_us() -> int:
    return time.monotonic_ns() // 1_000


def step_us(rate: float) -> int:
    """Return the time (µs) of a request at `rate` a second; 0 where any number may pass."""
    return int(1e6 / rate) if rate else 0


class Rates:
    """Let each key pass `burst` times at once and `rate` times a second; at a rate of 0 always."""

    def __init__(
        self, *, rate: float, burst: int, clock_us: Callable[[], int] = monotonic_us
    ) -> None:
        self.rate, self.burst = rate, burst
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
        wait_us = self._wait_us(reached_us, now_us)
        if wait_us <= 0:
            reached_us += self._step_us
        self._keep(key, reached_us)
        return max(wait_us, 0) / 1e6

    def wait_s(self, key: Hashable) -> float:
        """Return the seconds that `take` would return, and count nothing."""
        if not self._step_us:
            return 0.0
        now_us = self._clock_us()
        reached_us = max(self._moved_to_us.get(key, now_us), now_us)
        return max(self._wait_us(reached_us, now_us), 0) / 1e6

    def charge(self, key: Hashable, count: int) -> None:
        """Count so many requests more, even past the limit: the next requests wait for them."""
        if self._step_us and count:
            reached_us = max(self._moved_to_us.pop(key, 0), self._clock_us())
            self._keep(key, reached_us + count * self._step_us)

    def _keep(self, key: Hashable, reached_us: int) -> None:
        self._moved_to_us[key] = reached_us  # the key seen last is the last in the dictionary
        if len(self._moved_to_us) > MOST_KEYS:
            del self._moved_to_us[next(iter(self._moved_to_us))]

    def _wait_us(self, reached_us: int, now_us: int) -> int:
        return reached_us + self._step_us - now_us - self._burst_us

    def spend(self, key: Hashable) -> None:
        """Count one request.

        Raises: TooManyRequests, with nothing counted, when the key has to wait.
        """
        if wait_s := self.take(key):
            raise TooManyRequests(wait_s)


def take_all(shares: Sequence[tuple[Rates, Hashable]]) -> float:
    """Count one request against each rate and return 0.0, or against none and return the wait."""
    wait_s = max(rates.wait_s(key) for rates, key in shares)
    if not wait_s:
        for rates, key in shares:
            rates.take(key)
    return wait_s


@dataclass(frozen=True, slots=True, kw_only=True)
class UserRates:
    """Limit a user's requests to this process besides sends, which have their own rate.

    `reads`: history, single messages and the list of blocks.
    `changes`: recalls, deletes, blocks and unblocks, changes of groups and profiles, logouts, new
    passwords and refreshed tokens.
    `lookups`: questions about users and groups that the process has to ask the database; a call
    about a known user or group takes none.
    `conversations`: sends of all users to one conversation, if they have a rate. Redis counts for
    all processes; this count serves while Redis is away.
    `pages`: how many pages of one reader are made at a time, because the largest take megabytes
    meanwhile.

    Order: the use cases count a request first, and raise TooManyRequests for a user past a rate.
    """

    reads: Rates
    changes: Rates
    lookups: Rates
    conversations: Rates
    pages: Turns = field(default_factory=lambda: Turns(PAGES_UNDER_WAY))

    @classmethod
    def of(cls, settings: Settings) -> UserRates:
        return cls(
            reads=Rates(rate=settings.read_rate, burst=settings.read_burst),
            changes=Rates(rate=settings.change_rate, burst=settings.change_burst),
            lookups=Rates(rate=settings.lookup_rate, burst=settings.lookup_burst),
            conversations=Rates(rate=settings.conversation_rate, burst=settings.conversation_burst),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class PasswordRates:
    """Limit how often passwords may be tried and users registered.

    Redis counts for all processes; the counts in here serve while Redis is away. `names` is wider
    than `pairs`, so that one address alone cannot use up the rate of a name.
    """

    addresses: Rates
    names: Rates
    pairs: Rates  # of a name and an address
    registrations: Rates  # by address

    @classmethod
    def of(cls, settings: Settings) -> PasswordRates:
        return cls(
            addresses=Rates(
                rate=settings.login_address_per_minute / 60, burst=settings.login_address_burst
            ),
            names=Rates(rate=settings.login_name_per_minute / 60, burst=settings.login_name_burst),
            pairs=Rates(rate=settings.login_pair_per_minute / 60, burst=settings.login_pair_burst),
            registrations=Rates(
                rate=settings.register_per_hour / 3_600, burst=settings.register_burst
            ),
        )
