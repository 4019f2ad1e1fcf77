"""Keeps the lease under which this process gives ids. Built by `wiring`, one a process.

Workers 0 to 23 of each datacenter number are leased in the cache, 24 to 31 in the store for when
the cache is away, so the two never lease the same. It must not be asked for ids: the generator
gives those, for as long as the lease that it was handed is valid.
"""

from __future__ import annotations

import asyncio
import logging
import os
import random
import secrets
import time
from collections.abc import Callable

from messaging.conf import Settings
from messaging.errors import BackendError, IdsUnavailable
from messaging.ids import WORKERS, SnowflakeIdGenerator, WorkerLease
from messaging.ports import MessageCache, MessageStore

logger = logging.getLogger(__name__)

CACHE_WORKERS = range(24)
STORE_WORKERS = range(24, WORKERS)
RENEWALS = 20  # in the life of a lease
SHORTEST_PAUSE_S = 1.0
LONGEST_PAUSE_S = 15.0
DRIFT = 0.05  # of the life of a lease, given up in case that the clocks run unalike
REST_S = 60.0  # how far behind another clock may be before it could repeat an id of ours


class WorkerLeaseKeeper:
    """Takes a worker id for the generator, renews it, and takes another one when it is lost.

    A lease is valid by this process's own clock, counted from before it was asked for: a process
    that was paused stops by itself. A renewal that fails changes nothing before the lease runs out.
    Belongs to one event loop; a forked child that uses it starts over with nothing.
    """

    def __init__(
        self,
        *,
        ids: SnowflakeIdGenerator,
        cache: MessageCache,
        store: MessageStore,
        settings: Settings,
        monotonic_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._ids = ids
        self._cache = cache
        self._store = store
        self._lease_s = settings.worker_lease_s
        self._datacenters = (
            range(WORKERS) if settings.datacenter_id is None else (settings.datacenter_id,)
        )
        self._monotonic_s = monotonic_s
        self._pause_s = min(max(self._lease_s / RENEWALS, SHORTEST_PAUSE_S), LONGEST_PAUSE_S)
        self._start_over()

    def _start_over(self) -> None:
        self._pid = os.getpid()
        self._held: WorkerLease | None = None
        self._renewals: asyncio.Task[None] | None = None
        self._lock = asyncio.Lock()

    async def ensure(self) -> None:
        """Return when the generator has a valid lease; call it at the start, and after LeaseLost.

        After LeaseLost, take the lease from the generator first (`use(None)`). Concurrent calls
        share one attempt. Raises IdsUnavailable when no worker id can be leased now; the keeper
        goes on trying.
        """
        if self._pid != os.getpid():
            self._start_over()
        if self._renewals is None:
            self._renewals = asyncio.create_task(self._keep_renewing())
        async with self._lock:
            if not self._is_valid(self._ids.lease):
                await self._renew()

    async def close(self) -> None:
        """Stop giving ids and give the worker id back. Idempotent.

        The id rests for a minute under a token that nobody knows any more, so that a process whose
        clock is a little behind cannot repeat the ids just given.
        """
        if self._renewals is not None and self._pid == os.getpid():
            self._renewals.cancel()
            await asyncio.wait([self._renewals])
        held = self._held if self._pid == os.getpid() else None
        self._start_over()
        self._ids.use(None)
        if held is None:
            return
        try:
            await self._port(held.fenced).take_lease(_name(held.node), held.owner, REST_S)
        except BackendError:
            logger.warning("worker id not given back", extra=_extra("worker.not_returned", held))

    async def _keep_renewing(self) -> None:
        while True:
            valid = self._is_valid(self._ids.lease)
            await asyncio.sleep(self._pause_s if valid else SHORTEST_PAUSE_S)
            try:
                async with self._lock:
                    await self._renew()
            except IdsUnavailable:
                logger.error("no worker id can be leased", extra={"action": "worker.none"})
            except Exception:  # without renewals the process would stop accepting messages
                logger.exception("renewal failed", extra={"action": "worker.renewal_failed"})

    async def _renew(self) -> None:
        """Renew the lease that is held, else take another one. Raises IdsUnavailable."""
        held = self._held
        if held is not None:
            try:
                lease = await self._take(held.node, held.owner, fenced=held.fenced)
            except BackendError:
                if self._lasts(held):
                    return
            else:
                if lease is not None:
                    self._use(lease)
                    return
                logger.error("worker id lost", extra=_extra("worker.lost", held))
                self._held = None
                self._ids.use(None)
        await self._take_any()

    def _lasts(self, held: WorkerLease) -> bool:
        """The generator uses it, and it is valid until the next renewal at least."""
        return self._ids.lease == held and self._monotonic_s() + self._pause_s < held.valid_until_s

    def _is_valid(self, lease: WorkerLease | None) -> bool:
        return lease is not None and self._monotonic_s() < lease.valid_until_s

    async def _take_any(self) -> None:
        """Lease any free worker id: of the cache, or of the store where the cache gives none."""
        owner = secrets.token_hex(8)
        for fenced, workers in ((True, CACHE_WORKERS), (False, STORE_WORKERS)):
            nodes = [dc * WORKERS + worker for dc in self._datacenters for worker in workers]
            first = random.randrange(len(nodes))
            try:
                for node in nodes[first:] + nodes[:first]:
                    if lease := await self._take(node, owner, fenced=fenced):
                        logger.info("worker id leased", extra=_extra("worker.leased", lease))
                        self._use(lease)
                        return
            except BackendError:
                logger.warning(
                    "worker ids out of reach",
                    extra={"action": "worker.out_of_reach", "in_cache": fenced},
                )
        raise IdsUnavailable("no worker id can be leased")

    async def _take(self, node: int, owner: str, *, fenced: bool) -> WorkerLease | None:
        asked_s = self._monotonic_s()
        if not await self._port(fenced).take_lease(_name(node), owner, self._lease_s):
            return None
        return WorkerLease(node, owner, asked_s + self._lease_s * (1 - DRIFT), fenced)

    def _port(self, fenced: bool) -> MessageCache | MessageStore:
        return self._cache if fenced else self._store

    def _use(self, lease: WorkerLease) -> None:
        self._held = lease
        self._ids.use(lease)


def _name(node: int) -> str:
    return f"worker:{node}"


def _extra(action: str, lease: WorkerLease) -> dict[str, object]:
    return {"action": action, "node": lease.node, "in_cache": lease.fenced}
