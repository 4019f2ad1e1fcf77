"""Lease worker ids from the cache or the store, and give them back. Used by `worker_lease` alone.

Workers 0 to 23 of each datacenter number are leased in the cache. Workers 24 to 31 are leased in
the store, for when the cache is away. So the cache and the store never lease the same worker id.
"""

from __future__ import annotations

import logging
import random
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from messaging.conf import Settings
from messaging.domain.backend_errors import BackendError
from messaging.domain.errors import IdsUnavailable
from messaging.domain.ids import AHEAD_MS, WORKERS, SnowflakeIdGenerator, WorkerLease
from messaging.ports.cache_service import LeaseRequest, Leases
from messaging.ports.store import MessageStore

logger = logging.getLogger(__name__)

CACHE_WORKERS = range(24)
STORE_WORKERS = range(24, WORKERS)
DRIFT = 0.05  # of the life of a lease, given up in case the clocks run at different speeds
LAST_MS = 2**53 - 1  # a time after all others, exact in Lua
REST_FOR_S = 60.0  # how far behind another clock may be before it could repeat an id of ours


@dataclass(frozen=True, slots=True)
class WorkerIds:
    """Take worker ids for the times that the ids of the generator bear."""

    ids: SnowflakeIdGenerator
    cache: Leases
    store: MessageStore
    settings: Settings
    monotonic_s: Callable[[], float]

    def used_ms(self) -> int:
        """Return the last time that an id of this process may bear."""
        return self.ids.now_ms() + self.ids.behind_ms()

    async def take_any(
        self, *, held: WorkerLease | None, but: int | None = None, late: bool = True
    ) -> WorkerLease:
        """Lease any free worker id: from the cache, or from the store when the cache gives none.

        With `late`, and when there is no other, the worker id may be one whose ids are ahead of the
        clock: this process's ids go on from there then. `but` is a worker id to leave out.

        Raises: IdsUnavailable.
        """
        owner, fixed = secrets.token_hex(8), self.settings.datacenter_id
        datacenters = range(WORKERS) if fixed is None else (fixed,)
        for is_late in (False, True) if late else (False,):
            for fenced, workers in ((True, CACHE_WORKERS), (False, STORE_WORKERS)):
                nodes = [dc * WORKERS + worker for dc in datacenters for worker in workers]
                nodes = [node for node in nodes if node != but]
                lease = await self._take_one_of(nodes, owner, fenced, held=held, late=is_late)
                if lease is not None:
                    logger.info("worker id leased", extra=extra("worker.leased", lease))
                    return lease
        raise IdsUnavailable("no worker id can be leased")

    async def _take_one_of(
        self,
        nodes: Sequence[int],
        owner: str,
        fenced: bool,
        *,
        held: WorkerLease | None,
        late: bool,
    ) -> WorkerLease | None:
        first = random.randrange(len(nodes))
        try:
            for node in [*nodes[first:], *nodes[:first]]:
                if lease := await self.take(node, owner, fenced, held=held, late=late):
                    return lease
        except BackendError:
            logger.warning(
                "cannot reach the leases of worker ids; trying again",
                extra={"action": "worker.out_of_reach", "in_cache": fenced},
            )
        return None

    async def take(
        self, node: int, owner: str, fenced: bool, *, held: WorkerLease | None, late: bool = False
    ) -> WorkerLease | None:
        """Take or renew the lease of this worker id; `held` is the lease of this process so far.

        Return None when another owner holds the worker id, and when its ids are ahead of this
        process's clock. With `late` ids ahead of the clock do not matter.
        """
        lease_s = self.settings.worker_lease_s
        asked_s, life_s = self.monotonic_s(), lease_s * (1 - DRIFT)
        now_ms, behind_ms = self.ids.now_ms(), self.ids.behind_ms()
        is_ours = held is not None and held.node == node
        begin_ms = now_ms + (behind_ms if is_ours or behind_ms <= AHEAD_MS else 0)
        until_ms = begin_ms + round(life_s * 1000)
        request = LeaseRequest(node, owner, lease_s, LAST_MS if late else now_ms, until_ms)
        used_ms = await self._port(fenced).take_worker(request)
        if used_ms is None:
            return None
        if used_ms > begin_ms:
            request = replace(request, until_ms=until_ms + used_ms - begin_ms)
            await self._port(fenced).take_worker(request)
        return WorkerLease(node, owner, asked_s + life_s, fenced, used_ms, request.until_ms)

    async def give_back(self, held: WorkerLease, *, used_ms: int) -> None:
        """Give a worker id back whose ids bear times to `used_ms`.

        The worker id stays leased for a minute (`REST_FOR_S`) under an owner token that no process
        uses any more. So a process whose clock is a little behind cannot repeat the ids just given.
        """
        request = LeaseRequest(held.node, held.owner, REST_FOR_S, used_ms, used_ms)
        try:
            await self._port(held.fenced).take_worker(request)
        except BackendError:
            logger.warning(
                "worker id not released; its lease ends by itself",
                extra=extra("worker.not_returned", held),
            )

    def _port(self, fenced: bool) -> Leases | MessageStore:
        return self.cache if fenced else self.store


def extra(action: str, lease: WorkerLease) -> dict[str, object]:
    """Return what the log says of a lease."""
    return {"action": action, "node": lease.node, "in_cache": lease.fenced}
