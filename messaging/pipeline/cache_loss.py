"""Announce in the store that this process writes without the cache, and heed such announcements.

A process that loses Redis goes on: it accepts, recalls and deletes, and gives Redis all of it
later. When Redis is away for all, no other process reads Redis meanwhile. But when one process
alone is cut off from Redis, the others read on, and their pages lack what the process writes. So
the process announces its loss in the store, and answers once the others have had the time to read
the announcement. While the announcement stands, each process that reaches Redis and the store
makes pages partial, and gives Redis the hints that the store has.

With the store away as well nothing can be announced. The others then notice the loss when the
heartbeats of the process stop (`CacheHealth.heartbeat`).
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import secrets
from collections.abc import Awaitable, Callable

from messaging.domain.backend_errors import BackendError, StoreUnavailable
from messaging.domain.breakers import Breaker
from messaging.ports.store import MessageStore

logger = logging.getLogger(__name__)

GRACE_S = 0.3  # until every process has noticed that the cache is away, or that one has lost it
STANDS_S = 3.0  # an announcement, unless it is renewed or withdrawn
RENEW_AFTER_S = 1.0


class CacheLoss:
    """Announce the loss of the cache while it lasts, and watch for the losses of other processes.

    `stand_in` does for a process without the cache what that process cannot do. Belongs to one
    event loop.
    """

    def __init__(
        self, store: MessageStore, breaker: Breaker, stand_in: Callable[[], Awaitable[None]]
    ) -> None:
        self._store, self._breaker, self._stand_in = store, breaker, stand_in
        self._process = secrets.token_hex(8)
        self._since_s = float("-inf")  # the event loop's times of the announcement that stands
        self._renewed_s = float("-inf")
        self._writing: asyncio.Task[None] | None = None
        self._removing: asyncio.Task[None] | None = None
        self._turn = asyncio.Lock()  # for one write of the announcement at a time
        self._watch: asyncio.Task[None] | None = None

    def announce(self) -> None:
        """Begin to announce the loss in the store, or to renew an announcement that is old.

        An announcement that cannot be written now is written by a later call.
        """
        if self._writing is not None and not self._writing.done():
            return
        if not self._stands or _now_s() >= self._renewed_s + RENEW_AFTER_S:
            self._writing = asyncio.create_task(self._write())

    async def until_announced(self) -> None:
        """Announce the loss, and wait until the announcement stands, GRACE_S at most."""
        self.announce()
        if self._writing is not None and not self._stands:
            await asyncio.wait([self._writing], timeout=GRACE_S)

    async def until_noticed(self) -> None:
        """Return when the cache is well, or when every process knows of its loss.

        The first call after a loss takes up to twice GRACE_S, and later ones no time. Without an
        announcement no process learns more in that time than a probe tells.
        """
        await self.until_announced()
        left_s = max(self._breaker.opened_s, self._since_s) + GRACE_S - _now_s()
        if left_s > 0 and not self._breaker.is_closed:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(left_s):
                    if not await self._breaker.try_now() and self._stands:
                        await asyncio.sleep(left_s)

    def withdraw(self) -> None:
        """Withdraw the announcement, now that the cache has all that this process has written."""
        if self._writing is None:
            return
        self._writing.cancel()
        self._writing, self._since_s, self._renewed_s = None, float("-inf"), float("-inf")
        self._removing = asyncio.create_task(self._remove())

    def watch(self, *, every_s: float) -> None:
        """Stand in for other processes from now on, while their announcements stand."""
        self._watch = asyncio.create_task(self._keep_looking(every_s))

    async def close(self) -> None:
        """End all that is under way; an announcement runs out by itself. Safe to repeat."""
        every = (self._watch, self._writing, self._removing)
        tasks = [task for task in every if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    @property
    def _stands(self) -> bool:
        return _now_s() < self._renewed_s + STANDS_S

    async def _write(self) -> None:
        async with self._turn:
            stood, began_s = self._stands, _now_s()
            with contextlib.suppress(StoreUnavailable):
                await self._store.announce_loss(self._process, STANDS_S)
                self._renewed_s = began_s
                if not stood:
                    self._since_s = _now_s()
                    logger.warning(
                        "going on without Redis, and told the other processes so",
                        extra={"action": "cache_loss.announced"},
                    )

    async def _remove(self) -> None:
        async with self._turn:
            with contextlib.suppress(StoreUnavailable):
                await self._store.withdraw_loss(self._process)

    async def _keep_looking(self, every_s: float) -> None:
        while True:
            await asyncio.sleep(every_s)
            try:
                if await self._store.is_loss_announced(besides=self._process):
                    await self._stand_in()
            except BackendError:
                continue
            except Exception:  # without this loop no loss would be heeded any more
                logger.exception(
                    "standing in for another process failed; trying again",
                    extra={"action": "cache_loss.stand_in"},
                )


def _now_s() -> float:
    return asyncio.get_running_loop().time()
