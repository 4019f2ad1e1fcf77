"""Read the log on Redis Streams outside the readers' group, behind `ports.audit.LogInspector`.

A place is the id of an entry: reading from a place begins with the next entry. No entry leaves a
stream before it is committed, so there is no retention time.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from messaging.eventlog.redis_streams.entries import (
    Keys,
    connect,
    decode,
    format_id,
    parse_id,
    partition_of,
    script,
    unavailable_when_redis_fails,
)
from messaging.ports.audit import Extent, Lag, Piece

BEGINNING = "0-0"
COUNTED = 500  # entries that are counted one by one; Redis reads their values as well


class RedisStreamsLogInspector:
    """Implement `ports.audit.LogInspector` over Redis Streams.

    `timeout_s`: bounds the connection and each answer.
    """

    def __init__(
        self, url: str, *, topic: str, group: str, partitions: int, timeout_s: float
    ) -> None:
        self._topic = topic
        self._group = group
        self._keys = Keys(topic)
        self._partitions = partitions
        self._client = connect(url, timeout_s=timeout_s)
        self._lag = script(self._client, "lag")

    async def extents(self, *, since_ms: int | None = None) -> list[Extent]:
        since = BEGINNING if since_ms is None else format_id((max(since_ms - 1, 0), 0))
        names = [str(partition) for partition in range(self._partitions)]
        with unavailable_when_redis_fails():
            committed: Any = await self._client.hmget(self._keys.committed(self._group), names)
            return [
                await self._extent(partition, since, (place or BEGINNING.encode()).decode())
                for partition, place in enumerate(committed)
            ]

    async def lags(self) -> list[Lag]:
        """Return the lags; from COUNTED records on, the number is the length of the stream."""
        with unavailable_when_redis_fails():
            return [await self._lag_of(partition) for partition in range(self._partitions)]

    async def _lag_of(self, partition: int) -> Lag:
        keys = [self._keys.committed(self._group), self._keys.stream(partition)]
        count, length, first = await self._lag(keys=keys, args=[partition, COUNTED])
        records = max(count, length) if count == COUNTED else count
        return Lag(partition, records, parse_id(first.decode())[0] if first else None)

    async def retention_s(self) -> None:
        return None

    async def members(self) -> int:
        with unavailable_when_redis_fails():
            seconds, microseconds = await self._client.time()
            now_ms = seconds * 1000 + microseconds // 1000
            readers = self._keys.readers(self._group)
            return int(await self._client.zcount(readers, f"({now_ms}", "+inf"))

    async def is_committed(self, places: Mapping[int, str]) -> bool:
        return all(
            parse_id(each.committed) >= parse_id(places[each.partition])
            for each in await self.extents()
        )

    async def _extent(self, partition: int, since: str, committed: str) -> Extent:
        newest: Any = await self._client.xrevrange(self._keys.stream(partition), count=1)
        end = newest[0][0].decode() if newest else BEGINNING
        return Extent(
            partition,
            start=min(since, committed, key=parse_id),
            committed=committed,
            end=max(end, committed, key=parse_id),  # the entry read last may be trimmed
        )

    async def read(self, partition: int, *, start: str, until: str, max_records: int) -> Piece:
        if parse_id(start) >= parse_id(until):
            return Piece((), until)
        with unavailable_when_redis_fails():
            entries: Any = await self._client.xrange(
                self._keys.stream(partition), min=f"({start}", max=until, count=max_records
            )
        records = tuple(decode(self._topic, partition, each, fields) for each, fields in entries)
        full = len(records) == max_records
        return Piece(records, records[-1].position.offset if full else until)

    def partition_of(self, conversation_id: str) -> int:
        return partition_of(conversation_id.encode(), self._partitions)

    async def close(self) -> None:
        await self._client.aclose()
