"""List the pending messages (accepted, and not yet in the database) for operators."""

from __future__ import annotations

from dataclasses import dataclass

from messaging.domain.backend_errors import CacheUnavailable
from messaging.domain.errors import TemporarilyUnavailable
from messaging.domain.message import Message
from messaging.ports.cached import PendingEntry
from messaging.service.backends import Backends

END_OF_TIME_MS = 2**53 - 1  # the largest score that a sorted set keeps exactly


@dataclass(frozen=True, slots=True)
class PendingLine:
    """Hold one entry of the pending set, with its message and the attempts of the compensation.

    `message` is None where its detail is gone from the cache.
    """

    entry: PendingEntry
    message: Message | None
    attempts: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PendingPage:
    """Hold a page of the pending set, newest first.

    `count` and `oldest` are of the whole set.
    """

    count: int
    oldest: PendingEntry | None
    lines: tuple[PendingLine, ...]


async def list_pending(backends: Backends, *, offset: int, limit: int) -> PendingPage:
    """Return the page of the pending set at this offset.

    The set changes during the call: a message that is persisted by the time its detail is read is
    left out.

    Raises: TemporarilyUnavailable when Redis is away.
    """
    cache = backends.cache
    try:
        count = await cache.pending_count()
        oldest = await cache.pending(before_ms=END_OF_TIME_MS, limit=1)
        entries = await cache.newest_pending(offset=offset, limit=limit)
        ids = [entry.message_id for entry in entries]
        attempts = await cache.attempts(ids)
        messages = await cache.get(ids)
    except CacheUnavailable as error:
        raise TemporarilyUnavailable from error
    lines = [
        PendingLine(entry, messages.get(entry.message_id), attempts[entry.message_id])
        for entry in entries
    ]
    return PendingPage(
        count=count,
        oldest=oldest[0] if oldest else None,
        lines=tuple(line for line in lines if line.message is None or line.message.seq is None),
    )
