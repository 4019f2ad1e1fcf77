"""Compare the rows of a store with the messages that were applied."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import structs

from messaging.domain.message import Message


def without_numbers(messages: Sequence[Message]) -> list[Message]:
    return [structs.replace(message, seq=None, rev=0) for message in messages]
