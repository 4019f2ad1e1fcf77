"""Decode messages from Redis' replies, for the adapters of this package."""

from __future__ import annotations

import logging
from collections.abc import Iterable

from messaging.domain.backend_errors import PoisonRecord
from messaging.domain.events import decode_message
from messaging.domain.message import Message

logger = logging.getLogger(__name__)


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
