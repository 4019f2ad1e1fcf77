"""Make the largest cursor that a client of ten thousand conversations may have."""

from __future__ import annotations

from messaging.domain.ids import group_conversation, private_conversation
from messaging.domain.message import ID_MAX
from messaging.domain.sync_cursor import Cursor, Position, Round

CONVERSATIONS = 10_000
MESSAGES = 1_000_000


def largest_cursor(*, own_id: int) -> Cursor:
    """Return a cursor of private chats, whose ids are spread over all that there are."""
    position = Position(MESSAGES, 20_000, 20_000, MESSAGES - 10_000, MESSAGES)
    step = ID_MAX // CONVERSATIONS
    known = {
        private_conversation(own_id, ID_MAX - number * step): position
        for number in range(CONVERSATIONS)
    }
    return Cursor(known, Round(ID_MAX, group_conversation(ID_MAX), MESSAGES))
