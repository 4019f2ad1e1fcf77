"""Read the log on Kafka outside the consumer group, behind `ports.audit.LogInspector`.

The inspector is a kafka-python consumer on a thread of its own. The consumer assigns its partitions
itself instead of joining the group, and names the group only to read the group's committed offsets.
A place is the offset of the next record.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from kafka import KafkaConsumer, TopicPartition
from kafka.errors import KafkaError

from messaging.domain.backend_errors import LogUnavailable
from messaging.eventlog.kafka.consuming import (
    CALL_TIMEOUT_S,
    TIMEOUT_SLACK_S,
    consumer_config,
    leave,
    record_of,
)
from messaging.eventlog.kafka.description import Description
from messaging.eventlog.kafka.quirks import UNREADABLE, step_over
from messaging.eventlog.kafka.writer import partition_of
from messaging.links import KafkaLink
from messaging.ports.audit import Extent, Lag, Piece
from messaging.ports.log import POLL_BYTES, Record

T = TypeVar("T")

EXTENTS_TIMEOUT_S = 30.0  # for all partitions together


class KafkaLogInspector:
    """Implement `ports.audit.LogInspector`; each call ends within about half a minute.

    `timeout_s`: bounds one call of the vendor. `fetch_bytes`: how much of a partition is fetched at
    a time, beside one record of any size.
    """

    def __init__(
        self,
        link: KafkaLink,
        *,
        topic: str,
        group: str,
        partitions: int,
        timeout_s: float = CALL_TIMEOUT_S,
        fetch_bytes: int = POLL_BYTES,
    ) -> None:
        self._timeout_s = timeout_s
        self._topic, self._group = topic, group
        self._partitions = [TopicPartition(topic, number) for number in range(partitions)]
        self._config = consumer_config(link, group) | {"max_partition_fetch_bytes": fetch_bytes}
        self._description = Description(link)
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="kafka-inspector")
        self._consumer: KafkaConsumer | None = None
        self._closed = False

    async def extents(self, *, since_ms: int | None = None) -> list[Extent]:
        return await self._call(self._extents, since_ms, bound_s=EXTENTS_TIMEOUT_S)

    async def lags(self) -> list[Lag]:
        return await self._call(self._lags, bound_s=EXTENTS_TIMEOUT_S)

    async def retention_s(self) -> float | None:
        ask = self._description.retention_ms
        kept_ms = await self._call(ask, self._topic, bound_s=CALL_TIMEOUT_S)
        return None if kept_ms < 0 else kept_ms / 1000

    async def members(self) -> int:
        return await self._call(self._description.members, self._group, bound_s=CALL_TIMEOUT_S)

    async def is_committed(self, places: Mapping[int, str]) -> bool:
        extents = await self.extents()
        return all(int(each.committed) >= int(places[each.partition]) for each in extents)

    async def read(self, partition: int, *, start: str, until: str, max_records: int) -> Piece:
        return await self._call(
            self._read, partition, int(start), int(until), max_records, bound_s=2 * self._timeout_s
        )

    def partition_of(self, conversation_id: str) -> int:
        return partition_of(conversation_id.encode(), len(self._partitions))

    async def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        self._thread.submit(lambda: leave(self._consumer))
        self._thread.submit(self._description.close)
        self._thread.shutdown(wait=False)

    async def _call(self, function: Callable[..., T], *args: Any, bound_s: float) -> T:
        if self._closed:
            raise LogUnavailable("the inspector is closed")
        call = asyncio.get_running_loop().run_in_executor(self._thread, function, *args)
        try:
            return await asyncio.wait_for(call, bound_s + TIMEOUT_SLACK_S)
        except (KafkaError, *UNREADABLE) as exc:  # a timeout is an OSError
            raise LogUnavailable(f"kafka: {exc}") from exc

    # --- on the consumer's thread -----------------------------------------------------------

    def _open(self) -> KafkaConsumer:
        if self._consumer is None:
            self._consumer = KafkaConsumer(**self._config)
        return self._consumer

    def _extents(self, since_ms: int | None) -> list[Extent]:
        consumer, timeout_ms = self._open(), self._timeout_s * 1000
        first = consumer.beginning_offsets(self._partitions, timeout_ms=timeout_ms)
        end = consumer.end_offsets(self._partitions, timeout_ms=timeout_ms)
        since = self._offsets_at(since_ms, end) if since_ms is not None else first
        extents = []
        for each in self._partitions:
            committed = max(consumer.committed(each, timeout_ms=timeout_ms) or 0, first[each])
            start = max(min(since[each], committed), first[each])
            places = map(str, (start, committed, max(end[each], committed)))
            extents.append(Extent(each.partition, *places))
        return extents

    def _offsets_at(
        self, since_ms: int, end: dict[TopicPartition, int]
    ) -> dict[TopicPartition, int]:
        """Return by partition the offset of the first record since `since_ms`, else the end."""
        times = {each: max(since_ms, 0) for each in self._partitions}
        found = self._open().offsets_for_times(times, timeout_ms=self._timeout_s * 1000)
        return {each: found[each].offset if found.get(each) else end[each] for each in times}

    def _lags(self) -> list[Lag]:
        lags = []
        for each in self._extents(None):
            records = int(each.end) - int(each.committed)
            oldest_ms = self._appended_ms(each.partition, int(each.committed)) if records else None
            lags.append(Lag(each.partition, records, oldest_ms))
        return lags

    def _appended_ms(self, partition: int, offset: int) -> int | None:
        """Return the time of the record at this offset, or of the next one that is kept.

        The time is the one of `ports.audit.Lag`.
        """
        consumer = self._seek(self._partitions[partition], offset)
        deadline_s = time.monotonic() + self._timeout_s
        while time.monotonic() < deadline_s:
            try:
                batches = consumer.poll(timeout_ms=500, max_records=1)
            except UNREADABLE as exc:
                step_over(consumer, exc)
                return None
            for records in batches.values():
                return int(records[0].timestamp)
        raise LogUnavailable(f"kafka: nothing of partition {partition} from {offset} on")

    def _seek(self, where: TopicPartition, offset: int) -> KafkaConsumer:
        """Return the consumer, which reads this partition from this offset on."""
        consumer = self._open()
        if consumer.assignment() != {where}:
            consumer.assign([where])
        consumer.seek(where, offset)
        return consumer

    def _read(self, partition: int, start: int, until: int, max_records: int) -> Piece:
        if start >= until:
            return Piece((), str(until))
        where = self._partitions[partition]
        consumer = self._seek(where, start)
        records: list[Record] = []
        place, deadline_s = start, time.monotonic() + self._timeout_s
        while not records and place < until:
            if time.monotonic() > deadline_s:
                raise LogUnavailable(f"kafka: nothing of partition {partition} from {place} on")
            records += self._receive(consumer, max_records)
            place = consumer.position(where, timeout_ms=self._timeout_s * 1000)
        asked = tuple(record for record in records if int(record.position.offset) < until)
        return Piece(asked, str(min(place, until)))

    def _receive(self, consumer: KafkaConsumer, max_records: int) -> list[Record]:
        try:
            batches = consumer.poll(timeout_ms=500, max_records=max_records)
        except UNREADABLE as exc:
            return [step_over(consumer, exc)]
        return [record_of(record) for records in batches.values() for record in records]
