"""Read the body of a send, the most frequent request, straight into typed fields.

A plain text message takes the short way. Every other body takes the way of all requests
(`parsing`, `domain.requests`), which alone judges and refuses. Both ways read a body alike.
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from messaging.conf import MAX_CONTENT_BYTES, MAX_CONTENT_CODE_POINTS
from messaging.domain.message import ChatType, MsgType
from messaging.domain.request_fields import CLIENT_MSG_ID_CHARACTERS, is_invisible
from messaging.domain.requests import Ack, SendRequest, parse_send
from messaging.http.parsing import decode_object

_MOST_QUOTES = 32  # more than a plain message has
_Id = Annotated[str, msgspec.Meta(pattern=r"^[1-9][0-9]{0,17}\Z")]  # any such number is an id


class _Plain(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    chatType: Literal[1, 2]  # the names of the API
    msgType: Literal[1]
    content: Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_CONTENT_CODE_POINTS)]
    toUserId: _Id | None = None
    groupId: _Id | None = None
    clientMsgId: (
        Annotated[str, msgspec.Meta(pattern=rf"^[ -~]{{1,{CLIENT_MSG_ID_CHARACTERS}}}\Z")] | None
    ) = None
    ack: Ack | None = None


_decode = msgspec.json.Decoder(_Plain).decode


def read_send(body: bytes) -> SendRequest:
    """Return the send that a body asks for.

    Raises: BodyTooLarge; InvalidInput with all fields that are wrong.
    """
    plain = _read_plain(body)
    return parse_send(decode_object(body)) if plain is None else plain


def _read_plain(body: bytes) -> SendRequest | None:
    """Return the send of a plain text message, or None for a body that the long way must judge."""
    if len(body) > MAX_CONTENT_BYTES or body.count(b'"') > _MOST_QUOTES:
        return None
    try:
        plain = _decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    is_private = plain.chatType == 1
    target, other = (
        (plain.toUserId, plain.groupId) if is_private else (plain.groupId, plain.toUserId)
    )
    content = plain.content
    if target is None or other is not None or "\0" in content or is_invisible(content[0]):
        return None
    return SendRequest(
        chat_type=ChatType.PRIVATE if is_private else ChatType.GROUP,
        target_id=int(target),
        msg_type=MsgType.TEXT,
        content=content,
        url=None,
        at_user_ids=(),
        client_msg_id=plain.clientMsgId,
        ack=plain.ack or Ack.LOG,
    )
