"""Parse the calls by which a client keeps up, as `requests` parses those on messages.

Pure. Unknown fields are ignored; null means absent.

Raises: InvalidInput, from every parser, with all fields that are wrong.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from functools import partial

import msgspec

from messaging.conf import DEFAULT_PAGE_SIZE, MAX_PAGE_SIZE
from messaging.domain import request_fields
from messaging.domain.conversation_requests import read_conversation_id, take_conversation
from messaging.domain.field_errors import FieldError, InvalidField
from messaging.domain.form import Form
from messaging.domain.ids import is_group, parties_of
from messaging.domain.message import ID_MAX
from messaging.domain.sync_cursor import Cursor, Position, decode_cursor, decode_position
from messaging.limits import MAX_CURSOR_BYTES, MAX_POSITIONS


class Order(StrEnum):
    """Name which of many new messages of a conversation come first."""

    NEWEST = "newest"
    OLDEST = "oldest"


class SyncRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Ask for everything that differs from a cursor; `limit` messages of each conversation.

    `text`: the text that the cursor was packed into; None where nothing but the cursor is known.
    """

    cursor: Cursor
    limit: int
    order: Order
    text: str | None = None


class SpanRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Ask for `size` messages of a conversation by their `seq`, from the first one on."""

    conversation_id: str
    first: int
    last: int
    size: int


def parse_sync(body: object, *, own_id: int) -> SyncRequest:
    """Return the request of a user; the positions of the body count in place of the cursor's."""
    form = Form(body)
    cursor = form.take("cursor", partial(_read_cursor, own_id=own_id), default=Cursor())
    positions = form.take("positions", partial(_read_positions, own_id=own_id), default={})
    limit = form.take("limit", _read_limit, default=DEFAULT_PAGE_SIZE)
    order = form.take("order", _read_order, default=Order.NEWEST)
    form.close()
    if positions:
        cursor = Cursor({**cursor.positions, **positions}, cursor.round)
    text = body.get("cursor") if isinstance(body, Mapping) and not positions else None
    return SyncRequest(cursor=cursor, limit=limit, order=order, text=text)


def parse_span(query: Mapping[str, str]) -> SpanRequest:
    form = Form(query)
    conversation_id = take_conversation(form)
    first = form.take("fromSeq", _read_seq, default=1, needed=True)
    last = form.take("toSeq", _read_seq, default=ID_MAX)
    size = form.take("size", request_fields.read_size, default=DEFAULT_PAGE_SIZE)
    form.close()
    return SpanRequest(conversation_id=conversation_id, first=first, last=last, size=size)


def _read_cursor(value: object, *, own_id: int) -> Cursor:
    too_long = FieldError.CURSOR
    text = request_fields.read_text(value, most=MAX_CURSOR_BYTES, too_long=too_long)
    return decode_cursor(text, own_id=own_id)


def _read_positions(value: object, *, own_id: int) -> dict[str, Position]:
    """Return the positions by conversation, without those of private chats of others.

    Null means absent here too: a client may give back what an answer told.
    """
    if not isinstance(value, Mapping) or len(value) > MAX_POSITIONS:
        raise InvalidField(FieldError.POSITIONS)
    positions: dict[str, Position] = {}
    for name, text in value.items():
        try:
            conversation_id = read_conversation_id(name)
            if text is None:
                continue
            position = decode_position(text if isinstance(text, str) else "")
        except InvalidField as error:
            raise InvalidField(FieldError.POSITIONS) from error
        if is_group(conversation_id) or own_id in parties_of(conversation_id):
            positions[conversation_id] = position
    return positions


def _read_limit(value: object) -> int:
    if type(value) is not int or not 1 <= value <= MAX_PAGE_SIZE:
        raise InvalidField(FieldError.LIMIT)
    return value


def _read_order(value: object) -> Order:
    if not isinstance(value, str) or value not in tuple(Order):
        raise InvalidField(FieldError.ORDER)
    return Order(value)


def _read_seq(value: object) -> int:
    seq = request_fields.read_number(value)
    if seq is None or seq > ID_MAX:
        raise InvalidField(FieldError.PAGE)
    return seq
