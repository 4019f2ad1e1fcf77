"""Promise the ordered, durable log: its writing end and its reading end."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Protocol

import msgspec

from messaging.domain.breakers import Breaker
from messaging.domain.events import as_event, encode_event
from messaging.domain.message import Message


class OutgoingRecord(msgspec.Struct, frozen=True, gc=False):
    """Hold a record to append; all records with one key keep their order in one partition."""

    key: bytes
    value: bytes
    headers: tuple[tuple[str, bytes], ...] = ()

    @classmethod
    def of(cls, message: Message, text: bytes | None = None) -> OutgoingRecord:
        """Return the record of a message's state; the records of a conversation share its key.

        `text`: the encoded message, where it has no `seq` and the text is at hand.
        """
        event = encode_event(message) if text is None else as_event(text, message)
        return cls(message.conversation_id.encode(), event)


class Position(msgspec.Struct, frozen=True, gc=False):
    """Locate a record in the log; `offset` is the broker's own, for people and dead letters."""

    topic: str
    partition: int
    offset: str


class Record(msgspec.Struct, frozen=True, gc=False):
    """Hold a record as read; `value` is None where the broker's bytes could not be read.

    `time_ms`: when the record was appended (ms since 1970), where the log keeps the time.
    """

    position: Position
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...] = ()
    time_ms: int | None = None


Confirmation = asyncio.Future[Position]
MAX_RECORD_BYTES = 1_000_000  # Kafka's own default limit is 1,048,588 with the framing


def fail(confirmation: Confirmation, error: Exception) -> None:
    """Fail a confirmation unless it has ended; perhaps no caller waits for it any more."""
    if not confirmation.done():
        confirmation.set_exception(error)
        # Retrieving the exception keeps asyncio from logging it as never retrieved: a sender whose
        # time budget is spent does not wait any more.
        confirmation.exception()


class EventLog(Protocol):
    """Append records to the ordered, durable log.

    `append` hands records over and returns a future for each, in order. Records that travel
    together may share one future. A future resolves to the Position of the first of its records
    once the log holds them all durably (Kafka: acks=all). A future fails with LogUnavailable (its
    records may or may not be in the log) or RecordTooLarge (its record is not). A record that is
    refused fails alone. Every future ends within the adapter's delivery timeout, and the hand-over
    itself within its hand-over timeout: the future of a record that could not be handed over has
    failed. There is no fire-and-forget variant and no flush.

    `shares_cache_disk`: the log is kept by the server of the cache, and dies with its disk.
    """

    shares_cache_disk: bool

    async def append(self, topic: str, records: Sequence[OutgoingRecord]) -> list[Confirmation]: ...

    @property
    def breaker(self) -> Breaker:
        """Return the circuit breaker; unless it is closed, appends fail at once."""

    async def ping(self) -> None:
        """Return when the log answers.

        Raises: LogUnavailable when the log does not answer.
        """

    async def close(self) -> None:
        """End the appends in flight within a bounded time, then close the connection.

        Safe to repeat.
        """


POLL_BYTES = 4 * 1024 * 1024


class LogReader(Protocol):
    """Read the log as one member of a group of readers that share a topic's partitions.

    Delivery is at least once and ordered within a partition. Positions are cumulative: committing a
    record commits all before it in its partition. A reader is not safe to call concurrently with
    itself.
    """

    async def poll(self, *, max_records: int, timeout_s: float) -> list[Record]:
        """Return the records after the last ones returned, or [] at the timeout.

        At most `max_records` are returned, and at most POLL_BYTES of values, but for one value that
        is larger itself. An unreadable record is returned with `value=None` and never blocks the
        ones behind it.

        Raises: LogUnavailable.
        Leaves: the next call reconnects and misses nothing.
        """

    async def commit(self, last: Mapping[int, Record]) -> None:
        """Commit up to and including the given record of each partition.

        Raises: CommitRefused where a partition has moved to another reader, LogUnavailable
        otherwise.
        Leaves: a record that is not committed is delivered again, to this reader or another.
        """

    async def keep_alive(self) -> None:
        """Keep the group membership without reading on; call every second while holding a batch."""

    async def rewind(self) -> None:
        """Read on from the committed positions: all records not committed are delivered again."""

    async def close(self) -> None:
        """Leave the group without committing.

        Safe to repeat.
        """
