"""Read the log without consuming it: all of it in pieces, or the records of a few messages."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Collection
from dataclasses import dataclass

from messaging.domain.backend_errors import PoisonRecord
from messaging.domain.events import decode_event
from messaging.domain.ids import time_of_id
from messaging.domain.message import Message, is_same, join
from messaging.ports.audit import Extent, LogInspector
from messaging.ports.log import Record

RECORDS_AT_ONCE = 1_000
EARLIER_MS = 60_000  # how much before its id's time a record may have been appended, at most


@dataclass(slots=True)
class Found:
    """Hold the log's state of a message, merged from its events.

    `in_tail` is set when some of the events are not committed yet.
    """

    message: Message
    in_tail: bool


async def read(
    log: LogInspector, partition: int, start: str, until: str
) -> AsyncIterator[tuple[Record, ...]]:
    """Yield the records between two places of a partition, in pieces."""
    while start != until:
        piece = await log.read(partition, start=start, until=until, max_records=RECORDS_AT_ONCE)
        yield piece.records
        start = piece.next


def message_of(record: Record) -> Message | None:
    """Return the message of a record, or None when the record cannot be read.

    The dead letters say what became of an unreadable record.
    """
    try:
        return decode_event(record.value)
    except PoisonRecord:
        return None


async def search(
    log: LogInspector,
    ids: Collection[int],
    *,
    tail_alone: bool = False,
    on_read: Callable[[int], None] = lambda records: None,
) -> dict[int, Found]:
    """Return what the log still keeps of these messages, by id.

    Every record since the oldest of the messages was sent is read, whosever it is; only the records
    of these messages are held in memory. `on_read` is called with the number of records read so
    far.

    Raises: LogUnavailable.
    """
    found: dict[int, Found] = {}
    wanted = frozenset(ids)
    records_read = 0
    since_ms = time_of_id(min(wanted)) - EARLIER_MS if wanted else None
    for extent in await log.extents(since_ms=since_ms) if wanted else ():
        for start, until, in_tail in sections(extent, tail_alone=tail_alone):
            async for records in read(log, extent.partition, start, until):
                for record in records:
                    message = message_of(record)
                    if message is not None and message.id in wanted:
                        _note(found, message, in_tail=in_tail)
                records_read += len(records)
                on_read(records_read)
    return found


def sections(extent: Extent, *, tail_alone: bool = False) -> list[tuple[str, str, bool]]:
    """Return the parts of a partition to read: the two places, and whether it is the tail."""
    tail = (extent.committed, extent.end, True)
    return [tail] if tail_alone else [(extent.start, extent.committed, False), tail]


def _note(found: dict[int, Found], message: Message, *, in_tail: bool) -> None:
    known = found.setdefault(message.id, Found(message, in_tail))
    if is_same(known.message, message):
        known.message = join(known.message, message)
    known.in_tail |= in_tail
