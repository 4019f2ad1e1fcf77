"""Count the outcomes of sends, for the metrics."""

from __future__ import annotations

from messaging.domain.errors import (
    ApiError,
    IdsUnavailable,
    QueueFull,
    TemporarilyUnavailable,
    TooManyRequests,
    TooMuchPending,
)
from messaging.domain.message import ChatType
from messaging.metrics import catalogue
from messaging.service.receipts import Receipt

REASONS: tuple[tuple[type[ApiError], str], ...] = (  # the first that fits
    (QueueFull, "queue"),
    (TooManyRequests, "rate"),
    (TooMuchPending, "pending_full"),
    (IdsUnavailable, "no_id"),
    (TemporarilyUnavailable, "unconfirmed"),
)


def count_accepted(chat_type: ChatType, receipt: Receipt) -> None:
    """Count an accepted send, or the repeat of one."""
    chat = "group" if chat_type is ChatType.GROUP else "private"
    catalogue.sends.add(chat, receipt.durability, "repeat" if receipt.repeats else "new")


def count_refused(error: ApiError) -> None:
    """Count a refused send by what its sender should do: wait, mend the request, or ask us."""
    for kind, reason in REASONS:
        if isinstance(error, kind):
            catalogue.sends_refused.add(reason)
            return
    catalogue.sends_refused.add("unconfirmed" if error.http_status >= 500 else "not_allowed")
