"""Call the ports as one life of a process does, through the faults of the schedule."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from messaging.database.threads import PROBE_TIMEOUT_S
from messaging.domain.backend_errors import StoreUnavailable
from messaging.domain.breakers import Breaker
from messaging.ports.log import Record
from messaging.testing.log import MemoryLogReader
from messaging.testing.store import MemoryStore
from tests.simulation.backends import Backend, Broker
from tests.simulation.faults import CallFate, CallFault, Faults, Outage
from tests.simulation.lives import Life
from tests.simulation.trace import Trace

UNANSWERED = (CallFault.REFUSED, CallFault.REQUEST_LOST, CallFault.ANSWER_LOST, CallFault.LATE)


class Wire:
    """Call a port of the cache or the store; other wires add their own ways.

    The work of a call is done at one moment, between the way of the request and that of the answer.
    """

    def __init__(
        self, life: Life, backend: Backend, port: object, *, faults: Faults, trace: Trace
    ) -> None:
        self._life, self._backend, self._port = life, backend, port
        self._faults, self._trace = faults, trace

    def __getattr__(self, name: str) -> Callable[..., Awaitable[Any]]:
        method = getattr(self._port, name)

        async def call(*args: Any, **options: Any) -> Any:
            return await self._call(name, lambda: method(*args, **options), (*args, options))

        setattr(self, name, call)
        return call

    async def _call(self, name: str, do: Callable[[], Awaitable[Any]], args: object) -> Any:
        what = f"{self._backend.name}.{name}"
        restarts = self._backend.restarts
        fate = await self._set_out(what, args)
        await self._reach(what, do)
        if restarts != self._backend.restarts:
            raise self._backend.error()  # the connection was one to the earlier server
        await self._suffer(fate, what, do)
        try:
            result = await do()
        except Exception as error:
            self._trace(self._life.name, what, args, error)
            raise
        self._trace(self._life.name, what, args, result)
        await self._return(fate)
        return result

    async def _set_out(self, what: str, args: object) -> CallFate:
        """Travel the request's way to the backend; nothing is done before its end."""
        await self._life.attend()
        fate = self._faults.next()
        if fate.fault is not None:
            self._trace(self._life.name, what, args, f"FAULT {fate.fault}")
        await asyncio.sleep(fate.request_s)
        if fate.fault is CallFault.CRASH_BEFORE:
            self._life.crash()
        elif fate.fault is CallFault.PAUSE and fate.request_s < fate.answer_s:
            self._life.pause(self._faults.pause_s())
        await self._life.attend()
        return fate

    async def _reach(self, what: str, do: Callable[[], Awaitable[Any]]) -> None:
        """Reach the backend.

        Raises: the backend's error while the backend is away.
        """
        backend = self._backend
        if backend.outage is None:
            return
        self._trace(self._life.name, what, (), f"AWAY {backend.outage}")
        if backend.outage is Outage.SILENT:
            await asyncio.sleep(backend.timeout_s)
        elif backend.outage is Outage.FROZEN:
            if await backend.wait_back(backend.timeout_s):
                await self._life.attend()
                return
            backend.late += 1
            backend.at_thaw(lambda: self._do_unseen(what, do))
        await self._life.attend()
        raise backend.gone()

    async def _suffer(self, fate: CallFate, what: str, do: Callable[[], Awaitable[Any]]) -> None:
        """Apply a fault that keeps the call from its end.

        Raises: the backend's error for such a fault.
        """
        if fate.fault is CallFault.REFUSED:
            raise self._backend.error()
        if fate.fault not in (CallFault.REQUEST_LOST, CallFault.LATE):
            return
        if fate.fault is CallFault.LATE:
            self._backend.late += 1
            loop = asyncio.get_running_loop()
            restarts = self._backend.restarts
            loop.call_later(fate.late_s, lambda: self._do_late(what, do, restarts))
        await asyncio.sleep(self._backend.timeout_s)
        await self._life.attend()
        raise self._backend.gone()

    async def _return(self, fate: CallFate) -> None:
        """Travel the answer's way back, on which the answer may be lost."""
        if fate.fault is CallFault.CRASH_AFTER:
            self._life.crash()
        elif fate.fault is CallFault.PAUSE and fate.request_s >= fate.answer_s:
            self._life.pause(self._faults.pause_s())
        elif fate.fault is CallFault.ANSWER_LOST:
            await asyncio.sleep(self._backend.timeout_s)
            await self._life.attend()
            raise self._backend.gone()
        await asyncio.sleep(fate.answer_s)
        await self._life.attend()

    def _do_late(self, what: str, do: Callable[[], Awaitable[Any]], restarts: int) -> None:
        if restarts == self._backend.restarts:
            self._do_unseen(what, do)
        else:
            self._backend.late -= 1

    def _do_unseen(self, what: str, do: Callable[[], Awaitable[Any]]) -> None:
        """Do the work of a call whose caller has given up."""
        task = asyncio.ensure_future(do())

        def observe(_: object) -> None:
            error = None if task.cancelled() else task.exception()
            self._backend.late -= 1
            self._trace(self._life.name, what, (), f"LATE {error or 'done'}")

        task.add_done_callback(observe)


class StoreWire(Wire):
    """Call a store through a circuit breaker, as the database's adapter does."""

    _port: MemoryStore

    def __init__(self, *args: Any, looks: Wire, **options: Any) -> None:
        super().__init__(*args, **options)
        self._looks = looks  # with faults drawn apart, so that other calls keep their faults
        self.breaker = Breaker("store", self._probe)

    async def announce_loss(self, process: str, ttl_s: float) -> None:
        await self._look("announce_loss", process, ttl_s)

    async def withdraw_loss(self, process: str) -> None:
        await self._look("withdraw_loss", process)

    async def is_loss_announced(self, *, besides: str) -> bool:
        return bool(await self._look("is_loss_announced", besides=besides))

    async def _look(self, name: str, *args: Any, **options: Any) -> Any:
        if not self.breaker.is_closed:
            raise StoreUnavailable
        return await getattr(self._looks, name)(*args, **options)

    async def _call(self, name: str, do: Callable[[], Awaitable[Any]], args: object) -> Any:
        if not self.breaker.is_closed:
            raise StoreUnavailable
        try:
            return await super()._call(name, do, args)
        except StoreUnavailable as error:
            if error.is_outage:
                self.breaker.trip()
            raise

    async def _probe(self) -> None:
        """Probe the store within the time that the database's adapter takes."""
        try:
            async with asyncio.timeout(PROBE_TIMEOUT_S):
                await super()._call("ping", self._port.ping, ())
        except TimeoutError as error:
            raise StoreUnavailable(is_outage=True) from error


class ReaderWire(Wire):
    """Read the log through the faults of the schedule.

    The records that a poll has taken are never lost on their way, as the port promises.
    """

    _port: MemoryLogReader

    def __init__(
        self,
        life: Life,
        backend: Backend,
        reader: MemoryLogReader,
        broker: Broker,
        on_commit: Callable[[], None],
        **options: Any,
    ) -> None:
        super().__init__(life, backend, reader, **options)
        self._broker, self._on_commit = broker, on_commit

    async def poll(self, *, max_records: int, timeout_s: float) -> list[Record]:
        loop = asyncio.get_running_loop()
        deadline_s = loop.time() + timeout_s
        while True:
            arrival = self._broker.arrival
            fate = await self._set_out("reader.poll", ())
            if self._backend.outage is not None or fate.fault in UNANSWERED:
                raise self._backend.gone()
            records = await self._port.poll(max_records=max_records, timeout_s=0.0)
            if records:
                self._trace(self._life.name, "reader.poll", (), records)
                await self._return(fate)
                return records
            if loop.time() >= deadline_s:
                return []
            await asyncio.wait([arrival], timeout=deadline_s - loop.time())

    async def commit(self, last: Mapping[int, Record]) -> None:
        async def do() -> None:
            try:
                await self._port.commit(last)
            finally:
                self._on_commit()

        await self._call("commit", do, list(last.values()))

    def _do_unseen(self, what: str, do: Callable[[], Awaitable[Any]]) -> None:
        """Do nothing: a reader is part of its process, and its call given up is never done."""
        self._backend.late -= 1
