"""Check which requests of a sync and of a span of messages are taken, and how they are read."""

from __future__ import annotations

from typing import Any

import pytest

from messaging.domain.errors import InvalidInput
from messaging.domain.message import ID_MAX
from messaging.domain.sync_cursor import Cursor, Position, Round, encode_cursor, encode_position
from messaging.domain.sync_requests import (
    Order,
    SpanRequest,
    SyncRequest,
    parse_span,
    parse_sync,
)

OWN = 5
PLACE = encode_position(Position(3))
KNOWN = Cursor({"g7": Position(1), "4_5": Position(2)}, Round(9))


def test_an_empty_body_asks_for_everything() -> None:
    wanted = SyncRequest(cursor=Cursor(), limit=20, order=Order.NEWEST)
    assert parse_sync({}, own_id=OWN) == wanted
    assert parse_sync({"cursor": None, "positions": None, "limit": None}, own_id=OWN) == wanted


def test_positions_count_in_place_of_those_of_the_cursor() -> None:
    body = {
        "cursor": encode_cursor(KNOWN, own_id=OWN),
        "positions": {"g7": PLACE},
        "limit": 100,
        "order": "oldest",
    }
    cursor = Cursor({"g7": Position(3), "4_5": Position(2)}, Round(9))
    wanted = SyncRequest(cursor=cursor, limit=100, order=Order.OLDEST)
    assert parse_sync(body, own_id=OWN) == wanted


def test_a_position_that_is_null_is_absent() -> None:
    cursor = encode_cursor(KNOWN, own_id=OWN)
    wanted = parse_sync({"cursor": cursor, "positions": {"g7": None}}, own_id=OWN)
    assert wanted.cursor == KNOWN


def test_a_position_in_a_chat_of_others_has_no_effect() -> None:
    assert parse_sync({"positions": {"3_4": PLACE}}, own_id=OWN).cursor == Cursor()


@pytest.mark.parametrize(
    ("field", "value"),
    [
        *[("cursor", value) for value in (7, "", "not a cursor", ["AQAA"], "AQ\ud800")],
        *[("limit", value) for value in (0, 101, -1, "20", True, 1.0)],
        *[("order", value) for value in ("", "NEWEST", 1, ["newest"])],
        *[
            ("positions", value)
            for value in (
                "g7",
                [],
                {"g0": PLACE},
                {"5_4": PLACE},
                {"g7": ""},
                {"g7": 3},
                {"g0": None},
                {f"g{number}": PLACE for number in range(1, 102)},
            )
        ],
    ],
)
def test_names_the_field_of_a_sync_that_is_wrong(field: str, value: Any) -> None:
    with pytest.raises(InvalidInput) as refused:
        parse_sync({field: value}, own_id=OWN)
    assert set(refused.value.errors) == {field}


def test_a_span_needs_its_conversation_and_its_first_number() -> None:
    assert parse_span({"conversationId": "g7", "fromSeq": "3"}) == SpanRequest(
        conversation_id="g7", first=3, last=ID_MAX, size=20
    )
    with pytest.raises(InvalidInput) as refused:
        parse_span({"toSeq": "0", "size": "101"})
    assert set(refused.value.errors) == {"conversationId", "fromSeq", "toSeq", "size"}
