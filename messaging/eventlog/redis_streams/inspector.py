"""Read the log on Redis Streams outside the readers' group, behind `ports.audit.LogInspector`.

A place is the id of an entry: reading from a place begins with the next entry.
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
    unavailable_when_redis_fails,
)
from messaging.ports.audit import Extent, Piece

BEGINNING = "0-0"


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

    async def extents(self, *, since_ms: int | None = None) -> list[Extent]:
        since = BEGINNING if since_ms is None else format_id((max(since_ms - 1, 0), 0))
        names = [str(partition) for partition in range(self._partitions)]
        with unavailable_when_redis_fails():
            committed: Any = await self._client.hmget(self._keys.committed(self._group), names)
            return [
                await self._extent(partition, since, (place or BEGINNING.encode()).decode())
                for partition, place in enumerate(committed)
            ]

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

    async def close(self) -> None:
        await self._client.aclose()
