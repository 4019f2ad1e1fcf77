"""Parse the calls on conversations, as `requests` parses those on messages.

Pure. Unknown fields are ignored; null means absent.

Raises: InvalidInput, from every parser, with all fields that are wrong.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import partial

import msgspec

from messaging.conf import DEFAULT_PAGE_SIZE
from messaging.domain import request_fields
from messaging.domain.conversations import Mark, Place, joint_mark
from messaging.domain.errors import InvalidInput
from messaging.domain.field_errors import FieldError, InvalidField
from messaging.domain.form import Form
from messaging.domain.group_fields import (
    decode_cursor,
    encode_cursor,
    read_flag,
    read_mute_s,
    read_user_cursor,
)
from messaging.domain.message import ID_MAX, ChatType
from messaging.limits import MAX_CONVERSATION_MUTE_S, MAX_RECEIPTS

_ID = "[1-9][0-9]{0,18}"
_CONVERSATION_ID = re.compile(f"g({_ID})|({_ID})_({_ID})")


class SetRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Ask for settings of a conversation; None leaves a setting as it is.

    `muted_for_s`: 0 ends the mute, FOR_GOOD has no end.
    """

    conversation_id: str
    pinned: bool | None = None
    muted_for_s: int | None = None
    hidden: bool | None = None
    marked_unread: bool | None = None


class ListRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Ask for a page of the list; `after`: the place behind which the page begins."""

    size: int
    after: Place | None = None
    includes_hidden: bool = False


class PartnerRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Ask for the conversation with a user, or of a group."""

    chat_type: ChatType
    target_id: int


class ReadersRequest(msgspec.Struct, frozen=True, kw_only=True):
    message_id: int
    has_read: bool
    after: int
    size: int


def read_conversation_id(value: object) -> str:
    """Return the id of a conversation, judged by its form alone.

    Raises: InvalidField.
    """
    match = _CONVERSATION_ID.fullmatch(value) if isinstance(value, str) else None
    numbers = [] if match is None else [int(each) for each in match.groups() if each]
    if match is None or numbers != sorted(numbers) or numbers[-1] > ID_MAX:
        raise InvalidField(FieldError.CONVERSATION_ID)
    return match.string


_SETTINGS: Mapping[str, tuple[str, Callable[[object], object]]] = {
    "pinned": ("pinned", read_flag),
    "muted_for_s": (
        "mutedForS",
        partial(read_mute_s, most=MAX_CONVERSATION_MUTE_S, refusal=FieldError.CONVERSATION_MUTE),
    ),
    "hidden": ("hidden", read_flag),
    "marked_unread": ("markedUnread", read_flag),
}


def parse_set(body: object) -> SetRequest:
    form = Form(body)
    conversation_id = take_conversation(form)
    settings = {
        name: form.take(field, read, default=None) for name, (field, read) in _SETTINGS.items()
    }
    if not any(form.has(field) for field, _ in _SETTINGS.values()):
        form.refuse("body", FieldError.NO_SETTING)
    form.close()
    return SetRequest(conversation_id=conversation_id, **settings)  # type: ignore[arg-type]


def parse_clear(body: object) -> str:
    """Return the conversation to be cleared."""
    form = Form(body)
    conversation_id = take_conversation(form)
    form.close()
    return conversation_id


def take_conversation(form: Form) -> str:
    return form.take("conversationId", read_conversation_id, default="", needed=True)


def parse_list(query: Mapping[str, str]) -> ListRequest:
    form = Form(query)
    size, after = _take_size(form), form.take("after", read_place, default=None)
    includes_hidden = form.take("includeHidden", _read_flag_text, default=False)
    form.close()
    return ListRequest(size=size, after=after, includes_hidden=includes_hidden)


def parse_partner(query: Mapping[str, str]) -> PartnerRequest:
    form = Form(query)
    chat_type = form.take(
        "chatType", request_fields.read_chat_type_digit, default=ChatType.PRIVATE, needed=True
    )
    target_id = form.take("targetId", request_fields.read_id, default=0, needed=True)
    form.close()
    return PartnerRequest(chat_type=chat_type, target_id=target_id)


def parse_receipts(body: object, *, user_id: int) -> tuple[Mark, ...]:
    """Return the user's marks, one a conversation."""
    form = Form(body)
    items = form.take("items", _read_items, default=(), needed=True)
    form.close()
    marks: dict[str, Mark] = {}
    for conversation_id, read_seq, delivered_seq in items:
        mark = Mark(
            user_id=user_id,
            conversation_id=conversation_id,
            read_seq=read_seq,
            delivered_seq=delivered_seq,
        )
        known = marks.get(conversation_id, mark)
        marks[conversation_id] = joint_mark(known, mark)
    return tuple(marks.values())


def parse_readers(query: Mapping[str, str]) -> ReadersRequest:
    form = Form(query)
    message_id = form.take("messageId", request_fields.read_id, default=0, needed=True)
    has_read = form.take("read", _read_flag_text, default=True)
    after = form.take("after", read_user_cursor, default=0)
    size = _take_size(form)
    form.close()
    return ReadersRequest(message_id=message_id, has_read=has_read, after=after, size=size)


def read_place(value: object) -> Place:
    """Return the place that a cursor of the list names."""
    pin_time, _, rest = decode_cursor(value).partition(":")
    activity, _, conversation_id = rest.partition(":")
    try:
        place = Place(_read_count(pin_time), _read_count(activity), conversation_id)
        read_conversation_id(conversation_id)
    except InvalidField as error:
        raise InvalidField(FieldError.CURSOR) from error
    return place


def place_cursor(place: Place) -> str:
    return encode_cursor(f"{place.pin_time}:{place.activity}:{place.conversation_id}")


def _take_size(form: Form) -> int:
    return form.take("size", request_fields.read_size, default=DEFAULT_PAGE_SIZE)


def _read_flag_text(value: object) -> bool:
    if value not in ("true", "false"):
        raise InvalidField(FieldError.TRUE_OR_FALSE)
    return value == "true"


def _read_count(text: str) -> int:
    """Return a number of an id's size that digits spell, 0 included."""
    return 0 if text == "0" else request_fields.read_id(text)


def _read_items(value: object) -> list[tuple[str, int, int]]:
    """Return the conversation, the `readSeq` and the `deliveredSeq` of each item."""
    if not isinstance(value, list) or not 1 <= len(value) <= MAX_RECEIPTS:
        raise InvalidField(FieldError.ITEMS)
    return [_read_item(item) for item in value]


def _read_item(value: object) -> tuple[str, int, int]:
    try:
        form = Form(value)
        conversation_id = take_conversation(form)
        read_seq = form.take("readSeq", _read_seq, default=0)
        delivered_seq = form.take("deliveredSeq", _read_seq, default=0)
        form.close()
    except InvalidInput as error:
        raise InvalidField(FieldError.ITEM) from error
    if not (form.has("readSeq") or form.has("deliveredSeq")):
        raise InvalidField(FieldError.ITEM)
    return conversation_id, read_seq, delivered_seq


def _read_seq(value: object) -> int:
    """Return a number of a message; 0 marks nothing."""
    is_zero = value == "0" or (type(value) is int and value == 0)
    return 0 if is_zero else request_fields.read_id(value)
