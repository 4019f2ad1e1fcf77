"""Check the codec of cursors and positions: a round trip, the size, and texts of no cursor."""

from __future__ import annotations

import base64
from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from messaging.domain.ids import group_conversation, private_conversation
from messaging.domain.message import ID_MAX
from messaging.domain.request_fields import InvalidField
from messaging.domain.sync_cursor import (
    DIGEST_BITS,
    Cursor,
    Position,
    Round,
    decode_cursor,
    decode_position,
    encode_cursor,
    encode_position,
)
from messaging.domain.sync_requests import parse_sync
from messaging.limits import MAX_CURSOR_BYTES
from tests.support.sync_cursors import largest_cursor

OWN = 5
ids = st.integers(1, ID_MAX)
numbers = st.integers(0, ID_MAX)
groups = ids.map(group_conversation)
chats = ids.map(lambda peer: private_conversation(OWN, peer))
group_positions = st.builds(Position, numbers, numbers, numbers)
positions = st.builds(Position, numbers, numbers, numbers, numbers, numbers)


@st.composite
def cursors(draw: st.DrawFn) -> Cursor:
    of_groups = draw(st.dictionaries(groups, group_positions, max_size=20))
    of_chats = draw(st.dictionaries(chats, positions, max_size=20))
    stays = draw(st.none() | groups | chats)
    below = draw(st.none() | numbers)
    if (digest := draw(st.none() | st.integers(0, 2**DIGEST_BITS - 1))) is not None:
        return Cursor(of_groups | of_chats, idle_digest=digest)
    until, lacks = draw(numbers) if stays else 0, draw(st.booleans())
    return Cursor(of_groups | of_chats, Round(below, stays, until, lacks))


@given(cursors())
def test_a_cursor_comes_back(cursor: Cursor) -> None:
    assert decode_cursor(encode_cursor(cursor, own_id=OWN), own_id=OWN) == cursor


@given(positions)
def test_a_position_comes_back(position: Position) -> None:
    assert decode_position(encode_position(position)) == position


def test_the_conversation_with_oneself_comes_back() -> None:
    cursor = Cursor({private_conversation(OWN, OWN): Position(3)})
    assert decode_cursor(encode_cursor(cursor, own_id=OWN), own_id=OWN) == cursor


@given(st.text(max_size=40) | st.binary(max_size=40).map(lambda packed: text_of(packed)))
def test_a_text_is_a_cursor_or_is_refused(text: str) -> None:
    try:
        cursor = decode_cursor(text, own_id=OWN)
    except InvalidField:
        return
    assert decode_cursor(encode_cursor(cursor, own_id=OWN), own_id=OWN) == cursor


def text_of(packed: bytes) -> str:
    return base64.urlsafe_b64encode(packed).rstrip(b"=").decode()


def written(*values: int) -> str:
    """Return the text of these numbers, each below 128, after the version."""
    return text_of(bytes((1, *values)))


REFUSED: Mapping[str, str] = {
    "empty": "",
    "of another version": text_of(bytes((2, 0, 0, 0))),
    "too short": written(0, 0),
    "of more groups than follow": written(0, 0, 2, 7, 1, 1, 1),
    "of half a chat": written(0, 0, 0, 7, 1, 1),
    "cut within a number": text_of(bytes((1, 0, 0, 0, 0x80))),
    "a number past 64 bits": text_of(bytes((1, *[0xFF] * 10, 1, 0, 0))),
    "a number with needless zeros": text_of(bytes((1, 0, 0, 0x80, 0))),
    "a group twice": written(0, 0, 2, 7, 1, 1, 1, 0, 1, 1, 1),
    "a peer who has read before the first message": written(0, 0, 0, 7, 1, 0, 0, 8, 0),
    "with a digest within a round": written(1, 6, 7, 0),
    "with a digest and nothing else": written(0, 6, 7),
    "with a digest of too many bits": text_of(bytes((1, 0, 6, *[0xFF] * 8, 0x1F, 0))),
    "staying nowhere": written(1, 9, 7, 7, 0),
    "staying at no group": written(1, 1, 0, 7, 0),
    "with a character of another alphabet": "AQA!AA",
    "with another character": "AQA\u0660AA",
}


@pytest.mark.parametrize("text", REFUSED.values(), ids=REFUSED)
def test_refuses_a_cursor(text: str) -> None:
    with pytest.raises(InvalidField):
        decode_cursor(text, own_id=OWN)


@pytest.mark.parametrize("text", ["", written(), written(1, 1, 1), written(1, 1, 1, 1, 1, 1)])
def test_refuses_a_position(text: str) -> None:
    with pytest.raises(InvalidField):
        decode_position(text)


def test_a_cursor_of_ten_thousand_conversations_is_taken() -> None:
    """Spread the ids over all that there are, and give each position a million messages."""
    text = encode_cursor(largest_cursor(own_id=OWN), own_id=OWN)
    assert 2 * MAX_CURSOR_BYTES // 3 < len(text) < MAX_CURSOR_BYTES
    assert parse_sync({"cursor": text}, own_id=OWN).cursor == largest_cursor(own_id=OWN)


def test_refuses_a_long_number_in_little_time() -> None:
    with pytest.raises(InvalidField):
        decode_cursor(text_of(b"\x01" + b"\xff" * 90_000), own_id=OWN)
