"""Build the adapters of a process from the settings: the composition root."""

from __future__ import annotations

import asyncio
import threading
from dataclasses import dataclass
from functools import partial

from messaging.cache.change_feed import ChangeListener
from messaging.cache.redis_cache import RedisMessageCache
from messaging.conf import Settings
from messaging.directory import DatabaseDirectory
from messaging.domain.changes import AnythingChanged
from messaging.domain.ids import SnowflakeIdGenerator
from messaging.eventlog import open_log
from messaging.metrics.writer import SnapshotWriter
from messaging.pipeline.sweep_watch import SweepWatch
from messaging.runtime import counting
from messaging.runtime.adapters import CLOSE_TIMEOUT_S, inspector_of_log
from messaging.runtime.assembly import Node, assemble
from messaging.runtime.publishing import publisher
from messaging.service.backends import Backends
from messaging.store.conversations import DatabaseConversations
from messaging.store.database import DatabaseStore
from messaging.store.groups import DatabaseGroups


@dataclass(slots=True)
class Runtime:
    """Hold the adapters of this process and the event loop that they live on.

    `thread` runs the loop where the process does not run the loop itself. `counts` writes what the
    process counts, in a process that counts.
    """

    loop: asyncio.AbstractEventLoop
    node: Node
    changes: ChangeListener
    store: DatabaseStore
    groups: DatabaseGroups
    sweeps: SweepWatch
    thread: threading.Thread | None = None
    counts: SnapshotWriter | None = None

    @property
    def backends(self) -> Backends:
        return self.node.backends

    def count(self, role: str) -> None:
        """Count in this process, as one of this role, until `close`."""
        self.counts = counting.begin(
            role,
            self.backends.settings,
            self.node.breakers,
            ids=self.backends.ids,
            hints=self.backends.hints,
        )

    async def close(self) -> None:
        """Wait for the accepted sends and the marks to end, close all parts, and write the counts.

        Raises: TimeoutError after `CLOSE_TIMEOUT_S`.
        """
        try:
            await self._close_parts()
        finally:
            await counting.end(self.counts)

    async def _close_parts(self) -> None:
        async with asyncio.timeout(CLOSE_TIMEOUT_S):
            await self.backends.acceptor.close()
            await self.backends.marks.close()
            await self.sweeps.close()
            await self.changes.close()
            await self.node.lease.close()
            await self.backends.catch_up.close()
            await self.backends.hints.leave()
            await self.backends.log.close()
            await self.backends.cache.close()
            await self.backends.store.close()
            await self.groups.close()
            await self.backends.conversations.close()
            await self.backends.directory.close()


def build(loop: asyncio.AbstractEventLoop, current: Settings) -> Runtime:
    """Build the adapters of a process; `Node.begin` starts them."""
    redis, store = RedisMessageCache(current), DatabaseStore(current)
    groups, directory = DatabaseGroups(current), DatabaseDirectory(current)
    missed = partial(directory.invalidate, AnythingChanged())
    changes = ChangeListener(current, on_change=directory.invalidate, on_gap=missed)
    node = assemble(
        cache=redis,
        log=open_log(current.event_log_url, current),
        store=store,
        directory=directory,
        groups=groups,
        conversations=DatabaseConversations(current),
        publish=publisher(changes, current),
        ids=SnowflakeIdGenerator(),
        settings=current,
        open_inspector=inspector_of_log,
    )
    redis.on_lost = node.breakers["cache"].trip
    return Runtime(loop, node, changes, store, groups, SweepWatch(node.backends.cache, current))
