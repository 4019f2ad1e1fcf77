"""Promise what the cache's server does beside keeping messages: rates, leases, and its health.

Raises: CacheUnavailable, from every method, when Redis does not confirm in time.
Leaves: a write perhaps done, perhaps not.
Safe to repeat: every write but `take_rates`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from messaging.ports.cached import Incarnation, SharedRate

RECOVERS_S = 3  # long enough for every process to write to the cache its hints of an outage
SILENT_S = 1  # a process without a heartbeat for longer has died or lost the cache


class SharedRates(Protocol):
    """Count requests for all processes together."""

    async def take_rates(self, rates: Sequence[SharedRate]) -> float:
        """Count one request against each of these rates, and return 0.0.

        Count nothing where one of the rates is used up, and return the seconds to wait.
        """


@dataclass(frozen=True, slots=True)
class LeaseRequest:
    """Ask for the lease of a worker id, or for a renewal by its owner.

    `node`: the worker id as one number, `datacenter * 32 + worker`.
    `now_ms`: the time by the owner's clock; no id of an earlier owner may be of a later time.
    `until_ms`: the last time that the owner's ids bear, which is noted with the lease.
    """

    node: int
    owner: str
    ttl_s: float
    now_ms: int
    until_ms: int


class Leases(Protocol):
    """Lease names and worker ids to one owner at a time."""

    async def take_lease(self, name: str, owner: str, ttl_s: float) -> bool:
        """Take a named lease or renew one's own; return False when another owner holds it."""

    async def is_leased(self, name: str) -> bool:
        """Tell whether anybody holds this lease."""

    async def take_worker(self, request: LeaseRequest) -> int | None:
        """Lease a worker id as `take_lease` does, and note that ids bear times to `until_ms`.

        Return the last time (ms) that another owner may have used, 0 where none is known. Return
        None when another owner holds the worker id, or when another owner's ids are of a time after
        `now_ms`, which the caller could give again.
        """


class CacheHealth(Protocol):
    """Report whether the cache is complete, or may lack writes after a loss."""

    async def ping(self) -> None: ...

    async def heartbeat(self, name: str | None = None) -> Incarnation:
        """Write to the cache, and return the start of the server that took the write.

        The first heartbeat after a start of the server hides, at once and whatever their number,
        all copies of the store that the cache holds: stored details, and the marks of how far lists
        and deletes are complete. Pending messages stay, and so do lists, idempotency records and
        recalls.

        `name`: of a process whose end the others are to notice; it writes a heartbeat about every
        0.2 s.

        Cached tails and reader views are `recovering` until `note_recovered`. They are `recovering`
        for some seconds, too, when the heartbeats of a named process stop: the process has died or
        lost the cache, and may have accepted messages that the cache was never given.
        """

    async def deregister(self, name: str) -> None:
        """Forget the heartbeats of a process that has no hints, and whose end is no loss.

        Safe to repeat.
        """

    async def note_recovered(self, incarnation: str, *, returned: bool) -> None:
        """Note that the caller has written all that the cache lacked at this start.

        Cached tails and reader views are `recovering` for some seconds more, unless another caller
        has noted the recovery before and this caller was not away (`returned` is False).

        Raises: CacheUnavailable when the server was started again meanwhile.
        """

    async def note_held(self, ttl_s: float) -> None:
        """Announce to every process, for `ttl_s`, that a consumer has a held partition.

        A held partition waits for a person.
        """

    async def close(self) -> None: ...
