"""Build the adapters of a process from the settings: the composition root.

The adapters are built once a process, when they are first needed, and live on one event loop. The
ASGI front door calls `start` on the server's loop. Any other process (a Celery worker, a command, a
test) gets a loop of its own in a background thread at the first `run`. A forked child starts
without a runtime and makes its own.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import logging
import os
import secrets
import threading
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from messaging.audit.check import Parts
from messaging.cache import ChangeListener, RedisCacheInspector, RedisMessageCache, publish
from messaging.conf import Settings, settings
from messaging.directory import DatabaseDirectory
from messaging.domain.breakers import State
from messaging.domain.changes import Change, Notice
from messaging.domain.errors import TemporarilyUnavailable
from messaging.domain.ids import Clock, SnowflakeIdGenerator, wall_clock_ms
from messaging.eventlog import open_inspector, open_log, open_reader
from messaging.pipeline.compensation import Compensator, Sweep
from messaging.pipeline.consumer import Consumer, Consuming
from messaging.pipeline.sweep_watch import Sweeps, SweepWatch, mark_swept
from messaging.ports.audit import LogInspector
from messaging.runtime.assembly import Node, assemble, compensator
from messaging.service.backends import Backends
from messaging.store import DatabaseInspector, DatabaseStore

logger = logging.getLogger(__name__)
T = TypeVar("T")

CLOSE_TIMEOUT_S = 10.0
WATCH_STORE_S = 0.25  # a recall waits longer for the store before the log is enough
AUDIT_PATIENCE_S = 30.0


@dataclass(slots=True)
class Runtime:
    """Hold the adapters of this process and the event loop that they live on.

    `thread` runs the loop where the process does not run the loop itself.
    """

    loop: asyncio.AbstractEventLoop
    node: Node
    changes: ChangeListener
    store: DatabaseStore
    sweeps: SweepWatch
    thread: threading.Thread | None = None

    @property
    def backends(self) -> Backends:
        return self.node.backends

    async def close(self) -> None:
        """Wait for the accepted sends to end, then close all parts.

        Raises: TimeoutError after `CLOSE_TIMEOUT_S`.
        """
        async with asyncio.timeout(CLOSE_TIMEOUT_S):
            await self.backends.acceptor.close()
            await self.sweeps.close()
            await self.changes.close()
            await self.node.lease.close()
            await self.backends.catch_up.close()
            await self.backends.arrears.leave()
            await self.backends.log.close()
            await self.backends.cache.close()
            await self.backends.store.close()
            await self.backends.directory.close()


_runtime: Runtime | None = None
_lock = threading.Lock()


def _build(loop: asyncio.AbstractEventLoop, current: Settings) -> Runtime:
    redis, store = RedisMessageCache(current), DatabaseStore(current)
    directory = DatabaseDirectory(current)
    node = assemble(
        cache=redis,
        log=open_log(current.event_log_url, current),
        store=store,
        directory=directory,
        ids=SnowflakeIdGenerator(),
        settings=current,
        open_inspector=inspector_of_log,
    )
    redis.on_lost = node.breakers["cache"].trip
    changes = ChangeListener(current, on_change=directory.forget, on_gap=directory.doubt)
    return Runtime(loop, node, changes, store, SweepWatch(node.backends.cache, current))


def inspector_of_log() -> LogInspector:
    """Open a reader of the log's ends and of the committed positions; the caller closes it."""
    current = settings()
    return open_inspector(current.event_log_url, current)


async def start() -> None:
    """Build this process's runtime on the running loop, and start its background tasks.

    Raises: RuntimeError when the process has a runtime already.
    """
    global _runtime
    if _runtime is not None:
        raise RuntimeError("this process has a runtime already")
    _runtime = _build(asyncio.get_running_loop(), settings())
    await _begin(_runtime, name=secrets.token_hex(8))


def backends() -> Backends:
    """Return the backends that `start` has built; use them on the loop of `start` alone.

    Raises: RuntimeError when the process has no runtime.
    """
    if _runtime is None:
        raise RuntimeError("this process has no runtime")
    return _runtime.backends


async def stop() -> None:
    """Close the runtime that `start` has built. Safe to repeat."""
    global _runtime
    runtime, _runtime = _runtime, None
    if runtime is not None:
        await runtime.close()


async def _begin(runtime: Runtime, *, name: str | None = None) -> None:
    """Write the noted arrears to the cache, watch it, listen to changes, and lease a worker id.

    A process with a `name` takes messages from clients, and also watches the sweeps.
    """
    runtime.store.breaker.watch(runtime.store.look, every_s=WATCH_STORE_S)
    await runtime.node.begin(name=name)
    if name is not None:
        runtime.sweeps.start()
    await runtime.changes.start()


def run(use_case: Callable[[Backends], Awaitable[T]]) -> T:
    """Run a use case from a synchronous thread and wait for its result.

    Must not be called on the thread that runs the loop: such a call would wait for itself.

    Raises: the errors of the use case; TemporarilyUnavailable after `request_timeout_s`: the use
    case is cancelled then; RuntimeError on the loop's thread, if this module has started it.
    """
    runtime = _ensure()

    async def call() -> T:
        return await use_case(runtime.backends)

    return _submit(runtime, call(), runtime.backends.settings.request_timeout_s)


def tell(changes: Sequence[Change]) -> None:
    """Make all processes forget the changed users, memberships and blocks.

    Called from a synchronous thread. This process forgets them before any call that its loop is
    given later.

    Raises: CacheUnavailable when the changes could not be published to the other processes.
    """
    runtime, origin = _runtime, ""
    if runtime is not None:
        origin = runtime.changes.origin
        with contextlib.suppress(RuntimeError):  # its loop has ended
            runtime.loop.call_soon_threadsafe(runtime.changes.take, changes)
    publish(settings(), Notice(origin, tuple(changes)))


def states() -> dict[str, State | Sweeps | Consuming | Clock]:
    """Return by name the states of the breakers, the sweeps, the consumers and the clock."""
    runtime = _ensure()
    breakers = {name: breaker.state for name, breaker in runtime.node.breakers.items()}
    return {
        **breakers,
        "compensation": runtime.sweeps.state,
        "consumer": Consuming.HELD if runtime.backends.arrears.has_held else Consuming.WELL,
        "clock": runtime.backends.ids.clock,
    }


def compensate() -> Sweep:
    """Run one compensation sweep from a synchronous thread, and wait for it.

    Raises: CacheUnavailable; TemporarilyUnavailable 15 s after the sweep's time budget.
    """
    runtime = _ensure()
    budget_s = runtime.backends.settings.compensate_budget_s
    return _submit(runtime, _sweep(runtime.backends), budget_s + 15)


async def _sweep(backends: Backends) -> Sweep:
    """Run a sweep, after writing the noted arrears to the cache.

    Such arrears may be left by a call whose answer was lost.
    """
    await backends.arrears.breaker.try_now()
    done = await compensator(backends).sweep()
    await mark_swept(backends.arrears.cache, backends.settings)
    return done


def open_consumer() -> Consumer:
    """Build a consumer on the running loop with its own adapters; `close_consumer` closes them."""
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
    """Build the adapters of an audit on the running loop; `close_audit_parts` closes them.

    No client waits for an audit, so its calls of Redis may take `AUDIT_PATIENCE_S`.
    """
    given = settings()
    current = replace(given, redis_timeout_s=max(given.redis_timeout_s, AUDIT_PATIENCE_S))
    cache, store = RedisMessageCache(current), DatabaseStore(current)
    return Parts(
        cache=cache,
        store=store,
        cached=RedisCacheInspector(current),
        stored=DatabaseInspector(current),
        log=inspector_of_log(),
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
    """Drop this process's runtime; the next `run` builds another one.

    A runtime with a loop of its own is closed, and its thread ends.
    """
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
    """Forget the runtime in a forked child.

    The child must not touch its parent's connections, loop or worker id.
    """
    global _runtime, _lock
    _runtime = None
    _lock = threading.Lock()


os.register_at_fork(after_in_child=_forget_parents_runtime)
