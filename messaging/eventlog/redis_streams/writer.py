"""Append to the log on Redis Streams, behind `ports.log.EventLog`.

`eventlog.open_log` makes one log object per process. Appends are queued and sent in order, one
round trip at a time: the records that gather during a trip share the next. A trip is never
repeated.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from redis.exceptions import RedisError

from messaging.domain.backend_errors import LogUnavailable, RecordTooLarge
from messaging.domain.breakers import Breaker
from messaging.eventlog.redis_streams.entries import (
    Keys,
    connect,
    encode_headers,
    partition_of,
    script,
    unavailable_when_redis_fails,
)
from messaging.links import reason
from messaging.ports.log import MAX_RECORD_BYTES, Confirmation, OutgoingRecord, Position, fail

logger = logging.getLogger(__name__)

TRIP_RECORDS = 1_000
MAX_WAITING_BYTES = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class _Waiting:
    topic: str
    partition: int
    record: OutgoingRecord
    headers: str
    confirmation: Confirmation

    @property
    def size_bytes(self) -> int:
        return len(self.record.key) + len(self.record.value) + len(self.headers)


class RedisStreamsEventLog:
    """Implement `ports.log.EventLog` over Redis Streams.

    `longest`: by topic, the most records of a partition's stream, for topics that no reader commits
    and so trims. Redis may keep some records more.
    """

    shares_cache_disk = True

    def __init__(
        self,
        url: str,
        *,
        partitions: int,
        timeout_s: float,
        trip_timeout_s: float,
        longest: Mapping[str, int],
    ) -> None:
        self._partitions = partitions
        self._trip_timeout_s = trip_timeout_s
        self._longest = longest
        self._client = connect(url, timeout_s=timeout_s)
        self._append = script(self._client, "append")
        self._queue: deque[_Waiting] = deque()
        self._queued_bytes = 0
        self._trips: asyncio.Task[None] | None = None
        self._closed = False
        self.breaker = Breaker("log", self.ping)

    async def append(self, topic: str, records: Sequence[OutgoingRecord]) -> list[Confirmation]:
        loop = asyncio.get_running_loop()
        confirmations: list[Confirmation] = []
        for record in records:
            partition, headers = partition_of(record.key, self._partitions), encode_headers(record)
            confirmations.append(loop.create_future())
            self._enqueue(_Waiting(topic, partition, record, headers, confirmations[-1]))
        if self._queue and (self._trips is None or self._trips.done()):
            self._trips = asyncio.create_task(self._make_trips())
        return confirmations

    def _enqueue(self, waiting: _Waiting) -> None:
        if waiting.size_bytes > MAX_RECORD_BYTES:
            fail(waiting.confirmation, RecordTooLarge())
        elif self._closed or not self.breaker.is_closed:
            fail(waiting.confirmation, LogUnavailable("closed, or away a moment ago"))
        elif self._queued_bytes + waiting.size_bytes > MAX_WAITING_BYTES:
            fail(waiting.confirmation, LogUnavailable("too much waits already"))
        else:
            self._queue.append(waiting)
            self._queued_bytes += waiting.size_bytes

    async def _make_trips(self) -> None:
        while self._queue:
            trip = [self._queue.popleft() for _ in range(min(len(self._queue), TRIP_RECORDS))]
            self._queued_bytes -= sum(waiting.size_bytes for waiting in trip)
            try:
                await self._make(trip)
            except Exception as exc:  # any error must end the futures, or callers wait for ever
                if isinstance(exc, (RedisError, OSError)):
                    extra = {"action": "log.unavailable", "reason": reason(exc)}
                    logger.warning("Redis did not confirm records of the log", extra=extra)
                else:
                    logger.exception(
                        "writing records to Redis failed", extra={"action": "log.fault"}
                    )
                # The queued records fail too: each trip of theirs would fail the same way, after a
                # timeout of its own.
                self.breaker.trip()
                self._fail([*trip, *self._queue], exc)
                self._queue.clear()
                self._queued_bytes = 0

    async def _make(self, trip: Sequence[_Waiting]) -> None:
        numbers: dict[tuple[str, int], int] = {}
        arguments: list[str | bytes | int] = []
        for waiting in trip:
            place = (waiting.topic, waiting.partition)
            number = numbers.setdefault(place, len(numbers) + 1)
            arguments += (number, waiting.record.key, waiting.record.value, waiting.headers)
        streams = [Keys(topic).stream(partition) for topic, partition in numbers]
        longest = [self._longest.get(topic, 0) for topic, _ in numbers]
        async with asyncio.timeout(self._trip_timeout_s):
            ids = await self._append(keys=streams, args=[*longest, *arguments])
        for waiting, entry_id in zip(trip, ids, strict=True):
            if not waiting.confirmation.done():
                position = Position(waiting.topic, waiting.partition, entry_id.decode())
                waiting.confirmation.set_result(position)

    def _fail(self, trip: Sequence[_Waiting], cause: Exception) -> None:
        for waiting in trip:
            error = LogUnavailable()
            error.__cause__ = cause
            fail(waiting.confirmation, error)

    async def ping(self) -> None:
        with unavailable_when_redis_fails():
            async with asyncio.timeout(self._trip_timeout_s):
                await self._client.ping()

    async def close(self) -> None:
        self._closed = True
        await self.breaker.close()
        if self._trips is not None:
            await asyncio.wait([self._trips])
        await self._client.aclose()
