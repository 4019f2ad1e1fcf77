"""Query the stored messages of a run's conversations, in pieces that fit in memory."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TypeVar

from django.db.models import Sum

from bench.check.conversation import PersistedRow
from messaging.domain.message import Status
from messaging.models import Conversation, Message

KEYS_A_QUERY = 500
ROWS_A_QUERY = 2_000
Key = TypeVar("Key")
COLUMNS = ("id", "seq", "status", "client_msg_id", "content")


def count_of(conversation_ids: Sequence[str]) -> int:
    """Return how many messages were ever stored in these conversations.

    The count is the sum of the conversations' last numbers.
    """
    total = 0
    for names in _pieces(conversation_ids):
        rows = Conversation.objects.filter(id__in=names)
        total += rows.aggregate(total=Sum("last_seq"))["total"] or 0
    return total


def legible_of(message_ids: Sequence[int]) -> list[int]:
    """Return those of these messages that are not stored as tombstones."""
    legible = set(message_ids)
    for ids in _pieces(message_ids):
        rows = Message.objects.filter(id__in=ids, status=Status.RECALLED)
        legible.difference_update(rows.values_list("id", flat=True))
    return sorted(legible)


def rows_of(conversation_id: str) -> Iterator[PersistedRow]:
    """Yield the conversation's messages in the order of their ids."""
    after = 0
    while True:
        rows = Message.objects.filter(conversation_id=conversation_id, id__gt=after)
        piece = list(rows.order_by("id").values_list(*COLUMNS)[:ROWS_A_QUERY])
        yield from (PersistedRow(*row) for row in piece)
        if len(piece) < ROWS_A_QUERY:
            return
        after = piece[-1][0]


def _pieces(keys: Sequence[Key]) -> Iterator[Sequence[Key]]:
    return (keys[at : at + KEYS_A_QUERY] for at in range(0, len(keys), KEYS_A_QUERY))
