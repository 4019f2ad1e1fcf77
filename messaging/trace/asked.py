"""Read the message that a person asks for."""

from __future__ import annotations

from messaging.domain.errors import MessagingError
from messaging.domain.field_errors import InvalidField
from messaging.domain.message import ID_MAX, Key
from messaging.domain.request_fields import read_client_msg_id


class BadQuestion(MessagingError):
    """The text names no message."""


def read_id(text: str) -> int:
    """Return the message id that a text is.

    Raises: BadQuestion.
    """
    digits = text.strip()
    if not (digits.isascii() and digits.isdigit() and len(digits) <= 19):
        raise BadQuestion("a message id has 1 to 19 digits, and nothing else")
    if not 1 <= int(digits) <= ID_MAX:
        raise BadQuestion(f"a message id is a number from 1 to {ID_MAX}")
    return int(digits)


def read_send(text: str) -> Key:
    """Return the sender and the clientMsgId that `USER:TEXT` names.

    Raises: BadQuestion.
    """
    user, colon, name = text.partition(":")
    if not (colon and user.isascii() and user.isdigit() and 1 <= int(user[:20]) <= ID_MAX):
        raise BadQuestion("write the sender's id, a colon and the clientMsgId, such as 42:a-1")
    try:
        return int(user), read_client_msg_id(name)
    except InvalidField as error:
        raise BadQuestion("this is no clientMsgId, as a send takes one") from error
