"""Build one process of the service over the ports that it is given.

Production, the simulator, the tests over memory and the tests of interleavings call `assemble`, so
that each of them runs what the others run.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

from messaging.conf import Settings
from messaging.domain.backend_errors import CacheUnavailable, StoreUnavailable
from messaging.domain.breakers import Breaker
from messaging.domain.conversations import joint_mark
from messaging.domain.errors import IdsUnavailable
from messaging.domain.ids import SnowflakeIdGenerator, wall_clock_ms
from messaging.domain.rates import PasswordRates, Rates, UserRates
from messaging.domain.sharing import SharedReads
from messaging.domain.stays import Stays
from messaging.limits import NARROWING_AT_A_TIME
from messaging.pipeline.accept import Acceptor
from messaging.pipeline.catch_up import CatchUp
from messaging.pipeline.commit import GroupCommit
from messaging.pipeline.compensation import Compensator, Sweep
from messaging.pipeline.gather import Gatherer
from messaging.pipeline.guarded_cache import guarded
from messaging.pipeline.hints import CacheHints
from messaging.pipeline.sweep_watch import mark_swept
from messaging.pipeline.write_through import HintedWrites
from messaging.ports.audit import LogInspector
from messaging.ports.cache import MessageCache
from messaging.ports.conversations import ConversationStore
from messaging.ports.directory import Directory
from messaging.ports.groups import GroupStore
from messaging.ports.log import EventLog
from messaging.ports.store import MessageStore
from messaging.runtime.worker_lease import WorkerLeaseKeeper
from messaging.service.backends import Backends, Publish
from messaging.service.marks import write_marks

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Node:
    """Hold the parts of one process; `backends` is what its use cases are given.

    `lease` keeps the worker id under which `backends.ids` gives ids.
    """

    backends: Backends
    lease: WorkerLeaseKeeper

    @property
    def breakers(self) -> Mapping[str, Breaker]:
        """Return the circuit breakers by the name of the part that each one guards."""
        parts = self.backends
        return {
            "cache": parts.hints.breaker,
            "log": parts.log.breaker,
            "store": parts.store.breaker,
        }

    async def begin(self, *, name: str | None = None) -> None:
        """Bring the cache up to date, watch the cache, and lease a worker id.

        A process with a `name` accepts messages: other processes miss its heartbeats. A part that
        is away is logged, and is waited for in the background.
        """
        hints = self.backends.hints
        try:
            await hints.recover()
        except CacheUnavailable:
            logger.warning(
                "Redis does not answer yet; starting without it",
                extra={"action": "wiring.no_cache"},
            )
        except StoreUnavailable:
            logger.warning(
                "cannot read yet what Redis lacks; trying again",
                extra={"action": "wiring.no_hints"},
            )
            hints.breaker.trip()
        hints.watch(name=name)
        self.backends.catch_up.watch()
        try:
            await self.lease.ensure()
        except IdsUnavailable:
            logger.warning(
                "no worker id leased yet; trying again", extra={"action": "wiring.no_worker_id"}
            )


def assemble(
    *,
    cache: MessageCache,
    log: EventLog,
    store: MessageStore,
    directory: Directory,
    groups: GroupStore,
    conversations: ConversationStore,
    publish: Publish,
    ids: SnowflakeIdGenerator,
    settings: Settings,
    open_inspector: Callable[[], LogInspector],
    clock_ms: Callable[[], int] = wall_clock_ms,
    monotonic_s: Callable[[], float] = time.monotonic,
) -> Node:
    """Build a process over these ports; `cache` is the bare one, without a breaker.

    `open_inspector` makes a new reader of what the consumers have committed, at each call. Opens no
    connection and starts no task: `Node.begin` does.
    """
    breaker = Breaker("cache", lambda: hints.recover())
    hints = CacheHints(cache, store, breaker, directory.forget_groups)
    guarded_cache = guarded(cache, hints.breaker, lambda: hints.incarnation)
    lease = WorkerLeaseKeeper(
        ids=ids, cache=guarded_cache, store=store, settings=settings, monotonic_s=monotonic_s
    )
    writes = HintedWrites(guarded_cache, store, hints)
    rates = Rates(rate=settings.send_rate, burst=settings.send_burst)
    commit = GroupCommit(
        guarded_cache, log, store, ids, lease.ensure, settings, rates, hints, writes
    )
    backends = Backends(
        cache=guarded_cache,
        log=log,
        store=store,
        directory=directory,
        groups=groups,
        conversations=conversations,
        publish=publish,
        ids=ids,
        acceptor=Acceptor(commit, settings),
        marks=Gatherer(
            partial(write_marks, conversations, guarded_cache, clock_ms),
            key_of=lambda mark: mark.seat,
            fold=joint_mark,
        ),
        listings=SharedReads(),
        narrowings=Stays(NARROWING_AT_A_TIME),
        hints=hints,
        writes=writes,
        catch_up=CatchUp(store.breaker, open_inspector, store_timeout_s=settings.store_timeout_s),
        rates=UserRates.of(settings),
        password_rates=PasswordRates.of(settings),
        settings=settings,
        clock_ms=clock_ms,
    )
    return Node(backends, lease)


def compensator(backends: Backends) -> Compensator:
    """Build a compensator over these backends, past the breaker of the cache.

    A sweep frees memory even while Redis has no room for anything else.
    """
    return Compensator(
        cache=backends.hints.cache,
        log=backends.log,
        store=backends.store,
        settings=backends.settings,
        clock_ms=backends.clock_ms,
    )


async def sweep(backends: Backends) -> Sweep:
    """Run a whole sweep: deliver the recorded hints, repair pending messages, leave the mark.

    A call that died between its commit and its telling has left hints, such as that of a clear.
    A call that is under way and this sweep may deliver the same hint, which does no harm.

    Raises: CacheUnavailable. Safe to repeat, also at the same time.
    """
    await backends.hints.breaker.try_now()
    done = await compensator(backends).sweep()
    await mark_swept(backends.hints.cache, backends.settings)
    return done
