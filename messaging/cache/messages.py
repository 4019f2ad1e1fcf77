"""Decode messages and idempotency records from Redis' replies, for the adapters of this package."""

from __future__ import annotations

import logging
from collections.abc import Iterable

from messaging.domain.backend_errors import PoisonRecord
from messaging.domain.events import decode_message
from messaging.domain.message import Message
from messaging.ports.cached import IdempotencyRecord

logger = logging.getLogger(__name__)


def record_text(message: Message) -> str:
    """Return the idempotency record of this message as the value of its key."""
    return f"{message.id}:{message.body_hash}"


def read_record(text: bytes) -> IdempotencyRecord:
    message_id, _, body_hash = text.decode().partition(":")
    return IdempotencyRecord(int(message_id), body_hash)


def read_details(
    message_ids: Iterable[int], texts: Iterable[bytes | None]
) -> tuple[dict[int, Message], list[int]]:
    """Return the decoded states by id, and the ids that have no cached state.

    An id whose state is unreadable is among the ids without a state.
    """
    states: dict[int, Message] = {}
    missing: list[int] = []
    for message_id, text in zip(message_ids, texts, strict=True):
        if text is None:
            missing.append(message_id)
            continue
        try:
            states[message_id] = decode_message(text)
        except PoisonRecord as error:
            missing.append(message_id)
            logger.error(
                "unreadable message in the cache",
                extra={
                    "action": "cache.unreadable",
                    "message_id": message_id,
                    "reason": str(error),
                },
            )
    return states, missing
