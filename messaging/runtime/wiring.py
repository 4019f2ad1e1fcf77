"""Keep the runtime of this process: its event loop, its thread and its end.

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
from typing import Any, TypeVar

from messaging.cache.change_feed import publish
from messaging.conf import settings
from messaging.domain.breakers import State
from messaging.domain.changes import Change, Notice
from messaging.domain.errors import TemporarilyUnavailable
from messaging.domain.ids import ClockHealth
from messaging.pipeline.compensation import Sweep
from messaging.pipeline.consumer import Consuming
from messaging.pipeline.sweep_watch import Sweeps
from messaging.runtime import counting
from messaging.runtime.adapters import CLOSE_TIMEOUT_S
from messaging.runtime.assembly import sweep
from messaging.runtime.runtime import Runtime, build
from messaging.service.backends import Backends

logger = logging.getLogger(__name__)
T = TypeVar("T")

PROBE_STORE_EVERY_S = 0.25  # a recall waits longer for the store before the log is enough


_runtime: Runtime | None = None
_role: str | None = (
    None  # of a runtime with a loop of its own; None: a command, which counts nothing
)
_lock = threading.Lock()


async def start(*, role: str | None = None) -> None:
    """Build this process's runtime on the running loop, and start its background tasks.

    A process with a role counts (`runtime.counting`).

    Raises: RuntimeError when the process has a runtime already.
    """
    global _runtime
    if _runtime is not None:
        raise RuntimeError("this process has a runtime already")
    _runtime = build(asyncio.get_running_loop(), settings())
    await _begin(_runtime, role=role, name=secrets.token_hex(8))


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


async def _begin(runtime: Runtime, *, role: str | None, name: str | None = None) -> None:
    """Write the recorded hints to the cache, watch it, listen to changes, and lease a worker id.

    A process with a `name` takes messages from clients, and also watches the sweeps. A process with
    a `role` counts.
    """
    if role is not None:
        runtime.count(role)
    runtime.store.breaker.watch(runtime.store.probe, every_s=PROBE_STORE_EVERY_S)
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


def publish_changes(changes: Sequence[Change]) -> None:
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


def breaker_states() -> dict[str, State | Sweeps | Consuming | ClockHealth]:
    """Return by name the states of the breakers, the sweeps, the consumers and the clock."""
    runtime = _ensure()
    breakers = {name: breaker.state for name, breaker in runtime.node.breakers.items()}
    return {
        **breakers,
        "compensation": runtime.sweeps.state,
        "consumer": Consuming.HELD if runtime.backends.hints.has_held else Consuming.WELL,
        "clock": runtime.backends.ids.clock,
    }


def compensate() -> Sweep:
    """Run one compensation sweep from a synchronous thread, and wait for it.

    Raises: CacheUnavailable; TemporarilyUnavailable 15 s after the sweep's time budget.
    """
    runtime = _ensure()
    budget_s = runtime.backends.settings.compensate_budget_s
    done = _submit(runtime, sweep(runtime.backends), budget_s + 15)
    counting.note_sweep()
    return done


def begin_worker() -> None:
    """Build the runtime of a worker of Celery, which counts; `reset` closes the runtime.

    Raises: TemporarilyUnavailable. Leaves: a worker that counts once its first task has built it.
    """
    global _role
    _role = "worker"
    _ensure()


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
            _submit(runtime, _begin(runtime, role=_role), CLOSE_TIMEOUT_S)
            _runtime = runtime
        return _runtime


async def _build_on(loop: asyncio.AbstractEventLoop) -> Runtime:
    return build(loop, settings())


def _forget_parents_runtime() -> None:
    """Forget the runtime in a forked child.

    The child must not touch its parent's connections, loop or worker id.
    """
    global _runtime, _lock
    _runtime = None
    _lock = threading.Lock()


os.register_at_fork(after_in_child=_forget_parents_runtime)
