"""Keep the lease of the worker id under which this process gives message ids.

`assembly` builds one keeper a process. The keeper gives no message ids: the generator gives them,
for as long as the generator's lease is valid.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import time
from collections.abc import Callable

from messaging.conf import Settings
from messaging.domain.backend_errors import BackendError
from messaging.domain.errors import IdsUnavailable
from messaging.domain.ids import AHEAD_MS, SnowflakeIdGenerator, WorkerLease
from messaging.metrics.catalogue import leases_lost
from messaging.ports.cache_service import Leases
from messaging.ports.store import MessageStore
from messaging.runtime.worker_ids import WorkerIds, extra

logger = logging.getLogger(__name__)

RENEWALS = 20  # in the life of a lease
SHORTEST_PAUSE_S = 1.0
LONGEST_PAUSE_S = 15.0


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
        self._worker_ids = WorkerIds(ids, cache, store, settings, monotonic_s)
        self._monotonic_s = monotonic_s
        pause_s = settings.worker_lease_s / RENEWALS
        self._pause_s = min(max(pause_s, SHORTEST_PAUSE_S), LONGEST_PAUSE_S)
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

        Safe to repeat.
        """
        if self._renewals is not None and self._pid == os.getpid():
            self._renewals.cancel()
            await asyncio.wait([self._renewals])
        held = self._held if self._pid == os.getpid() else None
        self._start_over()
        self._ids.on_step = None
        used_ms = self._worker_ids.used_ms()
        self._ids.use(None)
        if held is not None:
            await self._worker_ids.give_back(held, used_ms=used_ms)

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
                lease = await self._worker_ids.take(held.node, held.owner, held.fenced, held=held)
            except BackendError:
                if self._lasts(held):
                    return
            else:
                if lease is not None:
                    self._use(lease)
                    return
                logger.error(
                    "worker id lost to another process; taking a new one",
                    extra=extra("worker.lost", held),
                )
                leases_lost.add()
                self._held = None
                self._ids.use(None)
        self._use(await self._worker_ids.take_any(held=self._held))

    async def _move(self, held: WorkerLease) -> bool:
        """Take another worker id, under which ids need not run ahead of the clock.

        Return False, and keep the held worker id, when no other one is free. Its ids still run
        ahead of the clock then, and stay unique.
        """
        behind_ms, used_ms = self._ids.behind_ms(), self._worker_ids.used_ms()
        logger.error(
            "the clock was set back: taking another worker id",
            extra=extra("worker.clock_set_back", held) | {"behind_ms": behind_ms},
        )
        try:
            lease = await self._worker_ids.take_any(held=held, but=held.node, late=False)
        except IdsUnavailable:
            return False
        self._use(lease)
        await self._worker_ids.give_back(held, used_ms=used_ms)
        return True

    def _lasts(self, held: WorkerLease) -> bool:
        """Tell whether the generator uses this lease, and it lasts until the next renewal."""
        return self._ids.lease == held and self._monotonic_s() + self._pause_s < held.valid_until_s

    def _is_valid(self, lease: WorkerLease | None) -> bool:
        return lease is not None and self._monotonic_s() < lease.valid_until_s

    def _use(self, lease: WorkerLease) -> None:
        self._held = lease
        self._ids.use(lease)


def _set_from_any_thread(loop: asyncio.AbstractEventLoop, event: asyncio.Event) -> None:
    with contextlib.suppress(RuntimeError):  # the loop has ended
        loop.call_soon_threadsafe(event.set)
