"""Hide messages from users, and give each delete a `rev` of the user's participant."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from django.db import transaction
from django.db.backends.base.base import BaseDatabaseWrapper

from messaging.domain.message import Message
from messaging.store.tables import Tables


def delete_for_user(
    connection: BaseDatabaseWrapper,
    user_id: int,
    message_ids: Sequence[int],
    conversation_id: str,
    repeat: Message | None,
) -> list[int]:
    """Hide messages from one user, as `MessageStore.delete_for_user` promises."""
    tables = Tables(connection)

    def hide(ids: Sequence[int]) -> None:
        with transaction.atomic(using=connection.alias):
            insert_deletes(tables, {(user_id, each): conversation_id for each in ids})

    # Each step commits by itself. In one transaction, the delete and a deduplication that runs
    # meanwhile would not see each other: the row would stay visible.
    hide(message_ids)
    owner = None if repeat is None else tables.reserve_or_owner(repeat)
    if owner is None:
        return list(message_ids)
    hide([owner])
    return [*message_ids, owner]


def insert_deletes(tables: Tables, deletes: Mapping[tuple[int, int], str]) -> None:
    """Insert deletes, each with the next `rev` of the user's participant; 0 without a participant.

    `deletes`: the message's conversation, by a user's id and a message's id. A delete that exists
    stays, and raises no `rev`. The caller has opened a transaction: a reader who sees a `rev` of
    the participant sees the delete as well.

    Order: participants are locked until the transaction ends.
    Safe to repeat.
    """
    if not deletes:
        return
    revs = tables.lock_participants({(user_id, name) for (user_id, _), name in deletes.items()})
    rows = []
    for user_id, message_id in sorted(deletes.keys() - tables.known_deletes(deletes)):
        seat = (user_id, deletes[user_id, message_id])
        if seat in revs:
            revs[seat] += 1
        rows.append((user_id, message_id, seat[1], revs.get(seat, 0)))
    if rows:
        tables.raise_participants(revs)
        tables.insert_deletes(rows)
