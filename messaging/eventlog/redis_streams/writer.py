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
)
from messaging.links import reason
from messaging.ports.log import OutgoingRecord, Position

logger = logging.getLogger(__name__)

TRIP_RECORDS = 1_000
MAX_RECORD_BYTES = 1_000_000  # as on Kafka
MAX_WAITING_BYTES = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class _Waiting:
    topic: str
    partition: int
    record: OutgoingRecord
    headers: str
    future: asyncio.Future[Position]

    @property
    def size_bytes(self) -> int:
        return len(self.record.key) + len(self.record.value) + len(self.headers)

    def fail(self, error: Exception) -> None:
        if not self.future.done():
            self.future.set_exception(error)
            # Retrieving the exception keeps asyncio from logging it as never retrieved: the sender
            # may not wait any more.
            self.future.exception()


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

    async def append(
        self, topic: str, records: Sequence[OutgoingRecord]
    ) -> list[asyncio.Future[Position]]:
        loop = asyncio.get_running_loop()
        futures = []
        for record in records:
            partition = partition_of(record.key, self._partitions)
            future: asyncio.Future[Position] = loop.create_future()
            self._enqueue(_Waiting(topic, partition, record, encode_headers(record), future))
            futures.append(future)
        if self._queue and (self._trips is None or self._trips.done()):
            self._trips = asyncio.create_task(self._make_trips())
        return futures

    def _enqueue(self, waiting: _Waiting) -> None:
        if waiting.size_bytes > MAX_RECORD_BYTES:
            waiting.fail(RecordTooLarge())
        elif self._closed or not self.breaker.is_closed:
            waiting.fail(LogUnavailable("closed, or away a moment ago"))
        elif self._queued_bytes + waiting.size_bytes > MAX_WAITING_BYTES:
            waiting.fail(LogUnavailable("too much waits already"))
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
                if isinstance(exc, (RedisError, OSError, TimeoutError)):
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
            if not waiting.future.done():
                position = Position(waiting.topic, waiting.partition, entry_id.decode())
                waiting.future.set_result(position)

    def _fail(self, trip: Sequence[_Waiting], cause: Exception) -> None:
        for waiting in trip:
            error = LogUnavailable()
            error.__cause__ = cause
            waiting.fail(error)

    async def ping(self) -> None:
        try:
            async with asyncio.timeout(self._trip_timeout_s):
                await self._client.ping()
        except (RedisError, OSError, TimeoutError) as exc:
            raise LogUnavailable from exc

    async def close(self) -> None:
        self._closed = True
        await self.breaker.close()
        if self._trips is not None:
            await asyncio.wait([self._trips])
        await self._client.aclose()
