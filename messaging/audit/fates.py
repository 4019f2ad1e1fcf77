"""Decide the fate of a message from all that is known of the message.

Pure.
"""

from __future__ import annotations

from collections.abc import Collection

from messaging.audit.findings import Fate
from messaging.domain.message import Message
from messaging.ports.cached import IdempotencyRecord
from messaging.ports.store import DeadLetterState


def fate_of(
    message_id: int,
    *,
    found: Message | None = None,
    letters: Collection[DeadLetterState] = (),
    is_pending: bool = False,
    in_tail: bool = False,
    repeats: bool = False,
) -> Fate:
    """Return the fate of a message.

    `found`: the row that the id leads to, its own or that of the message it was deduplicated into.
    `letters`: the states of its dead letters.
    `is_pending`: the cache has both its pending mark and its detail.
    `in_tail`: the log has an event of it behind the committed position.
    `repeats`: its send repeats that of a stored message (`repeats_record`).
    """
    if found is not None:
        return _fate_of_row(found) if found.id == message_id else Fate.DUPLICATE
    if DeadLetterState.OPEN in letters:
        return Fate.DEAD_LETTER
    if DeadLetterState.DISCARDED in letters:
        return Fate.DISCARDED
    if is_pending:
        return Fate.PENDING
    if in_tail:
        return Fate.UNDER_WAY
    return Fate.DUPLICATE if repeats else Fate.UNACCOUNTED


def repeats_record(
    message_id: int, body_hash: str | None, record: IdempotencyRecord | None
) -> bool:
    """Tell whether a send repeats that of another message, which is stored under its key.

    `body_hash`: None where it is not known; the record counts then, too.
    """
    if record is None or not record.is_stored or record.message_id == message_id:
        return False
    return body_hash in (None, record.body_hash)


def _fate_of_row(row: Message) -> Fate:
    return Fate.RECALLED if row.is_recalled else Fate.PERSISTED
