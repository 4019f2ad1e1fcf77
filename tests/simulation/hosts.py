"""Run the processes of a site: each one is started, dies at any call, and is started again."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from messaging.domain.backend_errors import CacheUnavailable
from messaging.domain.ids import SnowflakeIdGenerator
from messaging.pipeline.consumer import Consumer, TooManyDeadLetters
from messaging.runtime.assembly import Node, assemble, sweep
from messaging.service.backends import Backends
from messaging.testing.conversations import MemoryConversations
from messaging.testing.inspectors import MemoryLogInspector
from messaging.testing.log import MemoryLogReader
from tests.simulation.group_directory import GroupRows, ProcessDirectory
from tests.simulation.lives import Life
from tests.simulation.log_wire import LogWire
from tests.simulation.wires import ReaderWire, StoreWire, Wire

if TYPE_CHECKING:
    from tests.simulation.world import World

SWEEP_EVERY_S = 3.0


class Host:
    """Run one process at a time; `begin` does the work of such a process."""

    def __init__(self, name: str, world: World) -> None:
        self.name, self.world = name, world
        self._lives = 0
        self.life: Life
        self.start()

    def start(self) -> None:
        self._lives += 1
        self.started_s = self.world.loop.time()
        self.life = Life(f"{self.name}.{self._lives}", self.world.loop, self._start_again)
        self.world.trace(self.life.name, "starts")
        self.begin()

    def begin(self) -> None:
        raise NotImplementedError

    def _start_again(self) -> None:
        self.world.trace(self.life.name, "DIES")
        self.world.loop.call_later(self.world.faults.restart_s(), self.start)

    def cache(self) -> Any:
        world = self.world
        return Wire(self.life, world.cache_end, world.cache, **self._options())

    def store(self) -> Any:
        world = self.world
        options = self._options()
        looks = Wire(
            self.life, world.store_end, world.store, **options | {"faults": world.look_faults}
        )
        return StoreWire(self.life, world.store_end, world.store, looks=looks, **options)

    def log(self) -> Any:
        world = self.world
        return LogWire(self.life, world.log_end, world.broker, **self._options())

    def inspector(self) -> Any:
        """Return an inspector with faults drawn apart, so that other calls keep their faults."""
        world, settings = self.world, self.world.settings
        inspector = MemoryLogInspector(world.broker, settings.topic, settings.consumer_group)
        options = self._options() | {"faults": world.inspection_faults}
        return Wire(self.life, world.log_end, inspector, **options)

    def directory(self) -> ProcessDirectory:
        world, options = self.world, self._group_options()
        rows = Wire(self.life, world.store_end, GroupRows(world.group.tables), **options)
        return ProcessDirectory(world.group.users, rows.run, world.loop.time)

    def assemble(self, ids: SnowflakeIdGenerator, known: ProcessDirectory) -> Node:
        world = self.world
        options = self._group_options()
        groups = Wire(self.life, world.store_end, world.group.tables, **options)
        tables = MemoryConversations(world.store)
        conversations = Wire(self.life, world.store_end, tables, **options)
        return assemble(
            cache=self.cache(),
            log=self.log(),
            store=self.store(),
            directory=known,
            groups=groups,  # type: ignore[arg-type]
            conversations=conversations,  # type: ignore[arg-type]
            publish=partial(world.publish, known),
            ids=ids,
            settings=world.settings,
            open_inspector=self.inspector,
            clock_ms=world.clock_ms,
            monotonic_s=world.loop.time,
        )

    def _group_options(self) -> dict[str, Any]:
        """Return options by which calls about groups leave other calls their faults."""
        return self._options() | {"faults": self.world.group.faults}

    def _options(self) -> dict[str, Any]:
        return {"faults": self.world.faults, "trace": self.world.trace}

    def run(self, main: Callable[[], Any]) -> None:
        self.world.keep(asyncio.ensure_future(main()), self.life)


class WebHost(Host):
    """Run use cases under a worker id of its own."""

    backends: Backends
    known: ProcessDirectory
    serves: bool  # the front door is open, as the start is done

    def begin(self) -> None:
        self.serves = False
        world = self.world
        skew_ms = world.random.choice((0, 0, 0, -30, 40))
        self.known = self.directory()
        node = self.assemble(
            SnowflakeIdGenerator(
                clock_ms=lambda: world.clock_ms() + skew_ms, monotonic_s=world.loop.time
            ),
            self.known,
        )
        self.backends = node.backends

        async def start() -> None:
            await node.begin(name=self.life.name)
            self.serves = True

        self.run(start)

    @property
    def knows_all(self) -> bool:
        """Tell whether the process has started, and answers no call with 503 after an outage."""
        return self.serves and not self.backends.catch_up.is_behind

    def lose_cache(self) -> None:
        """Trip the cache's breaker, as the connection is closed."""
        if not self.life.is_dead:
            self.backends.hints.breaker.trip()


class ConsumerHost(Host):
    def begin(self) -> None:
        world, settings = self.world, self.world.settings
        reader = MemoryLogReader(world.broker, topic=settings.topic, group=settings.consumer_group)
        wire = ReaderWire(
            self.life,
            world.log_end,
            reader,
            world.broker,
            on_commit=world.watch.committed,
            **self._options(),
        )
        consumer = Consumer(
            reader=wire,  # type: ignore[arg-type]
            log=self.log(),
            cache=self.cache(),
            store=self.store(),
            settings=settings,
        )

        async def consume() -> None:
            try:
                await consumer.run()
            except TooManyDeadLetters:
                self.life.crash()

        self.run(consume)


class SweeperHost(Host):
    """Run the compensation's worker: one sweep after the other."""

    def begin(self) -> None:
        ids = SnowflakeIdGenerator(monotonic_s=self.world.loop.time)
        backends = self.assemble(ids, self.directory()).backends

        async def keep_sweeping() -> None:
            while True:
                await asyncio.sleep(SWEEP_EVERY_S)
                with contextlib.suppress(CacheUnavailable):
                    await sweep(backends)

        self.run(keep_sweeping)
