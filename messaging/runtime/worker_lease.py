"""Keep the lease of the worker id under which this process gives message ids.

`assembly` builds one keeper a process. Workers 0 to 23 of each datacenter number are leased in the
cache. Workers 24 to 31 are leased in the store, for when the cache is away. So the cache and the
store never lease the same worker id. The keeper gives no message ids: the generator gives them, for
as long as the generator's lease is valid.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import random
import secrets
import time
from collections.abc import Callable, Sequence
from dataclasses import replace

from messaging.conf import Settings
from messaging.domain.backend_errors import BackendError
from messaging.domain.errors import IdsUnavailable
from messaging.domain.ids import AHEAD_MS, WORKERS, SnowflakeIdGenerator, WorkerLease
from messaging.ports.cache_service import LeaseRequest, Leases
from messaging.ports.store import MessageStore

logger = logging.getLogger(__name__)

CACHE_WORKERS = range(24)
STORE_WORKERS = range(24, WORKERS)
RENEWALS = 20  # in the life of a lease
SHORTEST_PAUSE_S = 1.0
LONGEST_PAUSE_S = 15.0
DRIFT = 0.05  # of the life of a lease, given up in case the clocks run at different speeds
LAST_MS = 2**53 - 1  # a time after all others, exact in Lua
REST_FOR_S = 60.0  # how far behind another clock may be before it could repeat an id of ours


class WorkerLeaseKeeper:
    """Take a worker id for the generator, renew its lease, and take another one when it is lost.

    A lease is valid by this process's own monotonic clock, counted from before the request for the
    lease: a process that was paused stops giving ids by itself. A failed renewal changes nothing
    before the lease runs out.

    The lease is stored with the last time that its ids may bear. So the next holder of the worker
    id gives later ids, whatever the clocks have done. When the wall clock was set back far, the
    keeper takes another worker id at once, under which ids of the real time are free.

    Belongs to one event loop. A forked child that uses the keeper starts over without a lease.
    """

    def __init__(
        self,
        *,
        ids: SnowflakeIdGenerator,
        cache: Leases,
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
        self._stepped = asyncio.Event()  # set when the clock left the lease's times: renew now

    async def ensure(self) -> None:
        """Return when the generator has a valid lease.

        Called at the start, and after LeaseLost. After LeaseLost, take the lease from the generator
        first (`use(None)`). Concurrent calls share one attempt. The first call starts the renewals.

        Raises: IdsUnavailable when no worker id can be leased now; the keeper goes on trying.
        Safe to repeat.
        """
        if self._pid != os.getpid():
            self._start_over()
        if self._renewals is None:
            loop, stepped = asyncio.get_running_loop(), self._stepped
            self._ids.on_step = lambda: _set_from_any_thread(loop, stepped)
            self._renewals = asyncio.create_task(self._keep_renewing())
        async with self._lock:
            if not self._is_valid(self._ids.lease):
                await self._renew()

    async def close(self) -> None:
        """Stop the renewals, take the lease from the generator, and give the worker id back.

        The worker id stays leased for a minute (`REST_FOR_S`) under an owner token that no process
        uses any more. So a process whose clock is a little behind cannot repeat the ids just given.

        Safe to repeat.
        """
        if self._renewals is not None and self._pid == os.getpid():
            self._renewals.cancel()
            await asyncio.wait([self._renewals])
        held = self._held if self._pid == os.getpid() else None
        self._start_over()
        self._ids.on_step = None
        used_ms = self._used_ms()
        self._ids.use(None)
        if held is not None:
            await self._give_back(held, used_ms=used_ms)

    async def _give_back(self, held: WorkerLease, *, used_ms: int) -> None:
        request = LeaseRequest(held.node, held.owner, REST_FOR_S, used_ms, used_ms)
        try:
            await self._port(held.fenced).take_worker(request)
        except BackendError:
            logger.warning(
                "worker id not released; its lease ends by itself",
                extra=_extra("worker.not_returned", held),
            )

    async def _keep_renewing(self) -> None:
        while True:
            is_well = self._is_valid(self._ids.lease) and not self._ids.wants_lease
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._pause_s if is_well else SHORTEST_PAUSE_S):
                    await self._stepped.wait()
            self._stepped.clear()
            try:
                async with self._lock:
                    await self._renew()
            except IdsUnavailable:
                logger.error(
                    "no worker id can be leased; trying again", extra={"action": "worker.none"}
                )
            except Exception:  # without renewals the process would stop accepting messages
                logger.exception(
                    "renewal of the worker id failed; trying again",
                    extra={"action": "worker.renewal_failed"},
                )

    async def _renew(self) -> None:
        """Renew the held lease, or take another one.

        Raises: IdsUnavailable.
        """
        held = self._held
        if held is not None and self._ids.behind_ms() > AHEAD_MS and await self._move(held):
            return
        if held is not None:
            try:
                lease = await self._take(held.node, held.owner, held.fenced)
            except BackendError:
                if self._lasts(held):
                    return
            else:
                if lease is not None:
                    self._use(lease)
                    return
                logger.error(
                    "worker id lost to another process; taking a new one",
                    extra=_extra("worker.lost", held),
                )
                self._held = None
                self._ids.use(None)
        await self._take_any()

    async def _move(self, held: WorkerLease) -> bool:
        """Take another worker id, under which ids need not run ahead of the clock.

        Return False, and keep the held worker id, when no other one is free. Its ids still run
        ahead of the clock then, and stay unique.
        """
        behind_ms, used_ms = self._ids.behind_ms(), self._used_ms()
        logger.error(
            "the clock was set back: taking another worker id",
            extra=_extra("worker.clock_set_back", held) | {"behind_ms": behind_ms},
        )
        try:
            await self._take_any(but=held.node, late=False)
        except IdsUnavailable:
            return False
        await self._give_back(held, used_ms=used_ms)
        return True

    def _used_ms(self) -> int:
        """Return the last time that an id of this process may bear."""
        return self._ids.now_ms() + self._ids.behind_ms()

    def _lasts(self, held: WorkerLease) -> bool:
        """Tell whether the generator uses this lease, and it lasts until the next renewal."""
        return self._ids.lease == held and self._monotonic_s() + self._pause_s < held.valid_until_s

    def _is_valid(self, lease: WorkerLease | None) -> bool:
        return lease is not None and self._monotonic_s() < lease.valid_until_s

    async def _take_any(self, *, but: int | None = None, late: bool = True) -> None:
        """Lease any free worker id: from the cache, or from the store when the cache gives none.

        With `late`, and when there is no other, the worker id may be one whose ids are ahead of the
        clock: this process's ids go on from there then. `but` is a worker id to leave out.

        Raises: IdsUnavailable.
        """
        owner = secrets.token_hex(8)
        for is_late in (False, True) if late else (False,):
            for fenced, workers in ((True, CACHE_WORKERS), (False, STORE_WORKERS)):
                nodes = [dc * WORKERS + worker for dc in self._datacenters for worker in workers]
                lease = await self._take_one_of(nodes, owner, fenced=fenced, but=but, late=is_late)
                if lease is not None:
                    logger.info("worker id leased", extra=_extra("worker.leased", lease))
                    self._use(lease)
                    return
        raise IdsUnavailable("no worker id can be leased")

    async def _take_one_of(
        self, nodes: Sequence[int], owner: str, *, fenced: bool, but: int | None, late: bool
    ) -> WorkerLease | None:
        first = random.randrange(len(nodes))
        try:
            for node in [*nodes[first:], *nodes[:first]]:
                if node != but and (lease := await self._take(node, owner, fenced, late=late)):
                    return lease
        except BackendError:
            logger.warning(
                "cannot reach the leases of worker ids; trying again",
                extra={"action": "worker.out_of_reach", "in_cache": fenced},
            )
        return None

    async def _take(
        self, node: int, owner: str, fenced: bool, *, late: bool = False
    ) -> WorkerLease | None:
        """Take or renew the lease of this worker id.

        Return None when another owner holds the worker id, and when its ids are ahead of this
        process's clock. With `late` ids ahead of the clock do not matter.
        """
        asked_s, life_s = self._monotonic_s(), self._lease_s * (1 - DRIFT)
        now_ms, behind_ms = self._ids.now_ms(), self._ids.behind_ms()
        is_ours = self._held is not None and self._held.node == node
        begin_ms = now_ms + (behind_ms if is_ours or behind_ms <= AHEAD_MS else 0)
        until_ms = begin_ms + round(life_s * 1000)
        limit_ms, port = LAST_MS if late else now_ms, self._port(fenced)
        request = LeaseRequest(node, owner, self._lease_s, limit_ms, until_ms)
        used_ms = await port.take_worker(request)
        if used_ms is None:
            return None
        if used_ms > begin_ms:
            request = replace(request, until_ms=until_ms + used_ms - begin_ms)
            await port.take_worker(request)
        return WorkerLease(node, owner, asked_s + life_s, fenced, used_ms, request.until_ms)

    def _port(self, fenced: bool) -> Leases | MessageStore:
        return self._cache if fenced else self._store

    def _use(self, lease: WorkerLease) -> None:
        self._held = lease
        self._ids.use(lease)


def _set_from_any_thread(loop: asyncio.AbstractEventLoop, event: asyncio.Event) -> None:
    with contextlib.suppress(RuntimeError):  # the loop has ended
        loop.call_soon_threadsafe(event.set)


def _extra(action: str, lease: WorkerLease) -> dict[str, object]:
    return {"action": action, "node": lease.node, "in_cache": lease.fenced}
