"""Convert a message into a row of its table, and back; pure functions."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from messaging.domain.events import decode_notice, encode_notice
from messaging.domain.message import ChatType, Message, MsgType, PersistStatus, Status

COLUMNS = (
    "id",
    "conversation_id",
    "seq",
    "from_user_id",
    "to_id",
    "chat_type",
    "msg_type",
    "content",
    "url",
    "at_user_ids",
    "client_msg_id",
    "body_hash",
    "status",
    "send_time",
    "recall_time",
    "recalled_by",
    "extra",
    "rev",
    "persist_status",
)
NO_USERS = "[]"
_STORED = PersistStatus.PERSISTED.value


def to_row(message: Message) -> tuple[Any, ...]:
    """Return the message's values of `COLUMNS`."""
    return (
        message.id,
        message.conversation_id,
        message.seq,
        message.from_user_id,
        message.to_id,
        int(message.chat_type),
        int(message.msg_type),
        message.content,
        message.url,
        ids_text(message.at_user_ids),
        message.client_msg_id,
        message.body_hash,
        int(message.status),
        message.send_time,
        message.recall_time,
        message.recalled_by,
        None if message.notice is None else encode_notice(message.notice),
        message.rev,
        _STORED,
    )


def from_row(row: Sequence[Any]) -> Message:
    """Return the message that a row of `COLUMNS` holds."""
    return Message(
        id=row[0],
        conversation_id=row[1],
        seq=row[2],
        from_user_id=row[3],
        to_id=row[4],
        chat_type=ChatType(row[5]),
        msg_type=MsgType(row[6]),
        content=row[7],
        url=row[8],
        at_user_ids=tuple(json.loads(row[9])) if row[9] != NO_USERS else (),
        client_msg_id=None if row[10] is None else client_msg_id(row[10]),
        body_hash=row[11],
        status=Status(row[12]),
        send_time=row[13],
        recall_time=row[14],
        recalled_by=row[15],
        notice=None if row[16] is None else decode_notice(row[16]),
        rev=row[17],
    )


def ids_text(ids: tuple[int, ...]) -> str:
    return json.dumps(ids, separators=(",", ":")) if ids else NO_USERS


def client_msg_id(value: str | bytes) -> str:
    """Return a clientMsgId as text; MySQL's column is binary (`database.fields.ExactText`)."""
    return value.decode() if isinstance(value, bytes) else value


def size_bytes(message: Message) -> int:
    """Return an upper bound of the row's bytes in a statement.

    A character takes four bytes at most, quoted or not.
    """
    return 1_024 + 4 * (len(message.content) + len(message.url or ""))
