"""Encode messages for the cache and the log, and decode them.

Pure: no I/O, no Django.
"""

from __future__ import annotations

from enum import StrEnum
from functools import lru_cache
from typing import Annotated, Literal

import msgspec

from messaging.domain.backend_errors import NewerEvent, PoisonRecord
from messaging.domain.groups import Event, Notice, Role
from messaging.domain.message import ID_MAX, ChatType, Message, MsgType, Status

VERSION = 2
"""Number the newest format of events in the log; an event has the number of its oldest reader.

Raise the number when the version before would misread or refuse an event. Every version, whatever
else it changes, is a JSON object with an integer `v`: by `v` alone the version before knows a newer
event, and leaves the event in the log.
"""

LATEST_VERSION = 999  # a larger number is garbage


class Action(StrEnum):
    PERSIST = "PERSIST"
    RECALL = "RECALL"


_Count = Annotated[int, msgspec.Meta(ge=0, le=ID_MAX)]


class _Notice(msgspec.Struct, rename="camel", kw_only=True, gc=False):
    """Define the JSON form of a notice, in an encoded message and in the row's `extra`."""

    event: Event
    user_ids: list[str]
    count: int
    changed: list[str] = []
    role: Role | None = None
    muted_until: int | None = None


class _Record(msgspec.Struct, rename="camel", kw_only=True, gc=False):
    """Define the JSON form of a message in Redis and in the log.

    Ids are strings, because JavaScript's numbers lose digits past 2^53. The order of keys is fixed
    and no whitespace is written: the scripts of the cache find `"status":"…"`,
    `"persistStatus":"…"`, `"seq":…`, `"rev":…` and the recall in the encoded text. A quote inside a
    JSON string is always escaped, so no content can imitate these patterns.
    """

    message_id: str
    conversation_id: str
    seq: _Count | None
    persist_status: str = ""
    rev: _Count | msgspec.UnsetType = msgspec.UNSET  # of a stored message that has changed
    status: Literal["NORMAL", "RECALLED"]
    recall_time: _Count | None
    recalled_by: str | msgspec.UnsetType = msgspec.UNSET
    send_time: _Count
    from_user_id: str
    to_id: str
    chat_type: ChatType
    msg_type: MsgType
    client_msg_id: str | None
    body_hash: str
    url: str | None
    at_user_ids: list[str]
    notice: _Notice | msgspec.UnsetType = msgspec.UNSET
    content: str


class _Event(_Record, rename="camel", kw_only=True, gc=False):
    v: int
    action: Literal["PERSIST", "RECALL"]


class _Versioned(msgspec.Struct, gc=False):
    v: Annotated[int, msgspec.Meta(gt=VERSION, le=LATEST_VERSION)]


_encode = msgspec.json.Encoder().encode
_decode_record = msgspec.json.Decoder(_Record).decode
_decode_event = msgspec.json.Decoder(_Event).decode
_decode_notice = msgspec.json.Decoder(_Notice).decode
_decode_newer = msgspec.json.Decoder(_Versioned).decode


def _to_record(message: Message, seq: int | None) -> _Record:
    return _Record(
        message_id=str(message.id),
        conversation_id=message.conversation_id,
        seq=seq,
        persist_status="PENDING" if seq is None else "PERSISTED",
        rev=message.rev if seq is not None and message.rev else msgspec.UNSET,
        status="RECALLED" if message.is_recalled else "NORMAL",
        recall_time=message.recall_time,
        recalled_by=msgspec.UNSET if message.recalled_by is None else str(message.recalled_by),
        send_time=message.send_time,
        from_user_id=str(message.from_user_id),
        to_id=str(message.to_id),
        chat_type=message.chat_type,
        msg_type=message.msg_type,
        client_msg_id=message.client_msg_id,
        body_hash=message.body_hash,
        url=message.url,
        at_user_ids=[str(user_id) for user_id in message.at_user_ids],
        notice=msgspec.UNSET if message.notice is None else _to_notice(message.notice),
        content=message.content,
    )


_PLAIN_VERSION = 1  # of an event without the optional fields, which every release reads
_EVENT_BEGINS = {
    (version, action): b'{"v":%d,"action":"%b",' % (version, action.value.encode())
    for version in (_PLAIN_VERSION, VERSION)
    for action in Action
}


def encode_message(message: Message) -> bytes:
    return _encode(_to_record(message, message.seq))


def encode_event(message: Message) -> bytes:
    """Return the log's value of a state: PERSIST for a NORMAL message, RECALL for a tombstone."""
    return as_event(_encode(_to_record(message, None)), message)


def as_event(text: bytes, message: Message) -> bytes:
    """Return the log's value of a message without a `seq`, made from its encoded text."""
    action = Action.RECALL if message.is_recalled else Action.PERSIST
    has_more = message.recalled_by is not None or message.notice is not None
    return _EVENT_BEGINS[VERSION if has_more else _PLAIN_VERSION, action] + text[1:]


def decode_message(text: str | bytes) -> Message:
    """Decode a text that `encode_message` returned.

    Raises: PoisonRecord for any other text.
    """
    try:
        return _from_record(_decode_record(text))
    except (ValueError, RecursionError) as error:
        raise PoisonRecord(f"{error!s:.120}") from error


def decode_event(value: bytes | None) -> Message:
    """Decode a value of the log.

    Raises: NewerEvent for an event of a later version, else PoisonRecord with the reason, whatever
    the bytes are.
    """
    if not value:
        raise PoisonRecord("empty value")
    try:
        event = _decode_event(value)
        message = _from_record(event)
    except (ValueError, RecursionError) as error:
        _check_version(value)
        raise PoisonRecord(f"{error!s:.120}") from error
    if not _PLAIN_VERSION <= event.v <= VERSION:
        _check_version(value)
        raise PoisonRecord(f"unknown version {event.v}")
    if (event.action == "RECALL") != message.is_recalled:
        raise PoisonRecord(f"action {event.action} does not fit the status")
    return message


def _check_version(value: bytes) -> None:
    """Raise NewerEvent for an event of a later version, whose other fields are unknown here."""
    try:
        newer = _decode_newer(value)
    except (ValueError, RecursionError):
        return
    raise NewerEvent(f"version {newer.v}; this release reads up to {VERSION}")


def _from_record(record: _Record) -> Message:
    """Return the message of a decoded record.

    Raises: ValueError for values that the types alone do not refuse.
    """
    is_recalled = record.status == "RECALLED"
    if is_recalled != (record.recall_time is not None):
        raise ValueError("status and recall time disagree")
    if isinstance(record.recalled_by, str) and not is_recalled:
        raise ValueError("recalled by somebody and not recalled")
    if record.seq is None and isinstance(record.rev, int):
        raise ValueError("changed and not stored")
    return Message(
        id=_id(record.message_id),
        conversation_id=record.conversation_id,
        from_user_id=_known_id(record.from_user_id),
        to_id=_known_id(record.to_id),
        chat_type=record.chat_type,
        msg_type=record.msg_type,
        content=record.content,
        url=record.url,
        at_user_ids=tuple(map(_id, record.at_user_ids)) if record.at_user_ids else (),
        client_msg_id=record.client_msg_id,
        body_hash=record.body_hash,
        send_time=record.send_time,
        status=Status.RECALLED if is_recalled else Status.NORMAL,
        recall_time=record.recall_time,
        recalled_by=_id(record.recalled_by) if isinstance(record.recalled_by, str) else None,
        notice=_from_notice(record.notice) if isinstance(record.notice, _Notice) else None,
        seq=record.seq,
        rev=record.rev if isinstance(record.rev, int) else 0,
    )


def encode_notice(notice: Notice) -> str:
    """Return the text of a notice for a row of its message, in ASCII."""
    return _encode(_to_notice(notice)).decode()


def decode_notice(text: str) -> Notice:
    """Decode a text that `encode_notice` returned.

    Raises: PoisonRecord for any other text.
    """
    try:
        return _from_notice(_decode_notice(text))
    except (ValueError, RecursionError) as error:
        raise PoisonRecord(f"{error!s:.120}") from error


def _to_notice(notice: Notice) -> _Notice:
    return _Notice(
        event=notice.event,
        user_ids=[str(user_id) for user_id in notice.user_ids],
        count=notice.count,
        changed=list(notice.changed),
        role=notice.role,
        muted_until=notice.muted_until,
    )


def _from_notice(record: _Notice) -> Notice:
    return Notice(
        event=record.event,
        user_ids=tuple(map(_id, record.user_ids)),
        count=record.count,
        changed=tuple(record.changed),
        role=record.role,
        muted_until=record.muted_until,
    )


def _id(digits: str) -> int:
    if not digits.isascii() or not digits.isdigit() or len(digits) > 19:
        raise ValueError("an id is a string of digits")
    if not 1 <= (number := int(digits)) <= ID_MAX:
        raise ValueError("an id is 1 to 2^63-1")
    return number


_known_id = lru_cache(maxsize=16_384)(_id)  # many messages name the same few users and groups
