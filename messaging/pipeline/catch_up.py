"""Tell whether the log may hold states that the store lacks, because the store was away.

While the store is away, recalls are acknowledged by the cache and the log alone. The consumer
stores these recalls once the store is back. Until then the rows alone may show what was recalled.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from messaging.domain.backend_errors import LogUnavailable
from messaging.domain.breakers import LONGEST_PAUSE_S, Breaker
from messaging.ports.audit import LogInspector

logger = logging.getLogger(__name__)

CHECK_EVERY_S = 0.5


class CatchUp:
    """Compare what the consumers have committed with the end that the log had after an outage.

    `store` is the circuit breaker of the store. `open_inspector` makes a reader of the log's ends,
    which is used once. `store_timeout_s` bounds a call of the store. Belongs to one event loop.
    """

    def __init__(
        self, store: Breaker, open_inspector: Callable[[], LogInspector], *, store_timeout_s: float
    ) -> None:
        self._store = store
        self._open_inspector = open_inspector
        # By then each process has probed the store, so that recalls go to the store again.
        self._all_back_s = LONGEST_PAUSE_S + store_timeout_s
        self._return_s = store.closed_s  # the return after which all is stored
        self._watch: asyncio.Task[None] | None = None

    @property
    def is_behind(self) -> bool:
        """Tell whether recalls that the cache and the log have may be missing in the store."""
        return not self._store.is_closed or self._return_s != self._store.closed_s

    def watch(self) -> None:
        """Compare from now on, after each outage that this process notices."""
        self._watch = asyncio.create_task(self._keep_checking())

    async def close(self) -> None:
        """Compare no more. Safe to repeat."""
        if self._watch is not None:
            self._watch.cancel()
            await asyncio.gather(self._watch, return_exceptions=True)

    async def _keep_checking(self) -> None:
        while True:
            if self.is_behind and self._store.is_closed:
                try:
                    await self._wait_stored(self._store.closed_s)
                except LogUnavailable:
                    logger.warning(
                        "cannot read the end of the log; trying again",
                        extra={"action": "store.catching_up"},
                    )
                except Exception:  # without this loop the store would be behind for ever
                    logger.exception(
                        "reading the end of the log failed; trying again",
                        extra={"action": "store.catching_up"},
                    )
            await asyncio.sleep(CHECK_EVERY_S)

    async def _wait_stored(self, return_s: float) -> None:
        """Return when all is stored that the log had after this return, or at the next outage.

        Raises: LogUnavailable.
        """
        left_s = return_s + self._all_back_s - asyncio.get_running_loop().time()
        await asyncio.sleep(max(left_s, 0.0))
        inspector = self._open_inspector()
        try:
            ends = {extent.partition: extent.end for extent in await inspector.extents()}
            while self._store.is_closed and self._store.closed_s == return_s:
                if await inspector.is_committed(ends):
                    self._return_s = return_s
                    logger.info(
                        "the database has caught up with the log",
                        extra={"action": "store.caught_up"},
                    )
                    return
                await asyncio.sleep(CHECK_EVERY_S)
        finally:
            await inspector.close()
