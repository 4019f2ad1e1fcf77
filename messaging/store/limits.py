"""Tell which messages fit the tables of this release.

Pure. Called by `database` to judge a refusal: the schema or the server is to blame for the refusal
of a message that fits, and the message must wait until the schema or the server is mended.
"""

from __future__ import annotations

from messaging.conf import MAX_CONTENT_CODE_POINTS, MAX_URL_CHARACTERS
from messaging.domain.message import ID_MAX, Message
from messaging.models import (
    AT_USER_IDS_LENGTH,
    BODY_HASH_LENGTH,
    CLIENT_MSG_ID_LENGTH,
    CONVERSATION_ID_LENGTH,
)
from messaging.store.rows import ids_text


def fits(message: Message) -> bool:
    """Tell whether every value of the message has room in its column."""
    numbers = (message.id, message.from_user_id, message.to_id, message.send_time)
    names = {
        message.conversation_id: CONVERSATION_ID_LENGTH,
        message.client_msg_id or "": CLIENT_MSG_ID_LENGTH,
        message.body_hash: BODY_HASH_LENGTH,
    }
    return (
        all(0 <= number <= ID_MAX for number in (*numbers, message.recall_time or 0))
        and all(name.isascii() and len(name) <= most for name, most in names.items())
        and len(ids_text(message.at_user_ids)) <= AT_USER_IDS_LENGTH
        and _is_text(message.content, MAX_CONTENT_CODE_POINTS)
        and _is_text(message.url or "", MAX_URL_CHARACTERS)
    )


def _is_text(text: str, most: int) -> bool:
    return len(text) <= most and not any("\ud800" <= character <= "\udfff" for character in text)
