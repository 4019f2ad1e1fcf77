"""Turn records of the log into one state a message: decode, merge, set the unreadable aside.

Pure: no calls of a backend.
"""

from __future__ import annotations

from collections.abc import Container, Sequence
from dataclasses import dataclass, field

from messaging.domain.backend_errors import NewerEvent, PoisonRecord
from messaging.domain.events import decode_event
from messaging.domain.message import Message, is_same, join
from messaging.ports.log import Record
from messaging.ports.store import DeadLetter


@dataclass(slots=True)
class Batch:
    """Hold the states and dead letters that a run of records contains.

    `messages` has one state a message id, and `sources` the last record of each id. `last` is the
    last record of each partition: its position is committed when the whole batch is done. `newer`
    is the first record of a partition that only a newer release can read: neither that record nor
    any later one of its partition is in the batch.
    """

    messages: dict[int, Message] = field(default_factory=dict)
    sources: dict[int, Record] = field(default_factory=dict)
    poison: list[DeadLetter] = field(default_factory=list)
    last: dict[int, Record] = field(default_factory=dict)
    newer: dict[int, Record] = field(default_factory=dict)


def read_batch(records: Sequence[Record], *, held: Container[int] = ()) -> Batch:
    """Merge records into a batch, without those of `held` partitions.

    Never fails, whatever the records' bytes are.
    """
    batch = Batch()
    for record in records:
        partition = record.position.partition
        if partition in held or partition in batch.newer:
            continue
        try:
            message = decode_event(record.value)
        except NewerEvent:
            batch.newer[partition] = record
            continue
        except PoisonRecord as error:
            batch.last[partition] = record
            batch.poison.append(dead_letter(record, reason="unreadable", error=str(error)))
            continue
        batch.last[partition] = record
        known = batch.messages.get(message.id)
        if known is not None and not is_same(known, message):
            found = "this id belongs to another message of the same batch"
            batch.poison.append(
                dead_letter(record, reason="id_conflict", error=found, message_id=message.id)
            )
            continue
        batch.messages[message.id] = message if known is None else join(known, message)
        batch.sources[message.id] = record
    return batch


def dead_letter(
    record: Record, *, reason: str, error: str, message_id: int | None = None
) -> DeadLetter:
    """Return the dead letter of a record of the log."""
    return DeadLetter(
        topic=record.position.topic,
        partition=record.position.partition,
        offset=record.position.offset,
        key=record.key or b"",
        value=record.value or b"",
        reason=reason,
        error=error,
        message_id=message_id,
    )
