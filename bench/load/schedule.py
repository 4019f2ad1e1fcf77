"""Schedule the load's requests.

A closed loop starts a request as soon as a connection is free. An open loop starts requests at a
fixed rate, whether or not the earlier ones were answered. A request that finds no free connection
is late, and its latency counts from when the request was due, so that a server that stalls cannot
hide it. Pure; takes the time and never reads it.
"""

from __future__ import annotations

NANOSECONDS = 1_000_000_000


class Schedule:
    """Hold the requests due from `start_ns` until `stop_ns`, at most `limit` of them.

    With a rate they are due at `start_ns`, one interval later and so on; without a rate at any
    time.
    """

    __slots__ = ("_gap_ns", "_limit", "_start_ns", "_stop_ns", "_taken")

    def __init__(
        self,
        *,
        start_ns: int,
        stop_ns: int,
        rate: float | None = None,
        limit: int | None = None,
    ) -> None:
        self._start_ns = start_ns
        self._stop_ns = stop_ns
        self._gap_ns = NANOSECONDS / rate if rate else 0.0
        self._limit = limit if limit is not None else 1 << 62
        if rate:
            span = stop_ns - start_ns
            self._limit = min(self._limit, max(0, -int(-span // self._gap_ns)))
        self._taken = 0

    def take(self, now_ns: int) -> int:
        """Take the next request and return when it was due; 0 when none is due yet."""
        if self._taken >= self._limit:
            return 0
        if self._gap_ns:
            due_ns = self._start_ns + int(self._taken * self._gap_ns)
            if due_ns > now_ns:
                return 0
            self._taken += 1
            return due_ns
        if now_ns >= self._stop_ns:
            return 0
        self._taken += 1
        return now_ns

    def next_due_ns(self) -> int | None:
        """Return when the next request of an open loop is due, or None if there is none."""
        if not self._gap_ns or self._taken >= self._limit:
            return None
        return self._start_ns + int(self._taken * self._gap_ns)

    def is_over(self, now_ns: int) -> bool:
        """Tell whether no request is ever due again."""
        return self._taken >= self._limit or (not self._gap_ns and now_ns >= self._stop_ns)
