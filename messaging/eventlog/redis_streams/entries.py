"""What both ends of the log on Redis Streams agree on: keys, fields, scripts, the client.

A topic is one stream a partition. Its records are as durable as Redis's append-only file. Scripts
touch several partitions at once, so a topic needs one Redis server, not a cluster.
"""

from __future__ import annotations

import json
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from messaging.ports.log import OutgoingRecord, Position, Record

if TYPE_CHECKING:
    from redis.commands.core import AsyncScript

_LUA = Path(__file__).parent / "lua"


def connect(url: str, *, timeout_s: float, answer_timeout_s: float | None = None) -> Redis:
    """A client that asks once: a repeated append would be a second record.

    `timeout_s` bounds the connection and, unless `answer_timeout_s` does, each answer.
    """
    return Redis.from_url(
        url,
        protocol=2,
        retry=Retry(NoBackoff(), 0),
        socket_connect_timeout=timeout_s,
        socket_timeout=answer_timeout_s or timeout_s,
    )


def script(client: Redis, name: str) -> AsyncScript:
    return client.register_script((_LUA / f"{name}.lua").read_text())


def partition_of(key: bytes, partitions: int) -> int:
    """Where records of this key go, for as long as the number of partitions stays."""
    return zlib.crc32(key) % partitions


@dataclass(frozen=True, slots=True)
class Keys:
    topic: str

    def stream(self, partition: int) -> str:
        return f"im:log:{self.topic}:{partition}"

    @property
    def partitions(self) -> str:
        return f"im:log:{self.topic}:partitions"

    def readers(self, group: str) -> str:
        return f"im:log:{self.topic}:{group}:readers"

    def leases(self, group: str) -> str:
        """Without a time to live, for a full Redis would evict it first."""
        return f"im:log:{self.topic}:{group}:leases"

    def committed(self, group: str) -> str:
        return f"im:log:{self.topic}:{group}:committed"


def encode_headers(record: OutgoingRecord) -> str:
    """The field `h`; latin-1 keeps any bytes apart from each other inside JSON."""
    if not record.headers:
        return ""
    return json.dumps([[name, value.decode("latin-1")] for name, value in record.headers])


def decode(topic: str, partition: int, entry_id: bytes, fields: dict[bytes, bytes]) -> Record:
    """The record of an entry; one that is not as `append` writes it has no value."""
    position = Position(topic, partition, entry_id.decode())
    try:
        pairs = json.loads(fields[b"h"] or b"[]")
        headers = tuple((str(name), value.encode("latin-1")) for name, value in pairs)
        return Record(position, fields[b"k"], fields[b"v"], headers)
    except (KeyError, ValueError, TypeError, AttributeError):
        return Record(position, fields.get(b"k"), None)


def parse_id(text: str) -> tuple[int, int]:
    milliseconds, _, sequence = text.partition("-")
    return int(milliseconds), int(sequence)


def format_id(entry_id: tuple[int, int]) -> str:
    return f"{entry_id[0]}-{entry_id[1]}"
