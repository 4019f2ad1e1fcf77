"""Run actors over real parts, one call to a port at a time, in an order that a test chooses.

An actor is a coroutine that is given gated ports (`PortTurns.port`). An actor stops before each
call of a port until its turn comes, and runs on between two of its calls. An order of turns is
therefore an order of everything that other actors can see.
"""

from __future__ import annotations

import asyncio
import inspect
import random
from collections.abc import Awaitable, Callable, Collection, Coroutine, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeVar, cast

from messaging.pipeline.consumer import Consumer
from messaging.runtime import adapters
from messaging.runtime.assembly import assemble
from messaging.service.backends import Backends

PortType = TypeVar("PortType")
Choose = Callable[[Sequence[str]], str]

STUCK_AFTER_S = 20.0
UNGATED = ("ping", "keep_alive", "close")


class PortTurns:
    """Give the turns to actors at their ports; given `calls`, only calls of these names wait."""

    def __init__(self, calls: Collection[str] = ()) -> None:
        self._calls = calls
        self._parked: dict[str, asyncio.Future[None]] = {}
        self._changed = asyncio.Event()
        self._over = False

    def port(self, actor: str, port: PortType) -> PortType:
        """Return the same port, whose calls wait for this actor's turn."""
        return cast(PortType, _Gated(self, actor, port))

    def backends(self, actor: str, backends: Backends) -> Backends:
        """Return the same backends for one actor; its sends go through an acceptor of its own."""
        redis, log, store = (
            self.port(actor, port) for port in (backends.hints.cache, backends.log, backends.store)
        )
        own = assemble(
            cache=redis,
            log=log,
            store=store,
            directory=backends.directory,
            groups=backends.groups,
            conversations=backends.conversations,
            publish=backends.publish,
            ids=backends.ids,
            settings=backends.settings,
            open_inspector=adapters.inspector_of_log,
            clock_ms=backends.clock_ms,
        ).backends
        own.acceptor.commit.renew_lease = backends.acceptor.commit.renew_lease
        return own

    def consumer(self, actor: str, consumer: Consumer) -> Consumer:
        return replace(
            consumer,
            reader=self.port(actor, consumer.reader),
            log=self.port(actor, consumer.log),
            cache=self.port(actor, consumer.cache),
            store=self.port(actor, consumer.store),
        )

    def is_gated(self, call: str) -> bool:
        return call in self._calls if self._calls else call not in UNGATED

    async def pass_gate(self, actor: str) -> None:
        if self._over:
            raise asyncio.CancelledError
        gate = self._parked[actor] = asyncio.get_running_loop().create_future()
        self._changed.set()
        await gate

    async def play(
        self,
        actors: Mapping[str, Coroutine[Any, Any, object]],
        choose: Choose,
        *,
        between: Callable[[], Awaitable[None]] | None = None,
        turns: int | None = None,
    ) -> dict[str, object]:
        """Run the actors to their ends, with `between` after each turn; return their results.

        After `turns` turns everything stops, as in a crash: a waiting actor never gets its turn. An
        actor that fails fails the test.
        """
        tasks = {name: asyncio.ensure_future(actor) for name, actor in actors.items()}
        for task in tasks.values():
            task.add_done_callback(lambda _: self._changed.set())
        try:
            while turns is None or turns > 0:
                async with asyncio.timeout(STUCK_AFTER_S):
                    ready = await self._ready(tasks)
                if not ready:
                    break
                self._parked.pop(choose(ready)).set_result(None)
                turns = None if turns is None else turns - 1
                async with asyncio.timeout(STUCK_AFTER_S):
                    await self._ready(tasks)
                if between is not None:
                    await between()
        finally:
            self._over = True
            for gate in (*self._parked.values(), *tasks.values()):
                gate.cancel()
            await asyncio.wait(tasks.values())
        return {name: task.result() for name, task in tasks.items() if not task.cancelled()}

    async def _ready(self, tasks: Mapping[str, asyncio.Future[object]]) -> list[str]:
        """Return the actors that wait for a turn, once every actor waits or has ended."""
        while any(name not in self._parked and not task.done() for name, task in tasks.items()):
            self._changed.clear()
            await self._changed.wait()
        return sorted(name for name, task in tasks.items() if not task.done())


class _Gated:
    def __init__(self, turns: PortTurns, actor: str, port: object) -> None:
        self._turns, self._actor, self._port = turns, actor, port

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._port, name)
        if not self._turns.is_gated(name) or not inspect.iscoroutinefunction(method):
            return method

        async def gated(*args: Any, **options: Any) -> Any:
            await self._turns.pass_gate(self._actor)
            return await method(*args, **options)

        return gated


class EveryOrder:
    """Iterate over all orders of turns; each `choose` must be played to its end."""

    def __init__(self) -> None:
        self._prefix: list[int] = []
        self._taken: list[tuple[int, int]] = []
        self.count = 0

    def __iter__(self) -> Iterator[Choose]:
        while True:
            self._taken = []
            self.count += 1
            yield self._choose
            while self._taken and self._taken[-1][0] + 1 >= self._taken[-1][1]:
                self._taken.pop()
            if not self._taken:
                return
            self._prefix = [place for place, _ in self._taken]
            self._prefix[-1] += 1

    def _choose(self, ready: Sequence[str]) -> str:
        depth = len(self._taken)
        place = self._prefix[depth] if depth < len(self._prefix) else 0
        # An actor may make fewer calls after another actor's calls.
        place = min(place, len(ready) - 1)
        self._taken.append((place, len(ready)))
        return ready[place]


def some_orders(count: int, *, seed: int) -> Iterator[Choose]:
    """Yield orders drawn at random, the same ones at each run."""
    generator = random.Random(seed)
    for _ in range(count):
        yield generator.choice
