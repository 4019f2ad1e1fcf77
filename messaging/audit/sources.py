"""Yield accepted messages from the cache, from the log and from receipts.

Each source is walked in pieces. Each piece comes with the share of the walk that is done: 0 to 1,
and 0 for as long as the share is unknown.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path

from messaging.audit.accounting import AcceptedMessage, named_by
from messaging.audit.check import AT_ONCE
from messaging.audit.log_search import message_of, read
from messaging.domain.errors import MessagingError
from messaging.domain.message import ID_MAX
from messaging.ports.audit import CacheInspector, LogInspector
from messaging.ports.cache import MessageCache
from messaging.ports.cached import PendingEntry
from messaging.ports.log import Record

MOST_POISON = 1_000
END_OF_TIME_MS = 2**53 - 1  # the largest score that a sorted set keeps exactly

Named = AsyncIterator[tuple[float, Sequence[AcceptedMessage]]]


class BadReceipts(MessagingError):
    """A line of the receipts is no message id."""


async def pending(cache: MessageCache) -> Named:
    async for done, entries in pending_entries(cache):
        yield done, [AcceptedMessage(entry.message_id) for entry in entries]


async def pending_entries(cache: MessageCache) -> AsyncIterator[tuple[float, list[PendingEntry]]]:
    """Yield the entries of the pending set, oldest first."""
    total = await cache.pending_count()
    seen = 0
    after: PendingEntry | None = None
    while entries := await cache.pending(before_ms=END_OF_TIME_MS, limit=AT_ONCE, after=after):
        after = entries[-1]
        seen += len(entries)
        yield seen / max(total, seen), entries


async def details(cached: CacheInspector) -> Named:
    async for done, messages in cached.details():
        yield done, [named_by(message) for message in messages]


async def idempotency_records(cached: CacheInspector) -> Named:
    async for done, found in cached.idempotency_records():
        yield (
            done,
            [
                AcceptedMessage(record.message_id, key, record.body_hash, answers_repeats=True)
                for key, record in found
            ],
        )


class LogRecords:
    """Yield the messages of each partition's tail and, when `whole`, those kept before it.

    During the walk `lag` counts the uncommitted records of each partition, and `unreadable` counts
    the records that are no event. `poison` holds the first MOST_POISON committed records among the
    latter.
    """

    def __init__(self, log: LogInspector, *, whole: bool, since_ms: int | None) -> None:
        self.lag: Counter[int] = Counter()
        self.unreadable = 0
        self.poison: list[Record] = []
        self._log = log
        self._whole = whole
        self._since_ms = since_ms

    async def walk(self) -> Named:
        extents = await self._log.extents(since_ms=self._since_ms)
        for number, extent in enumerate(extents):
            self.lag[extent.partition] = 0
            if self._whole:
                before = read(self._log, extent.partition, extent.start, extent.committed)
                async for records in before:
                    yield number / len(extents), self._accepted(records, in_tail=False)
            async for records in read(self._log, extent.partition, extent.committed, extent.end):
                self.lag[extent.partition] += len(records)
                yield number / len(extents), self._accepted(records, in_tail=True)

    def _accepted(self, records: Sequence[Record], *, in_tail: bool) -> list[AcceptedMessage]:
        messages = [message_of(record) for record in records]
        poison = [r for r, message in zip(records, messages, strict=True) if message is None]
        self.unreadable += len(poison)
        if not in_tail:
            self.poison += poison[: MOST_POISON - len(self.poison)]
        return [
            named_by(message, logged=True, in_tail=in_tail)
            for message in messages
            if message is not None
        ]


async def receipts(path: Path) -> Named:
    """Yield the ids that clients were told: the first word of each line of the file.

    Raises: BadReceipts, OSError.
    """
    total = max(path.stat().st_size, 1)
    seen = 0
    for lines in _lines(path):
        seen += sum(len(line) for _, line in lines)
        yield (
            min(seen / total, 1.0),
            [AcceptedMessage(_id(line, path, number)) for number, line in lines if line.strip()],
        )


def _lines(path: Path) -> Iterator[list[tuple[int, str]]]:
    with path.open(encoding="utf-8", errors="replace") as file:
        piece: list[tuple[int, str]] = []
        for numbered in enumerate(file, start=1):
            piece.append(numbered)
            if len(piece) == AT_ONCE:
                yield piece
                piece = []
        if piece:
            yield piece


def _id(line: str, path: Path, number: int) -> int:
    word = line.replace(",", " ").split()[0].strip('"')
    if not (word.isascii() and word.isdigit() and 1 <= int(word[:20]) <= ID_MAX):
        raise BadReceipts(f"{path}, line {number}: {word[:40]!r} is no message id")
    return int(word)
