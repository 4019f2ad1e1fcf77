"""Yield accepted messages from the cache, from the log and from receipts.

Each source is walked in pieces. Each piece comes with the share of the walk that is done: 0 to 1,
and 0 for as long as the share is unknown.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from messaging.audit.check import AT_ONCE
from messaging.audit.log_search import message_of, read
from messaging.domain.errors import MessagingError
from messaging.domain.message import ID_MAX, Key, Message
from messaging.ports.audit import CacheInspector, LogInspector, Pieces
from messaging.ports.cache import MessageCache
from messaging.ports.cached import PendingEntry
from messaging.ports.log import Record

MOST_POISON = 1_000
END_OF_TIME_MS = 2**53 - 1  # the largest score that a sorted set keeps exactly


@dataclass(frozen=True, slots=True)
class AcceptedMessage:
    """Hold a message that a source names as accepted, with what the source knows beside the id.

    `key` is the message's (sender, clientMsgId). A repeat of which the store keeps no alias can be
    recognised by the key alone. The first send accounts for a repeat only with the same
    `body_hash`, where the hash is known. `message` is the log's state of the message. `in_tail` is
    set while the consumer has not committed the log's record. `answers_repeats` is set when a
    client that repeats its send would be told this id.
    """

    id: int
    key: Key | None = None
    body_hash: str | None = None
    message: Message | None = None
    in_tail: bool = False
    answers_repeats: bool = False


def named_by(message: Message, *, logged: bool = False, in_tail: bool = False) -> AcceptedMessage:
    """Return a message at hand as an accepted one, with its own key and body hash."""
    state = message if logged else None
    return AcceptedMessage(message.id, message.key, message.body_hash, state, in_tail)


Named = Pieces[AcceptedMessage]
Walk = Callable[[], Named]


class BadReceipts(MessagingError):
    """A line of the receipts is no message id."""


async def pending(cache: MessageCache) -> Named:
    async for done, entries in pending_entries(cache):
        yield done, [AcceptedMessage(entry.message_id) for entry in entries]


async def pending_entries(cache: MessageCache) -> Pieces[PendingEntry]:
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
    with path.open(encoding="utf-8", errors="replace") as file:
        numbered = enumerate(file, start=1)
        while lines := list(islice(numbered, AT_ONCE)):
            seen += sum(len(line) for _, line in lines)
            ids = [_id(line, path, number) for number, line in lines if line.strip()]
            yield min(seen / total, 1.0), [AcceptedMessage(message_id) for message_id in ids]


def _id(line: str, path: Path, number: int) -> int:
    word = line.replace(",", " ").split()[0].strip('"')
    if not (word.isascii() and word.isdigit() and 1 <= int(word[:20]) <= ID_MAX):
        raise BadReceipts(f"{path}, line {number}: {word[:40]!r} is no message id")
    return int(word)
