"""The processes of a site: each is started, dies at any call, and is started again."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from messaging.breakers import Breaker
from messaging.errors import CacheUnavailable, IdsUnavailable, StoreUnavailable
from messaging.ids import SnowflakeIdGenerator
from messaging.pipeline.accept import Acceptor
from messaging.pipeline.arrears import Arrears
from messaging.pipeline.compensation import Compensator
from messaging.pipeline.consumer import Consumer, TooManyDeadLetters
from messaging.pipeline.guarded_cache import guarded
from messaging.pipeline.worker_lease import WorkerLeaseKeeper
from messaging.rates import PasswordRates, Rates, UserRates
from messaging.service.backends import Backends
from messaging.testing.log import MemoryLogReader
from tests.simulation.lives import Life
from tests.simulation.log_wire import LogWire
from tests.simulation.wires import ReaderWire, StoreWire, Wire

if TYPE_CHECKING:
    from tests.simulation.world import World

SWEEP_EVERY_S = 3.0
NO_RATE = Rates(rate=0, burst=0)


class Host:
    """A place where one process runs at a time; `begin` is what such a process does."""

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
        return StoreWire(self.life, world.store_end, world.store, **self._options())

    def log(self) -> Any:
        world = self.world
        return LogWire(self.life, world.log_end, world.broker, **self._options())

    def _options(self) -> dict[str, Any]:
        return {"faults": self.world.faults, "trace": self.world.trace}

    def run(self, main: Callable[[], Any]) -> None:
        self.world.keep(asyncio.ensure_future(main()), self.life)


class WebHost(Host):
    """Runs use cases, under a worker id of its own."""

    backends: Backends
    serves: bool  # the front door is open when the start is done

    def begin(self) -> None:
        self.serves = False
        world, settings = self.world, self.world.settings
        redis, store, log = self.cache(), self.store(), self.log()
        self.arrears = arrears = Arrears(redis, store)
        arrears.nothing_noted = lambda: _was_away_before(store.breaker, arrears.breaker)
        cache = guarded(redis, arrears.breaker)
        skew_ms = world.random.choice((0, 0, 0, -30, 40))
        ids = SnowflakeIdGenerator(
            clock_ms=lambda: world.clock_ms() + skew_ms,
            monotonic_s=world.loop.time,
        )
        keeper = WorkerLeaseKeeper(
            ids=ids, cache=cache, store=store, settings=settings, monotonic_s=world.loop.time
        )
        acceptor = Acceptor(
            cache=cache,
            log=log,
            store=store,
            ids=ids,
            renew_lease=keeper.ensure,
            settings=settings,
            rates=NO_RATE,
            arrears=arrears,
        )
        self.backends = Backends(
            cache=cache,
            log=log,
            store=store,
            directory=world.directory,
            ids=ids,
            acceptor=acceptor,
            arrears=arrears,
            rates=UserRates(reads=NO_RATE, changes=NO_RATE, lookups=NO_RATE),
            password_rates=PasswordRates.of(settings),
            settings=settings,
            clock_ms=world.clock_ms,
        )

        async def start() -> None:
            with contextlib.suppress(CacheUnavailable, StoreUnavailable):
                await arrears.settle()
            arrears.watch(name=self.life.name)
            with contextlib.suppress(IdsUnavailable):
                await keeper.ensure()
            self.serves = True

        self.run(start)

    def lose_cache(self) -> None:
        """Its connection is closed."""
        if not self.life.is_dead:
            self.arrears.breaker.trip()


def _was_away_before(store: Breaker, cache: Breaker) -> bool:
    return not store.is_closed and store.opened_s <= cache.opened_s


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
    """The compensation's worker: one sweep after the other."""

    def begin(self) -> None:
        world = self.world
        cache, log, store = self.cache(), self.log(), self.store()
        arrears = Arrears(cache, store)

        async def sweep() -> None:
            while True:
                await asyncio.sleep(SWEEP_EVERY_S)
                await arrears.breaker.try_now()
                compensator = Compensator(
                    cache=cache,
                    log=log,
                    store=store,
                    settings=world.settings,
                    clock_ms=world.clock_ms,
                )
                try:
                    await compensator.sweep()
                except CacheUnavailable:
                    continue

        self.run(sweep)
