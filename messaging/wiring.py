"""The composition root: settings to adapters, once a process, lazily, on one event loop.

The ASGI front door calls `start` with the server's loop. Any other process (a Celery worker, a
command, a test) gets a loop of its own in a background thread at the first `run`. A forked child
starts without a runtime and makes its own.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import logging
import os
import secrets
import threading
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from messaging.audit.check import Parts
from messaging.breakers import Breaker, State
from messaging.cache import ChangeListener, RedisCacheInspector, RedisMessageCache, publish
from messaging.changes import Change, Notice
from messaging.conf import Settings, settings
from messaging.directory import DatabaseDirectory
from messaging.errors import (
    CacheUnavailable,
    IdsUnavailable,
    StoreUnavailable,
    TemporarilyUnavailable,
)
from messaging.eventlog import open_inspector, open_log, open_reader
from messaging.ids import Clock, SnowflakeIdGenerator, wall_clock_ms
from messaging.pipeline.accept import Acceptor
from messaging.pipeline.arrears import Arrears
from messaging.pipeline.compensation import Compensator
from messaging.pipeline.consumer import Consumer, Consuming
from messaging.pipeline.guarded_cache import guarded
from messaging.pipeline.sweep_watch import Sweeps, SweepWatch, mark_swept
from messaging.pipeline.worker_lease import WorkerLeaseKeeper
from messaging.ports import MessageCache
from messaging.rates import PasswordRates, Rates, UserRates
from messaging.service.backends import Backends
from messaging.store import DatabaseInspector, DatabaseStore

logger = logging.getLogger(__name__)
T = TypeVar("T")

CLOSE_TIMEOUT_S = 10.0
WATCH_STORE_S = 0.25  # a recall waits longer for the store before the log is enough
CATCHES_UP_S = 300.0  # how long after an outage of the store the log may have what it lacks
AUDIT_PATIENCE_S = 30.0


@dataclass(slots=True)
class Runtime:
    """The adapters of this process and the loop that they live on."""

    loop: asyncio.AbstractEventLoop
    backends: Backends
    lease: WorkerLeaseKeeper
    changes: ChangeListener
    redis: MessageCache  # the cache past its breaker
    store: DatabaseStore
    breakers: Mapping[str, Breaker]
    sweeps: SweepWatch
    thread: threading.Thread | None = None

    async def close(self) -> None:
        """Let what is under way end, then let go of everything. Bounded."""
        async with asyncio.timeout(CLOSE_TIMEOUT_S):
            await self.backends.acceptor.close()
            await self.sweeps.close()
            await self.changes.close()
            await self.lease.close()
            await self.backends.arrears.leave()
            await self.backends.log.close()
            await self.backends.cache.close()
            await self.backends.store.close()
            await self.backends.directory.close()


_runtime: Runtime | None = None
_lock = threading.Lock()


def _build(loop: asyncio.AbstractEventLoop, current: Settings) -> Runtime:
    redis = RedisMessageCache(current)
    log = open_log(current.event_log_url, current)
    store = DatabaseStore(current)
    arrears = Arrears(redis, store)
    arrears.nothing_noted = lambda: _was_away_before(store.breaker, arrears.breaker)
    arrears.recalls_missing = lambda: _was_away_lately(store.breaker)
    redis.on_lost = arrears.breaker.trip
    cache = guarded(redis, arrears.breaker)
    directory = DatabaseDirectory(current)
    changes = ChangeListener(current, on_change=directory.forget, on_gap=directory.doubt)
    ids = SnowflakeIdGenerator()
    lease = WorkerLeaseKeeper(ids=ids, cache=cache, store=store, settings=current)
    acceptor = Acceptor(
        cache=cache,
        log=log,
        store=store,
        ids=ids,
        renew_lease=lease.ensure,
        settings=current,
        rates=Rates(rate=current.send_rate, burst=current.send_burst),
        arrears=arrears,
    )
    backends = Backends(
        cache=cache,
        log=log,
        store=store,
        directory=directory,
        ids=ids,
        acceptor=acceptor,
        arrears=arrears,
        rates=UserRates.of(current),
        password_rates=PasswordRates.of(current),
        settings=current,
        clock_ms=wall_clock_ms,
    )
    return Runtime(
        loop=loop,
        backends=backends,
        lease=lease,
        changes=changes,
        redis=redis,
        store=store,
        breakers={"cache": arrears.breaker, "log": log.breaker, "store": store.breaker},
        sweeps=SweepWatch(cache, current),
    )


def _was_away_lately(store: Breaker) -> bool:
    now_s = asyncio.get_running_loop().time()
    return not store.is_closed or now_s - store.closed_s < CATCHES_UP_S


def _was_away_before(store: Breaker, cache: Breaker) -> bool:
    return not store.is_closed and store.opened_s <= cache.opened_s


async def start() -> None:
    """Take the running loop as this process's loop and begin what runs beside the requests."""
    global _runtime
    if _runtime is not None:
        raise RuntimeError("this process has a runtime already")
    _runtime = _build(asyncio.get_running_loop(), settings())
    await _begin(_runtime, name=secrets.token_hex(8))


def backends() -> Backends:
    """What `start` has built; for calls on its loop alone."""
    if _runtime is None:
        raise RuntimeError("this process has no runtime")
    return _runtime.backends


async def stop() -> None:
    """The end of what `start` began."""
    global _runtime
    runtime, _runtime = _runtime, None
    if runtime is not None:
        await runtime.close()


async def _begin(runtime: Runtime, *, name: str | None = None) -> None:
    """Learn what the cache is owed, watch it, listen to changes, and lease a worker id.

    With a name it is a process that clients send messages to.
    """
    arrears = runtime.backends.arrears
    try:
        await arrears.settle()
    except CacheUnavailable:
        logger.warning("no cache yet", extra={"action": "wiring.no_cache"})
    except StoreUnavailable:
        logger.warning("arrears unknown", extra={"action": "wiring.no_arrears"})
    arrears.watch(name=name)
    runtime.store.breaker.watch(runtime.store.look, every_s=WATCH_STORE_S)
    if name is not None:
        runtime.sweeps.start()
    await runtime.changes.start()
    try:
        await runtime.lease.ensure()
    except IdsUnavailable:
        logger.warning("no worker id yet", extra={"action": "wiring.no_worker_id"})


def run(use_case: Callable[[Backends], Awaitable[T]]) -> T:
    """Run a use case from a synchronous thread and wait for it.

    Raises what the use case raises, and TemporarilyUnavailable at the deadline; the use case is
    cancelled then. Must not be called on the loop itself.
    """
    runtime = _ensure()

    async def call() -> T:
        return await use_case(runtime.backends)

    return _submit(runtime, call(), runtime.backends.settings.request_timeout_s)


def tell(changes: Sequence[Change]) -> None:
    """Let all processes forget what has changed, this one before whatever its loop is given next.

    From a synchronous thread. Raises CacheUnavailable when the others could not be told.
    """
    runtime, origin = _runtime, ""
    if runtime is not None:
        origin = runtime.changes.origin
        with contextlib.suppress(RuntimeError):  # its loop has ended
            runtime.loop.call_soon_threadsafe(runtime.changes.take, changes)
    publish(settings(), Notice(origin, tuple(changes)))


def states() -> dict[str, State | Sweeps | Consuming | Clock]:
    """Return the states of this process's breakers by name, of sweeps, consumers and the clock."""
    runtime = _ensure()
    breakers = {name: breaker.state for name, breaker in runtime.breakers.items()}
    return {
        **breakers,
        "compensation": runtime.sweeps.state,
        "consumer": Consuming.HELD if runtime.backends.arrears.has_held else Consuming.WELL,
        "clock": runtime.backends.ids.clock,
    }


def compensate() -> Any:
    """One compensation sweep, from a synchronous thread."""
    runtime = _ensure()
    budget_s = runtime.backends.settings.compensate_budget_s
    sweep = _sweep(runtime, compensator(runtime.backends, cache=runtime.redis))
    return _submit(runtime, sweep, budget_s + 15)


async def _sweep(runtime: Runtime, compensator: Compensator) -> Any:
    """With it, what the cache is owed of calls whose answers were lost."""
    await runtime.backends.arrears.breaker.try_now()
    done = await compensator.sweep()
    await mark_swept(runtime.redis, runtime.backends.settings)
    return done


def compensator(backends: Backends, *, cache: MessageCache | None = None) -> Compensator:
    """Past the cache's breaker it frees memory even while Redis has no room for anything else."""
    return Compensator(
        cache=cache or backends.cache,
        log=backends.log,
        store=backends.store,
        settings=backends.settings,
        clock_ms=backends.clock_ms,
    )


def open_consumer() -> Consumer:
    """A consumer on the running loop, with adapters of its own; `close_consumer` ends them."""
    current = settings()
    return Consumer(
        reader=open_reader(current.event_log_url, current),
        log=open_log(current.event_log_url, current),
        cache=RedisMessageCache(current),
        store=DatabaseStore(current),
        settings=current,
    )


async def close_consumer(consumer: Consumer) -> None:
    async with asyncio.timeout(CLOSE_TIMEOUT_S):
        await consumer.reader.close()
        await consumer.log.close()
        await consumer.cache.close()
        await consumer.store.close()


def open_audit_parts() -> Parts:
    """What an audit works with on the running loop; `close_audit_parts` ends it.

    Nobody waits for its answers as for a send's: it is more patient with a busy Redis.
    """
    given = settings()
    current = replace(given, redis_timeout_s=max(given.redis_timeout_s, AUDIT_PATIENCE_S))
    cache, store = RedisMessageCache(current), DatabaseStore(current)
    return Parts(
        cache=cache,
        store=store,
        cached=RedisCacheInspector(current),
        stored=DatabaseInspector(current),
        log=open_inspector(current.event_log_url, current),
        compensator=Compensator(
            cache=cache,
            log=open_log(current.event_log_url, current),
            store=store,
            settings=current,
            clock_ms=wall_clock_ms,
        ),
    )


async def close_audit_parts(parts: Parts) -> None:
    async with asyncio.timeout(CLOSE_TIMEOUT_S):
        await parts.log.close()
        await parts.stored.close()
        await parts.cached.close()
        await parts.compensator.log.close()
        await parts.store.close()
        await parts.cache.close()


def reset() -> None:
    """Drop this process's runtime, closing it if it owns its loop; the next `run` makes another."""
    global _runtime
    with _lock:
        runtime, _runtime = _runtime, None
    if runtime is None or runtime.thread is None:
        return
    _submit(runtime, runtime.close(), CLOSE_TIMEOUT_S + 1)
    runtime.loop.call_soon_threadsafe(runtime.loop.stop)
    runtime.thread.join(CLOSE_TIMEOUT_S)
    runtime.loop.close()


def _submit(runtime: Runtime, call: Coroutine[Any, Any, T], timeout_s: float) -> T:
    if threading.current_thread() is runtime.thread:
        call.close()
        raise RuntimeError("a synchronous call on the event loop would wait for itself")
    future = asyncio.run_coroutine_threadsafe(call, runtime.loop)
    try:
        return future.result(timeout_s)
    except concurrent.futures.TimeoutError as error:
        if not future.done():
            future.cancel()
        raise TemporarilyUnavailable from error


def _ensure() -> Runtime:
    global _runtime
    with _lock:
        if _runtime is None:
            loop = asyncio.new_event_loop()
            thread = threading.Thread(target=loop.run_forever, name="messaging-loop", daemon=True)
            thread.start()
            runtime = asyncio.run_coroutine_threadsafe(_build_on(loop), loop).result()
            runtime.thread = thread
            _submit(runtime, _begin(runtime), CLOSE_TIMEOUT_S)
            _runtime = runtime
        return _runtime


async def _build_on(loop: asyncio.AbstractEventLoop) -> Runtime:
    return _build(loop, settings())


def _forget_parents_runtime() -> None:
    """A forked child must not touch its parent's connections, loop or worker id."""
    global _runtime, _lock
    _runtime = None
    _lock = threading.Lock()


os.register_at_fork(after_in_child=_forget_parents_runtime)
