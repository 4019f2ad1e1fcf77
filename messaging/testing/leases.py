"""Keep leases in memory, for the cache and the store in memory."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from messaging.ports.cache_service import LeaseRequest


@dataclass(eq=False, slots=True)
class MemoryLeases:
    """Hold the owner and the end (s) of each lease by name.

    `used`: by worker id, the last time (ms) of its ids, and their owner.
    """

    clock_s: Callable[[], float] = time.monotonic
    leases: dict[str, tuple[str, float]] = field(default_factory=dict)
    used: dict[int, tuple[int, str]] = field(default_factory=dict)

    def _owner_of(self, name: str) -> str | None:
        owner, end_s = self.leases.get(name, (None, 0.0))
        return owner if self.clock_s() < end_s else None

    def _lease(self, name: str, owner: str, ttl_s: float) -> bool:
        """Take a free lease or renew one's own; return False when another owner holds it."""
        if self._owner_of(name) not in (None, owner):
            return False
        self.leases[name] = (owner, self.clock_s() + ttl_s)
        return True

    def _lease_worker(self, request: LeaseRequest) -> int | None:
        """Lease a worker id as `MessageCache.take_worker` does."""
        used_ms, by = self.used.get(request.node, (0, request.owner))
        used_ms = 0 if by == request.owner else used_ms
        name = f"worker:{request.node}"
        if used_ms > request.now_ms or not self._lease(name, request.owner, request.ttl_s):
            return None
        self.used[request.node] = (request.until_ms, request.owner)
        return used_ms
