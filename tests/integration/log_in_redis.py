"""Read the log on Redis Streams directly, past the adapters."""

from __future__ import annotations

import redis


def lengths(client: redis.Redis) -> list[int]:
    """Return the number of records of each partition that has records."""
    return [client.xlen(name) for name in client.scan_iter("im:log:*", _type="stream")]


def values(client: redis.Redis) -> list[list[tuple[bytes, bytes]]]:
    """Return key and value of each record, in their order, by partition."""
    names = client.scan_iter("im:log:*", _type="stream")
    return [[(record[b"k"], record[b"v"]) for _, record in client.xrange(n)] for n in names]


def positions(client: redis.Redis) -> list[dict[bytes, bytes]]:
    """Return the positions that the consumers have committed, by partition, in each topic."""
    return [client.hgetall(name) for name in sorted(client.keys("im:log:*:committed"))]


def lose_log(client: redis.Redis) -> None:
    client.delete(*client.keys("im:log:*"))


def lose_leases(client: redis.Redis) -> None:
    """Delete all leases, so that the reader that polls next takes all partitions."""
    client.delete(*client.keys("im:log:*:readers"), *client.keys("im:log:*:leases"))
