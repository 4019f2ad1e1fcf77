"""The message and its join, and the records of the log with their codec. Pure: no I/O, no Django.

A message is a state that only moves up (NORMAL, then RECALLED). An event of the log carries such a
state whole, so applying events is a *join*: commutative, associative, idempotent. Any order, any
number of repeats and any detour through compensation end in the same row (see `join`).
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, replace
from enum import IntEnum, StrEnum
from typing import Any

from messaging.errors import PoisonRecord

VERSION = 1
ID_MAX = 2**63 - 1


class ChatType(IntEnum):
    PRIVATE = 1
    GROUP = 2


class MsgType(IntEnum):
    TEXT = 1
    IMAGE = 2
    VIDEO = 3
    FILE = 4
    VOICE = 5


class Status(IntEnum):
    """Where a message stands; the larger one wins."""

    NORMAL = 0
    RECALLED = 1


class PersistStatus(StrEnum):
    PENDING = "PENDING"
    PERSISTED = "PERSISTED"


class Action(StrEnum):
    PERSIST = "PERSIST"
    RECALL = "RECALL"


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One message as every layer knows it; times are milliseconds since 1970 (UTC)."""

    id: int
    conversation_id: str
    from_user_id: int
    to_id: int  # a user's id in a private chat, a group's id in a group chat
    chat_type: ChatType
    msg_type: MsgType
    content: str
    url: str | None
    at_user_ids: tuple[int, ...]
    client_msg_id: str | None
    body_hash: str  # of what was sent, kept when the content goes; see `hash_body`
    send_time: int
    status: Status = Status.NORMAL
    recall_time: int | None = None
    seq: int | None = None  # given by the store with the row

    @property
    def persist_status(self) -> PersistStatus:
        """PERSISTED exactly when the store has given a `seq`."""
        return PersistStatus.PENDING if self.seq is None else PersistStatus.PERSISTED

    @property
    def is_recalled(self) -> bool:
        return self.status is Status.RECALLED

    def recalled(self, recall_time: int) -> Message:
        """The tombstone: the same message without what it said."""
        return replace(
            self,
            status=Status.RECALLED,
            recall_time=recall_time,
            content="",
            url=None,
            at_user_ids=(),
        )


def hash_body(
    *,
    to_id: int,
    chat_type: int,
    msg_type: int,
    content: str,
    url: str | None,
    at_user_ids: tuple[int, ...],
) -> str:
    """What makes two sends with one clientMsgId the same send: 32 hexadecimal digits."""
    body = json.dumps([to_id, int(chat_type), int(msg_type), content, url, at_user_ids])
    return hashlib.blake2b(body.encode(), digest_size=16).hexdigest()


def is_same(one: Message, other: Message) -> bool:
    """Whether two states with one id are of one message; what is compared outlives a recall."""
    return (
        one.from_user_id == other.from_user_id
        and one.conversation_id == other.conversation_id
        and one.send_time == other.send_time
        and one.client_msg_id == other.client_msg_id
        and one.body_hash == other.body_hash
    )


def join(one: Message, other: Message) -> Message:
    """The least state that is at least both: recalled if either is, at the earlier recall time."""
    if one.id != other.id:
        raise ValueError(f"join of two messages: {one.id} and {other.id}")
    upper, lower = (one, other) if one.status >= other.status else (other, one)
    recall_times = [m.recall_time for m in (one, other) if m.recall_time is not None]
    return replace(
        upper,
        seq=upper.seq if upper.seq is not None else lower.seq,
        recall_time=min(recall_times, default=None),
    )


# --- codec ----------------------------------------------------------------------------------


def to_record(message: Message) -> dict[str, Any]:
    """The JSON form of a message in Redis and in the log; ids are strings (2^53 is too small).

    The order of keys is fixed and no whitespace is written: the scripts of the cache find
    `"status":"…"`, `"persistStatus":"…"` and `"seq":…` in the encoded text. A quote inside a JSON
    string is always escaped, so no content can imitate them.
    """
    return {
        "messageId": str(message.id),
        "conversationId": message.conversation_id,
        "seq": message.seq,
        "persistStatus": message.persist_status.value,
        "status": message.status.name,
        "recallTime": message.recall_time,
        "sendTime": message.send_time,
        "fromUserId": str(message.from_user_id),
        "toId": str(message.to_id),
        "chatType": int(message.chat_type),
        "msgType": int(message.msg_type),
        "clientMsgId": message.client_msg_id,
        "bodyHash": message.body_hash,
        "url": message.url,
        "atUserIds": [str(user_id) for user_id in message.at_user_ids],
        "content": message.content,
    }


def encode_message(message: Message) -> str:
    return json.dumps(to_record(message), ensure_ascii=False, separators=(",", ":"))


def encode_event(message: Message) -> bytes:
    """The log's value for this state: PERSIST for a NORMAL message, RECALL for a tombstone."""
    action = Action.RECALL if message.is_recalled else Action.PERSIST
    record = {"v": VERSION, "action": action.value, **to_record(replace(message, seq=None))}
    return json.dumps(record, ensure_ascii=False, separators=(",", ":")).encode()


def decode_message(text: str | bytes) -> Message:
    """Read what `encode_message` wrote; raises PoisonRecord for anything else."""
    return _from_record(_load(text))


def decode_event(value: bytes | None) -> Message:
    """Read the log's value; raises PoisonRecord with the reason, whatever the bytes are."""
    if not value:
        raise PoisonRecord("empty value")
    record = _load(value)
    if record.get("v") != VERSION:
        raise PoisonRecord(f"unknown version {record.get('v')!r:.40}")
    message = _from_record(record)
    expected = Action.RECALL if message.is_recalled else Action.PERSIST
    if record.get("action") != expected.value:
        raise PoisonRecord(f"action {record.get('action')!r:.40} does not fit the status")
    return message


def _load(text: str | bytes) -> dict[str, Any]:
    try:
        record = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise PoisonRecord("not JSON") from error
    if not isinstance(record, dict):
        raise PoisonRecord("not a JSON object")
    return record


def _from_record(record: dict[str, Any]) -> Message:
    try:
        message = Message(
            id=_id(record["messageId"]),
            conversation_id=_text(record["conversationId"]),
            from_user_id=_id(record["fromUserId"]),
            to_id=_id(record["toId"]),
            chat_type=ChatType(_count(record["chatType"])),
            msg_type=MsgType(_count(record["msgType"])),
            content=_text(record["content"]),
            url=None if record["url"] is None else _text(record["url"]),
            at_user_ids=tuple(_id(user_id) for user_id in _list(record["atUserIds"])),
            client_msg_id=None if record["clientMsgId"] is None else _text(record["clientMsgId"]),
            body_hash=_text(record["bodyHash"]),
            send_time=_count(record["sendTime"]),
            status=Status[record["status"]],
            recall_time=None if record["recallTime"] is None else _count(record["recallTime"]),
            seq=None if record["seq"] is None else _count(record["seq"]),
        )
    except KeyError as error:
        raise PoisonRecord(f"missing or unknown: {error}") from error
    except (TypeError, ValueError) as error:
        raise PoisonRecord(f"wrong type or range: {error!s:.120}") from error
    if message.is_recalled != (message.recall_time is not None):
        raise PoisonRecord("status and recall time disagree")
    return message


def _id(value: object) -> int:
    if not isinstance(value, str) or not value.isascii() or not value.isdigit() or len(value) > 19:
        raise ValueError("an id is a string of digits")
    if not 1 <= (number := int(value)) <= ID_MAX:
        raise ValueError("an id is 1 to 2^63-1")
    return number


def _list(value: object) -> list[object]:
    if not isinstance(value, list):
        raise TypeError("a list expected")
    return value


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError("text expected")
    value.encode()  # a lone surrogate is refused here rather than by the database
    return value


def _count(value: object) -> int:
    if type(value) is not int or not 0 <= value <= ID_MAX:
        raise ValueError("a whole number from 0 expected")
    return value
