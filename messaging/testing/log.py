"""Keep the log in memory, under the same contract as the real ones.

Unit tests give one `MemoryBroker` to every writer and reader that shall see the same log. Faults
are plain attributes of the broker. Nothing survives the process.
"""

from __future__ import annotations

import asyncio
import time
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from messaging.domain.backend_errors import (
    BackendError,
    CommitRefused,
    LogUnavailable,
    RecordTooLarge,
)
from messaging.domain.breakers import Breaker
from messaging.ports.log import (
    MAX_RECORD_BYTES,
    POLL_BYTES,
    Confirmation,
    OutgoingRecord,
    Position,
    Record,
    fail,
)

POLL_EVERY_S = 0.005


@dataclass(eq=False, slots=True)
class MemoryBroker:
    """Keep the partitions, the groups and their committed positions, for one event loop.

    Another event loop may use the broker later, but not at the same time.

    `down`: nothing is confirmed, no call answers.
    `acks_lost`: records are kept, but their futures fail.
    `unreadable`: (partition, offset) of records whose bytes cannot be read any more.
    """

    partitions: int = 10
    max_record_bytes: int = MAX_RECORD_BYTES
    max_poll_interval_s: float = 60.0
    clock_s: Callable[[], float] = time.monotonic
    down: bool = False
    acks_lost: bool = False
    unreadable: set[tuple[int, int]] = field(default_factory=set)
    records: dict[tuple[str, int], list[Record]] = field(default_factory=dict)
    committed: dict[tuple[str, str, int], int] = field(default_factory=dict)
    groups: dict[tuple[str, str], _Group] = field(default_factory=dict)

    def answer(self) -> None:
        """Raise LogUnavailable while the broker is down."""
        if self.down:
            raise LogUnavailable

    def read(self, topic: str, partition: int, *, offset: int, limit: int) -> list[Record]:
        found = self.records.get((topic, partition), [])[offset : offset + limit]
        return [
            Record(record.position, None, None)
            if (partition, int(record.position.offset)) in self.unreadable
            else record
            for record in found
        ]

    def partition_of(self, key: bytes) -> int:
        return zlib.crc32(key) % self.partitions

    def write(self, topic: str, record: OutgoingRecord) -> Position:
        partition = self.partition_of(record.key)
        kept = self.records.setdefault((topic, partition), [])
        position = Position(topic, partition, str(len(kept)))
        kept.append(Record(position, record.key, record.value, record.headers))
        return position


@dataclass(eq=False, slots=True)
class _Group:
    """Assign the partitions of a topic to the readers of a group.

    The term of an owner is a number that no other term of the same partition has.
    """

    seen_s: dict[MemoryLogReader, float] = field(default_factory=dict)
    owners: dict[int, MemoryLogReader] = field(default_factory=dict)
    terms: dict[int, int] = field(default_factory=dict)

    def assign(self, partitions: int, now_s: float, max_poll_interval_s: float) -> None:
        self.seen_s = {r: t for r, t in self.seen_s.items() if now_s - t <= max_poll_interval_s}
        readers = list(self.seen_s)
        for partition in range(partitions):
            owner = readers[partition % len(readers)] if readers else None
            if self.owners.get(partition) is owner:
                continue
            self.owners.pop(partition, None)
            if owner is not None:
                self.owners[partition] = owner
                self.terms[partition] = self.terms.get(partition, 0) + 1


class MemoryEventLog:
    """Append to the log in memory; a record is in the log when `append` returns."""

    shares_cache_disk = False

    def __init__(self, broker: MemoryBroker) -> None:
        self._broker = broker
        self._closed = False
        self.breaker = Breaker("log", self.ping)  # never trips: the broker fails at once anyway

    async def append(self, topic: str, records: Sequence[OutgoingRecord]) -> list[Confirmation]:
        confirmations: list[Confirmation] = []
        for record in records:
            confirmations.append(asyncio.get_running_loop().create_future())
            try:
                confirmations[-1].set_result(self._append_one(topic, record))
            except BackendError as error:
                fail(confirmations[-1], error)
        return confirmations

    def _append_one(self, topic: str, record: OutgoingRecord) -> Position:
        if self._closed:
            raise LogUnavailable
        self._broker.answer()
        if len(record.key) + len(record.value) > self._broker.max_record_bytes:
            raise RecordTooLarge
        position = self._broker.write(topic, record)
        if self._broker.acks_lost:
            raise LogUnavailable
        return position

    async def ping(self) -> None:
        self._broker.answer()

    async def close(self) -> None:
        self._closed = True


class MemoryLogReader:
    """Read the log in memory; a reader dies by being dropped without `close`."""

    def __init__(self, broker: MemoryBroker, *, topic: str, group: str) -> None:
        self._broker = broker
        self._topic = topic
        self._group_name = group
        self._group = broker.groups.setdefault((group, topic), _Group())
        self._next: dict[int, int] = {}
        self._terms: dict[int, int] = {}
        self._closed = False

    async def poll(self, *, max_records: int, timeout_s: float) -> list[Record]:
        deadline_s = time.monotonic() + timeout_s
        while True:
            self._attend()
            if records := self._read(max_records):
                return records
            if time.monotonic() >= deadline_s:
                return []
            await asyncio.sleep(POLL_EVERY_S)

    async def commit(self, last: Mapping[int, Record]) -> None:
        self._broker.answer()
        self._assign()
        refused = False
        for partition, record in last.items():
            if self._owns(partition) and int(record.position.offset) < self._next[partition]:
                place = (self._group_name, self._topic, partition)
                upto = int(record.position.offset) + 1
                self._broker.committed[place] = max(self._broker.committed.get(place, 0), upto)
            else:
                refused = True
        if refused:
            raise CommitRefused

    async def keep_alive(self) -> None:
        self._attend()

    async def rewind(self) -> None:
        self._broker.answer()
        self._next = {partition: self._committed(partition) for partition in self._next}

    async def close(self) -> None:
        self._closed = True
        self._group.seen_s.pop(self, None)

    def _attend(self) -> None:
        """Renew the reader's membership, or join again, and note the reader's partitions.

        A partition is read from its committed position where the reader's term is new.

        Raises: LogUnavailable while the broker is down, and after `close`.
        """
        self._broker.answer()
        if self._closed:
            raise LogUnavailable
        self._group.seen_s[self] = self._broker.clock_s()
        self._assign()
        owners = self._group.owners
        mine = {p: term for p, term in self._group.terms.items() if owners.get(p) is self}
        self._next = {
            p: self._next[p] if self._terms.get(p) == term else self._committed(p)
            for p, term in mine.items()
        }
        self._terms = mine

    def _assign(self) -> None:
        broker = self._broker
        self._group.assign(broker.partitions, broker.clock_s(), broker.max_poll_interval_s)

    def _owns(self, partition: int) -> bool:
        mine = self._terms.get(partition)
        current = self._group.terms.get(partition)
        return mine is not None and mine == current and self._group.owners.get(partition) is self

    def _committed(self, partition: int) -> int:
        return self._broker.committed.get((self._group_name, self._topic, partition), 0)

    def _read(self, max_records: int) -> list[Record]:
        records: list[Record] = []
        left_bytes = POLL_BYTES
        for partition, offset in self._next.items():
            limit = max_records - len(records)
            for record in self._broker.read(self._topic, partition, offset=offset, limit=limit):
                left_bytes -= len(record.value or b"")
                if records and left_bytes < 0:
                    return records
                self._next[partition] += 1
                records.append(record)
        return records
