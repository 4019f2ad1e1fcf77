"""Test what the calls on conversations take, and what they refuse."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from messaging.domain.conversation_requests import (
    ListRequest,
    PartnerRequest,
    ReadersRequest,
    SetRequest,
    parse_clear,
    parse_list,
    parse_partner,
    parse_readers,
    parse_receipts,
    parse_set,
    place_cursor,
    read_conversation_id,
    read_place,
)
from messaging.domain.conversations import Mark, Place
from messaging.domain.errors import InvalidInput
from messaging.domain.field_errors import FieldError, InvalidField
from messaging.domain.group_fields import encode_cursor, user_cursor
from messaging.domain.message import ID_MAX, ChatType
from messaging.http.parsing import decode_object
from messaging.limits import MAX_RECEIPTS


@pytest.mark.parametrize("text", ["g1", f"g{ID_MAX}", "1_2", "7_7", f"9_{ID_MAX}", "9_10"])
def test_an_id_of_this_form_may_be_a_conversation(text: str) -> None:
    assert read_conversation_id(text) == text


@pytest.mark.parametrize(
    "value",
    [
        *(
            "",
            "g",
            "g0",
            "g01",
            "G1",
            "1",
            "1_",
            "_1",
            "0_1",
            "2_1",
            "10_9",
            "1_2_3",
            "1_2\n",
            " g1",
        ),
        *(
            f"g{ID_MAX + 1}",
            f"1_{ID_MAX + 1}",
            "g-1",
            "1__2",
            " g1",
            "g１",
            7,
            True,
            None,
            [],
            {"g1": 1},
        ),
    ],
)
def test_no_other_value_is_one(value: object) -> None:
    with pytest.raises(InvalidField) as refused:
        read_conversation_id(value)
    assert refused.value.text is FieldError.CONVERSATION_ID


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        ({"pinned": True}, {"pinned": True}),
        ({"pinned": False, "hidden": None}, {"pinned": False}),
        ({"mutedForS": 0}, {"muted_for_s": 0}),
        ({"mutedForS": -1}, {"muted_for_s": -1}),
        ({"mutedForS": 366 * 86_400}, {"muted_for_s": 366 * 86_400}),
        ({"hidden": True, "markedUnread": False}, {"hidden": True, "marked_unread": False}),
    ],
)
def test_settings_that_are_given_are_taken(
    given: dict[str, object], wanted: dict[str, object]
) -> None:
    assert parse_set({"conversationId": "1_2"} | given) == SetRequest(
        conversation_id="1_2",
        **wanted,  # type: ignore[arg-type]
    )


@pytest.mark.parametrize(
    ("body", "fields"),
    [
        ({}, {"conversationId": FieldError.REQUIRED, "body": FieldError.NO_SETTING}),
        ({"conversationId": "g1", "pinned": None}, {"body": FieldError.NO_SETTING}),
        ({"conversationId": "2_1", "hidden": True}, {"conversationId": FieldError.CONVERSATION_ID}),
        ({"conversationId": "g1", "pinned": 1}, {"pinned": FieldError.NOT_BOOLEAN}),
        ({"conversationId": "g1", "hidden": "true"}, {"hidden": FieldError.NOT_BOOLEAN}),
        ({"conversationId": "g1", "markedUnread": 0}, {"markedUnread": FieldError.NOT_BOOLEAN}),
        *(
            (
                {"conversationId": "g1", "mutedForS": seconds},
                {"mutedForS": FieldError.CONVERSATION_MUTE},
            )
            for seconds in (-2, 366 * 86_400 + 1, True, 1.0, "60")
        ),
        ([], {"body": FieldError.BODY_NOT_OBJECT}),
    ],
)
def test_what_is_wrong_with_settings_is_told(body: object, fields: dict[str, FieldError]) -> None:
    with pytest.raises(InvalidInput) as refused:
        parse_set(body)
    assert refused.value.errors == {name: [text] for name, text in fields.items()}


def test_a_clear_names_a_conversation() -> None:
    assert parse_clear({"conversationId": "g5", "other": 1}) == "g5"
    for body, text in (
        ({}, FieldError.REQUIRED),
        ({"conversationId": "5"}, FieldError.CONVERSATION_ID),
    ):
        with pytest.raises(InvalidInput) as refused:
            parse_clear(body)
        assert refused.value.errors == {"conversationId": [text]}


class TestTheList:
    def test_has_defaults(self) -> None:
        assert parse_list({}) == ListRequest(size=20, after=None, includes_hidden=False)

    def test_takes_what_is_given(self) -> None:
        place = Place(1_700_000_000_000, ID_MAX, "7_9")
        wanted = parse_list({"size": "7", "after": place_cursor(place), "includeHidden": "true"})
        assert wanted == ListRequest(size=7, after=place, includes_hidden=True)

    @pytest.mark.parametrize(
        ("field", "value"),
        [
            ("size", "0"),
            ("size", "101"),
            ("size", "x"),
            ("includeHidden", "1"),
            ("includeHidden", "True"),
            ("after", ""),
            ("after", "!"),
            ("after", encode_cursor("5")),
            ("after", encode_cursor("0:0:x")),
            ("after", encode_cursor("-1:0:g1")),
            ("after", encode_cursor(f"0:{ID_MAX + 1}:g1")),
            ("after", encode_cursor("0:0:g1") + "="),
        ],
    )
    def test_refuses(self, field: str, value: str) -> None:
        with pytest.raises(InvalidInput) as refused:
            parse_list({field: value})
        assert list(refused.value.errors) == [field]

    @given(
        st.builds(
            Place,
            st.integers(0, ID_MAX),
            st.integers(0, ID_MAX),
            st.sampled_from(["g1", "1_2", f"g{ID_MAX}", f"5_{ID_MAX}"]),
        )
    )
    def test_reads_its_own_cursors_which_have_letters_and_digits_alone(self, place: Place) -> None:
        cursor = place_cursor(place)
        assert cursor.isalnum()
        assert read_place(cursor) == place


class TestReceipts:
    def test_name_one_mark_a_conversation(self) -> None:
        items = [
            {"conversationId": "g5", "readSeq": 3},
            {"conversationId": "1_2", "deliveredSeq": "9", "readSeq": None},
            {"conversationId": "g5", "readSeq": 0, "deliveredSeq": 4},
            {"conversationId": "g6", "readSeq": "0"},
        ]
        assert parse_receipts({"items": items}, user_id=2) == (
            Mark(user_id=2, conversation_id="g5", read_seq=3, delivered_seq=4),
            Mark(user_id=2, conversation_id="1_2", delivered_seq=9),
            Mark(user_id=2, conversation_id="g6", ends_unread=True),
        )

    def test_of_the_largest_number_fit_a_body(self) -> None:
        items = [
            {"conversationId": f"{n}_{ID_MAX}", "readSeq": ID_MAX, "deliveredSeq": str(ID_MAX)}
            for n in range(1, MAX_RECEIPTS + 1)
        ]
        body = decode_object(json.dumps({"items": items}).encode())
        assert len(parse_receipts(body, user_id=2)) == MAX_RECEIPTS

    @pytest.mark.parametrize(
        ("items", "error"),
        [
            (None, FieldError.REQUIRED),
            ([], FieldError.ITEMS),
            ({}, FieldError.ITEMS),
            ([{"conversationId": "g5", "readSeq": 1}] * 101, FieldError.ITEMS),
            (["g5"], FieldError.ITEM),
            ([{"conversationId": "g5"}], FieldError.ITEM),
            ([{"conversationId": "g5", "readSeq": None}], FieldError.ITEM),
            ([{"conversationId": "5", "readSeq": 1}], FieldError.ITEM),
            ([{"readSeq": 1}], FieldError.ITEM),
            ([{"conversationId": "g5", "readSeq": -1}], FieldError.ITEM),
            ([{"conversationId": "g5", "readSeq": ID_MAX + 1}], FieldError.ITEM),
            ([{"conversationId": "g5", "readSeq": True}], FieldError.ITEM),
            ([{"conversationId": "g5", "readSeq": False}], FieldError.ITEM),
            ([{"conversationId": "g5", "readSeq": "00"}], FieldError.ITEM),
            ([{"conversationId": "g5", "readSeq": 1, "deliveredSeq": 1.5}], FieldError.ITEM),
        ],
    )
    def test_refuse(self, items: object, error: FieldError) -> None:
        with pytest.raises(InvalidInput) as refused:
            parse_receipts({"items": items}, user_id=2)
        assert refused.value.errors == {"items": [error]}


def test_a_partner_is_named_by_type_and_id() -> None:
    wanted = parse_partner({"chatType": "2", "targetId": "7"})
    assert wanted == PartnerRequest(chat_type=ChatType.GROUP, target_id=7)
    with pytest.raises(InvalidInput) as refused:
        parse_partner({"chatType": "3"})
    assert list(refused.value.errors) == ["chatType", "targetId"]


def test_readers_are_of_one_message() -> None:
    wanted = parse_readers({"messageId": "9"})
    assert wanted == ReadersRequest(message_id=9, has_read=True, after=0, size=20)
    query = {"messageId": "9", "read": "false", "after": user_cursor(5), "size": "2"}
    assert parse_readers(query) == ReadersRequest(message_id=9, has_read=False, after=5, size=2)
    with pytest.raises(InvalidInput) as refused:
        parse_readers({"read": "no", "after": "5", "size": "1000"})
    assert list(refused.value.errors) == ["messageId", "read", "after", "size"]
