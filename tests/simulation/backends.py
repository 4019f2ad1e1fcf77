"""Stand as the backends behind the ports of all processes, and be away as a schedule says."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

from messaging.domain.backend_errors import BackendError
from messaging.testing.cache import MemoryCache
from messaging.testing.log import MemoryBroker
from tests.simulation.faults import Outage

NOTICED_S = 0.5  # every process notices an outage this long, some a shorter one


@dataclass(slots=True, eq=False)
class Backend:
    """Describe a backend as its callers meet it: the error when it is away, and after how long."""

    name: str
    error: type[BackendError]  # of a backend that refuses
    gone: Callable[[], BackendError]  # of a backend without an answer
    timeout_s: float
    outage: Outage | None = None
    late: int = 0  # calls that are done after their callers gave up
    restarts: int = 0  # calls from before a restart are not done after it
    left_s: float = 0.0  # when the last outage began
    noticed_s: float = float("-inf")  # when the last outage ended that every process noticed
    _back: asyncio.Future[None] | None = None
    _at_thaw: list[Callable[[], None]] = field(default_factory=list)

    def leave(self, outage: Outage) -> None:
        loop = asyncio.get_running_loop()
        if self.outage is None:
            self._back, self.left_s = loop.create_future(), loop.time()
        self.outage = outage

    def come_back(self) -> None:
        if self._back is not None:
            self._back.set_result(None)
            now_s = asyncio.get_running_loop().time()
            if now_s - self.left_s >= NOTICED_S:
                self.noticed_s = now_s
        self.outage = self._back = None
        for act in self._at_thaw:
            act()
        self._at_thaw.clear()

    def restart(self) -> None:
        """Forget the calls that were asked before the restart: they are never done."""
        self.restarts += 1
        self.late -= len(self._at_thaw)
        self._at_thaw.clear()

    def at_thaw(self, act: Callable[[], None]) -> None:
        """Do what was asked of a frozen backend as soon as it thaws, in the order of the calls."""
        self._at_thaw.append(act)

    async def wait_back(self, within_s: float) -> bool:
        if self._back is not None:
            await asyncio.wait([self._back], timeout=within_s)
        return self.outage is None


class Cache(MemoryCache):
    """Keep the cache, which a schedule can wipe and age."""

    __slots__ = ()

    def run_out(self) -> None:
        """Let half an hour pass.

        A list with a pending message stays, because each sweep removes its expiry.
        """
        pending = self.pending_set.times
        kept = {name: t for name, t in self.tails.items() if any(i in pending for i in t.ids)}
        super().run_out()
        self.tails |= kept

    def wipe(self) -> None:
        """Drop everything, as after a restart without a file."""
        self.restart(MemoryCache().file())


class Broker(MemoryBroker):
    """Keep the log's broker, and wake the readers that wait for its records."""

    __slots__ = ("arrival",)

    def __init__(self, *, clock_s: Callable[[], float]) -> None:
        super().__init__(partitions=3, max_poll_interval_s=3.0, clock_s=clock_s)
        self.arrival: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def announce(self) -> None:
        self.arrival.set_result(None)
        self.arrival = asyncio.get_running_loop().create_future()

    def set_back(self) -> None:
        """Set the groups' positions back to the start, and give out every partition anew."""
        for place in self.committed:
            self.committed[place] = 0
        for group in self.groups.values():
            group.owners.clear()
