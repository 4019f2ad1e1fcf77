"""Append to the log as one life of a process does, through the faults of the schedule."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from messaging.ports.log import OutgoingRecord, Position
from messaging.testing.log import MemoryEventLog
from tests.simulation.backends import Backend, Broker
from tests.simulation.faults import CallFate, CallFault, Outage
from tests.simulation.lives import Life
from tests.simulation.wires import Wire


class LogWire(Wire):
    """Append records: a key's records of one call travel together; calls overtake each other."""

    _port: MemoryEventLog
    shares_cache_disk = False

    def __init__(self, life: Life, backend: Backend, broker: Broker, **options: Any) -> None:
        super().__init__(life, backend, MemoryEventLog(broker), **options)
        self._broker = broker

    async def append(
        self, topic: str, records: Sequence[OutgoingRecord]
    ) -> list[asyncio.Future[Position]]:
        await self._life.attend()
        loop = asyncio.get_running_loop()
        shipments: dict[bytes, _Shipment] = {}
        for record in records:
            if record.key not in shipments:
                shipments[record.key] = _Shipment(self, topic, self._faults.next(), loop)
            shipments[record.key].records.append(record)
        for shipment in shipments.values():
            shipment.leave()
        await asyncio.sleep(0.0005)  # the hand-over
        await self._life.attend()
        return [shipments[record.key].confirmed for record in records]


class _Shipment:
    """Carry records to the broker, with one confirmation for all."""

    def __init__(
        self, wire: LogWire, topic: str, fate: CallFate, loop: asyncio.AbstractEventLoop
    ) -> None:
        self._wire, self._topic, self._fate, self._loop = wire, topic, fate, loop
        self.records: list[OutgoingRecord] = []
        self.confirmed: asyncio.Future[Position] = loop.create_future()
        self._backend = wire._backend

    def leave(self) -> None:
        fault, life = self._fate.fault, self._wire._life
        self._note(f"FAULT {fault}" if fault is not None else "sent")
        if fault is CallFault.CRASH_BEFORE:
            life.crash()
            return
        if fault is CallFault.PAUSE:
            life.pause(self._wire._faults.pause_s())
        if fault is CallFault.REFUSED:
            self._fail()
        elif fault is CallFault.REQUEST_LOST:
            self._fail_later()
        elif fault is CallFault.LATE:
            self._fail_later()
            self._loop.call_later(self._fate.late_s, self._arrive)
        else:
            self._loop.call_later(self._fate.request_s, self._arrive)

    def _arrive(self) -> None:
        outage = self._backend.outage
        if outage is not None:
            self._note(f"AWAY {outage}")
        if outage is Outage.REFUSES:
            self._fail()
        elif outage is Outage.SILENT:
            self._fail_later()
        elif outage is Outage.FROZEN:
            self._fail_later()
            self._backend.at_thaw(self._write)
        else:
            self._write()

    def _write(self) -> None:
        fault = self._fate.fault
        positions = [self._wire._broker.write(self._topic, record) for record in self.records]
        self._note(f"written at {positions[0].partition}:{positions[0].offset}")
        self._wire._broker.announce()
        if fault is CallFault.TWICE:
            self._loop.call_later(self._fate.answer_s * 100, self._repeat)
        if fault is CallFault.CRASH_AFTER:
            self._wire._life.crash()
        elif fault is CallFault.ANSWER_LOST:
            self._fail_later()
        else:
            self._loop.call_later(self._fate.answer_s, self._confirm, positions[0])

    def _repeat(self) -> None:
        for record in self.records:
            self._wire._broker.write(self._topic, record)
        self._note("written twice")
        self._wire._broker.announce()

    def _confirm(self, position: Position) -> None:
        if not self.confirmed.done():
            self.confirmed.set_result(position)

    def _fail_later(self) -> None:
        self._loop.call_later(self._backend.timeout_s, self._fail)

    def _fail(self) -> None:
        if not self.confirmed.done():
            self.confirmed.set_exception(self._backend.error())
            self.confirmed.exception()  # mark it as seen: nobody may be left to await it

    def _note(self, outcome: str) -> None:
        self._wire._trace(self._wire._life.name, "log.append", self.records, outcome)
