"""Keep calls away from a backend that does not answer, and notice its return.

The adapters and the cache's guard have a circuit breaker each. A breaker knows no backend: its
owner says when a call has failed, and how to find out whether the backend is well again.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from enum import StrEnum

from messaging.domain.backend_errors import BackendError
from messaging.domain.backoff import Backoff

logger = logging.getLogger(__name__)

FIRST_PAUSE_S = 0.05
LONGEST_PAUSE_S = 1.0


class State(StrEnum):
    CLOSED = "closed"  # calls pass
    OPEN = "open"  # calls are refused at once
    HALF_OPEN = "half-open"  # refused too: a probe is under way


class Breaker:
    """Refuse calls while a backend is away, and probe for its return, on one event loop.

    `probe` returns when the backend is well, and raises a BackendError in bounded time when it is
    not. While the breaker is open, probes follow each other with pauses that grow to a second. A
    probe or a check that raises anything else has a fault of its own: the fault is logged, the
    backend counts as away, and the next probe or check is made all the same.
    """

    def __init__(
        self, name: str, probe: Callable[[], Awaitable[None]], *, state: State = State.CLOSED
    ) -> None:
        self.name = name
        self.state = state
        self.opened_s = float("-inf")  # the event loop's time of the last change
        self.closed_s = float("-inf")
        self.changes = 0  # outages that began
        # The seconds of the outages that are over, and the begin of the one that is not, by the
        # machine's clock: one attribute, because another thread reads both.
        self._outages: tuple[float, float | None] = (0.0, None)
        self._probe = probe
        self._current: asyncio.Task[bool] | None = None
        self._next: asyncio.Task[bool] | None = None
        self._probes: asyncio.Task[None] | None = None
        self._watch: asyncio.Task[None] | None = None
        self._checked_s = float("-inf")
        self._longest_s: float | None = None
        self._faults: set[str] = set()  # logged since the last call without one

    @property
    def is_closed(self) -> bool:
        """Tell whether calls pass.

        No call passes in a process that may have slept through an outage.
        """
        return self.state is State.CLOSED and not self._slept

    @property
    def open_s(self) -> float:
        """Return for how many seconds the backend was known to be away; any thread may ask."""
        over_s, began_s = self._outages
        return over_s + (0.0 if began_s is None else time.monotonic() - began_s)

    @property
    def _slept(self) -> bool:
        """Tell whether no check has passed for too long, because this process stood still."""
        if self._longest_s is None:
            return False
        now_s = asyncio.get_running_loop().time()
        return now_s - max(self._checked_s, self.closed_s) > self._longest_s

    def trip(self) -> None:
        """Refuse calls from now on, and begin to probe.

        Safe to repeat.
        """
        if self.state is State.CLOSED:
            self.state = State.OPEN
            self.opened_s = asyncio.get_running_loop().time()
            self.changes += 1
            logger.warning("backend away", extra={"action": "breaker.opened", "backend": self.name})
        if self._outages[1] is None:
            self._outages = self._outages[0], time.monotonic()
        if self._probes is None or self._probes.done():
            self._probes = asyncio.create_task(self._keep_probing())

    async def try_now(self) -> bool:
        """Tell whether a probe that begins after this call finds the backend well.

        All callers during a running probe share the next one.
        """
        if self._next is None:
            self._next = asyncio.create_task(self._probe_after(self._current))
        return await asyncio.shield(self._next)

    def watch(
        self,
        check: Callable[[], Awaitable[None]],
        *,
        every_s: float,
        longest_s: float | None = None,
    ) -> None:
        """Check the backend regularly while calls pass, so that no outage goes unnoticed.

        `check`: raises a BackendError when the backend is away, and sees to it that the breaker is
        tripped.
        `longest_s`: no call passes in a process in which `check` has not passed for so long,
        because such a process may have slept through an outage.
        """
        self._checked_s, self._longest_s = asyncio.get_running_loop().time(), longest_s
        self._watch = asyncio.create_task(self._keep_checking(check, every_s))

    async def close(self) -> None:
        """End all probes and checks.

        Safe to repeat.
        """
        tasks = [t for t in (self._watch, self._probes, self._next, self._current) if t is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _keep_probing(self) -> None:
        backoff = Backoff(FIRST_PAUSE_S, LONGEST_PAUSE_S)
        while not (await self.try_now() and self.is_closed):  # a trip may come in between
            await asyncio.sleep(backoff.next_s())

    async def _probe_after(self, current: asyncio.Task[bool] | None) -> bool:
        if current is not None:
            await asyncio.wait([current])
        self._current, self._next = self._next, None
        if self.state is State.OPEN:
            self.state = State.HALF_OPEN
        if not await self._passes(self._probe, "probe"):
            if self.state is State.HALF_OPEN:
                self.state = State.OPEN
            else:
                self.trip()
            return False
        if self.state is not State.CLOSED:
            self.state = State.CLOSED
            self.closed_s = asyncio.get_running_loop().time()
            self._outages = self.open_s, None
            logger.warning("backend back", extra={"action": "breaker.closed", "backend": self.name})
        return True

    async def _keep_checking(self, check: Callable[[], Awaitable[None]], every_s: float) -> None:
        while True:
            await asyncio.sleep(every_s)
            if self.state is not State.CLOSED:
                continue
            passed = await self._passes(check, "check")
            if self._slept:
                self.trip()
            elif passed:
                self._checked_s = asyncio.get_running_loop().time()

    async def _passes(self, call: Callable[[], Awaitable[None]], name: str) -> bool:
        try:
            await call()
        except BackendError:
            return False
        except Exception:  # without probes nothing would pass ever again
            if name not in self._faults:
                self._faults.add(name)
                extra = {"action": "breaker.fault", "backend": self.name}
                logger.exception("a %s failed by a fault of its own", name, extra=extra)
            return False
        self._faults.discard(name)
        return True
