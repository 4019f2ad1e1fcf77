"""What the database holds of a run's conversations, in pieces that fit in memory."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from django.db.models import Sum

from messaging.bench.check import Row
from messaging.events import Status
from messaging.models import Conversation, Message

NAMES_A_QUERY = 500
ROWS_A_QUERY = 2_000
COLUMNS = ("id", "seq", "status", "client_msg_id", "content")


def count_of(conversation_ids: Sequence[str]) -> int:
    """How many messages were ever stored in these conversations: the sum of their last numbers."""
    total = 0
    for names in _pieces(conversation_ids):
        rows = Conversation.objects.filter(id__in=names)
        total += rows.aggregate(total=Sum("last_seq"))["total"] or 0
    return total


def recalled_of(conversation_ids: Sequence[str]) -> int:
    """How many tombstones are stored in them; reads all of their rows."""
    return sum(
        Message.objects.filter(conversation_id__in=names, status=Status.RECALLED).count()
        for names in _pieces(conversation_ids)
    )


def rows_of(conversation_id: str) -> Iterator[Row]:
    """The conversation's messages in the order of their ids."""
    after = 0
    while True:
        rows = Message.objects.filter(conversation_id=conversation_id, id__gt=after)
        piece = list(rows.order_by("id").values_list(*COLUMNS)[:ROWS_A_QUERY])
        yield from (Row(*row) for row in piece)
        if len(piece) < ROWS_A_QUERY:
            return
        after = piece[-1][0]


def _pieces(names: Sequence[str]) -> Iterator[Sequence[str]]:
    return (names[at : at + NAMES_A_QUERY] for at in range(0, len(names), NAMES_A_QUERY))
