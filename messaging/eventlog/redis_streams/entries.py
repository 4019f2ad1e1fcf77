"""Define what both ends of the log on Redis Streams share: keys, fields, scripts, the client.

A topic has one stream for each partition. The records of a topic are as durable as Redis's
append-only file. Scripts touch several partitions at once, so a topic needs one Redis server, not a
cluster.
"""

from __future__ import annotations

import contextlib
import json
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import OutOfMemoryError, RedisError

from messaging.domain.backend_errors import LogUnavailable, TopicMismatch
from messaging.ports.log import OutgoingRecord, Position, Record

if TYPE_CHECKING:
    from redis.commands.core import AsyncScript

KEY_PREFIX = "im:log:"
_SCRIPTS = Path(__file__).parent / "scripts"


def connect(url: str, *, timeout_s: float, answer_timeout_s: float | None = None) -> Redis:
    """Return a client that never repeats a command: a repeated append would be a second record.

    `timeout_s`: bounds the connection, and each answer where `answer_timeout_s` is None.
    `answer_timeout_s`: bounds each answer.
    """
    return Redis.from_url(
        url,
        protocol=2,
        retry=Retry(NoBackoff(), 0),
        socket_connect_timeout=timeout_s,
        socket_timeout=answer_timeout_s or timeout_s,
    )


@contextlib.contextmanager
def unavailable_when_redis_fails() -> Iterator[None]:
    """Raise LogUnavailable in place of the errors of Redis and of the network."""
    try:
        yield
    except (RedisError, OSError) as error:  # a timeout is an OSError
        raise LogUnavailable from error


def script(client: Redis, name: str) -> AsyncScript:
    return client.register_script((_SCRIPTS / f"{name}.lua").read_text())


def partition_of(key: bytes, partitions: int) -> int:
    """Return the partition of a key; the same as long as the number of partitions is the same."""
    return zlib.crc32(key) % partitions


@dataclass(frozen=True, slots=True)
class Keys:
    """Name the Redis keys of a topic, and of the reader groups of the topic."""

    topic: str

    def stream(self, partition: int) -> str:
        return f"{KEY_PREFIX}{self.topic}:{partition}"

    @property
    def partitions(self) -> str:
        return f"{KEY_PREFIX}{self.topic}:partitions"

    def readers(self, group: str) -> str:
        return f"{KEY_PREFIX}{self.topic}:{group}:readers"

    def leases(self, group: str) -> str:
        """Return the key of a group's leases.

        The key has no expiry, because a full Redis evicts keys with an expiry first.
        """
        return f"{KEY_PREFIX}{self.topic}:{group}:leases"

    def committed(self, group: str) -> str:
        return f"{KEY_PREFIX}{self.topic}:{group}:committed"


async def check_partitions(client: Redis, topic: str, partitions: int) -> None:
    """Note the topic's number of partitions, or compare it with the noted one.

    Raises: TopicMismatch when the noted number is another one.
    """
    key = Keys(topic).partitions
    known: Any = await client.get(key)
    if known is None:
        with contextlib.suppress(OutOfMemoryError):  # reading makes room, a later reader notes it
            await client.setnx(key, partitions)
    elif int(known) != partitions:
        raise TopicMismatch(
            f"topic {topic} has {int(known)} partitions in Redis, not {partitions}. "
            f"Set IM_PARTITIONS={int(known)} until the consumer has read "
            f"it to its end; then delete the key {key} and set it anew."
        )


def encode_headers(record: OutgoingRecord) -> str:
    """Return the headers of a record as the field `h` of its entry.

    latin-1 gives each byte a character of its own, so JSON can hold any bytes.
    """
    if not record.headers:
        return ""
    return json.dumps([[name, value.decode("latin-1")] for name, value in record.headers])


def decode(topic: str, partition: int, entry_id: bytes, fields: dict[bytes, bytes]) -> Record:
    """Return the record of an entry; value None where `append` has not written the entry."""
    position = Position(topic, partition, entry_id.decode())
    time_ms, _ = parse_id(position.offset)
    try:
        pairs = json.loads(fields[b"h"] or b"[]")
        headers = tuple((str(name), value.encode("latin-1")) for name, value in pairs)
        return Record(position, fields[b"k"], fields[b"v"], headers, time_ms)
    except (KeyError, ValueError, TypeError, AttributeError):
        return Record(position, fields.get(b"k"), None, time_ms=time_ms)


def parse_id(text: str) -> tuple[int, int]:
    milliseconds, _, sequence = text.partition("-")
    return int(milliseconds), int(sequence)


def format_id(entry_id: tuple[int, int]) -> str:
    return f"{entry_id[0]}-{entry_id[1]}"
