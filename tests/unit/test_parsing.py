"""Test how a body becomes a JSON object: which is read, and that nothing else gets through."""

from __future__ import annotations

import json

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from messaging.conf import (
    MAX_AT_USERS,
    MAX_CONTENT_BYTES,
    MAX_CONTENT_CODE_POINTS,
    MAX_URL_CHARACTERS,
)
from messaging.domain.errors import BodyTooLarge, InvalidInput
from messaging.domain.message import ID_MAX
from messaging.domain.request_fields import FieldError
from messaging.http import parsing
from messaging.http.parsing import decode_object
from messaging.limits import MAX_BODY_BYTES, MAX_JSON_DEPTH, MAX_JSON_PARTS


def refusal_of(body: bytes) -> str:
    with pytest.raises(InvalidInput) as refused:
        decode_object(body)
    ((field, (text,)),) = refused.value.errors.items()
    assert field == "body"
    return text


def nested(depth: int) -> bytes:
    return b'{"a":' * (depth - 1) + b"{}" + b"}" * (depth - 1)


def test_text_comes_out_byte_for_byte() -> None:
    text = "e\u0301 👩‍👩‍👧‍👦 \u202b\u05d0\u202c \u0000 <b>&amp;\\"
    for escaped in (True, False):
        body = json.dumps({"content": text}, ensure_ascii=escaped).encode()
        assert decode_object(body) == {"content": text}


def test_the_last_of_two_equal_keys_counts() -> None:
    assert decode_object(b'{"a": 1, "a": 2}') == {"a": 2}


@pytest.mark.parametrize(
    "body",
    [
        *(b" ", b"{", b'{"a":}', b"{'a': 1}", b'{"a": 1,}', b'{"a": 1} x', b"\xef\xbb\xbf{}"),
        *(b'{"a": NaN}', b'{"a": Infinity}', b'{"a": -Infinity}', b'{"a": 01}', b'{"a": +1}'),
        *(b'{"a": "\n"}', b'{"a": "\x00"}', b'{"a": "\\x"}', b"a=1&b=2", b"<a/>"),
        *(b'{"a": "\xff"}', b'{"a": "\xed\xa0\x80"}', '{"a": "é"}'.encode("latin-1")),
        *('{"a": 1}'.encode("utf-16"), '{"a": 1}'.encode("utf-16-le")),
    ],
)
def test_what_is_not_json_in_utf_8_is_refused(body: bytes) -> None:
    assert refusal_of(body) == FieldError.BODY_NOT_JSON


def test_no_body_lacks_every_field() -> None:
    assert decode_object(b"") == {}


@pytest.mark.parametrize("body", [b"[]", b'[{"a": 1}]', b'"a"', b"1", b"null", b"true"])
def test_what_is_not_an_object_is_refused(body: bytes) -> None:
    assert refusal_of(body) == FieldError.BODY_NOT_OBJECT


def test_depth_is_bounded() -> None:
    assert decode_object(nested(MAX_JSON_DEPTH))
    assert decode_object(
        b'{"a": ' + b"[" * (MAX_JSON_DEPTH - 1) + b"]" * (MAX_JSON_DEPTH - 1) + b"}"
    )
    assert refusal_of(nested(MAX_JSON_DEPTH + 1)) == FieldError.BODY_TOO_DEEP
    assert refusal_of(nested(600)) == FieldError.BODY_TOO_DEEP
    assert refusal_of(b'{"a":' + b"[" * 1_900 + b"]" * 1_900 + b"}") == FieldError.BODY_TOO_DEEP


TOO_MANY = {
    "numbers": b'{"a":[' + b",".join([b"1e308"] * MAX_JSON_PARTS) + b"]}",
    "keys": b"{" + b",".join(b'"%d":1' % number for number in range(MAX_JSON_PARTS)) + b"}",
    "strings": b'{"a":[' + b",".join([b'""'] * MAX_JSON_PARTS) + b"]}",
    "strings beside each other": b'{"a":[' + b'""' * MAX_JSON_PARTS + b"]}",
    "lists": b'{"a":' + b"[" * 60_000 + b"]" * 60_000 + b"}",
    "objects": nested(20_000),
    "objects after escapes": b'{"b": "\\\\", "a":' + nested(20_000) + b"}",
    "half a pair and numbers": b'{"b":"\\ud83d","a":[' + b",".join([b"1"] * MAX_JSON_PARTS) + b"]}",
}


@pytest.mark.parametrize("body", TOO_MANY.values(), ids=TOO_MANY)
def test_too_many_values_are_refused_before_they_are_built(
    body: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    def build(_body: bytes) -> object:
        raise AssertionError

    monkeypatch.setattr(parsing, "_decode_quickly", build)
    monkeypatch.setattr(parsing, "_decode_strictly", build)
    assert len(body) <= MAX_BODY_BYTES
    assert refusal_of(body) == FieldError.BODY_TOO_MANY


def test_values_are_counted_to_the_last() -> None:
    most = b'{"a":[' + b",".join([b"1"] * (MAX_JSON_PARTS - 3)) + b"]}"
    assert decode_object(most)
    assert refusal_of(most.replace(b"]}", b",1]}")) == FieldError.BODY_TOO_MANY


@pytest.mark.parametrize("text", [",[{" * 1_600, '"' * 5_000, "\\" * 5_000, '\\",' * 1_600])
def test_what_stands_in_a_text_parts_nothing(text: str) -> None:
    assert decode_object(json.dumps({"content": text, "a": [1]}).encode())["content"] == text


@pytest.mark.parametrize("character", ["a", "\u00e9", "\u56fe", "\U0001f600", '"', "\\", "\x01"])
def test_the_largest_send_is_taken_however_it_is_escaped(character: str) -> None:
    longest = min(MAX_CONTENT_CODE_POINTS, MAX_CONTENT_BYTES // len(character.encode()))
    body = {
        "toUserId": str(ID_MAX),
        "chatType": 1,
        "msgType": 2,
        "content": character * longest,
        "url": "/" + character * (MAX_URL_CHARACTERS - 1),
        "atUserIds": [str(ID_MAX - number) for number in range(MAX_AT_USERS)],
        "clientMsgId": "x" * 64,
        "ack": "store",
    }
    plain = json.dumps(body)
    escaped = "".join(
        f"\\u{ord(each):04x}" if each.isalnum() and each.isascii() else each
        for each in character * 2
    )
    assert decode_object(plain.encode()) == body
    assert decode_object(plain.replace(character * 2, escaped).encode()) == body


@pytest.mark.parametrize("number", [b"1.0", b"0.5", b"1e3", b"1e-308", b"1e999", b"-0.0"])
def test_a_fraction_is_read_as_no_number_of_use(number: bytes) -> None:
    for rest in (b"", b', "b": "\\ud800"'):  # the strict decoder reads the second body
        assert decode_object(b'{"a": ' + number + rest + b"}")["a"] == float("inf")


def test_size_is_bounded_to_the_byte() -> None:
    exact = b'{"a":"' + b"x" * (MAX_BODY_BYTES - 8) + b'"}'
    assert len(exact) == MAX_BODY_BYTES
    assert decode_object(exact)
    with pytest.raises(BodyTooLarge):
        decode_object(exact + b" ")


def test_huge_numbers_are_read_as_no_number_of_use() -> None:
    huge = b'{"a": ' + b"9" * 5000 + b', "b": -' + b"9" * 5000 + b', "c": 1e999}'
    infinity = float("inf")
    assert decode_object(huge) == {"a": infinity, "b": infinity, "c": infinity}


def test_64_bit_numbers_keep_every_digit() -> None:
    numbers = {"a": 2**63 - 1, "b": -(2**63), "c": 2**53 + 1, "d": 2**63}
    assert decode_object(json.dumps(numbers).encode()) == numbers


@given(st.binary(max_size=300))
@example(b'{"a": 1.0}')
def test_any_bytes_give_an_object_or_name_the_body(body: bytes) -> None:
    try:
        assert isinstance(decode_object(body), dict)
    except InvalidInput as refused:
        assert set(refused.errors) == {"body"}


documents = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(), max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=8,
)


@given(st.dictionaries(st.sampled_from(["a", "chatType", "content"]), documents), st.booleans())
def test_the_quick_decoder_reads_what_the_strict_one_reads(
    document: dict[str, object], escaped: bool
) -> None:
    text = json.dumps(document, ensure_ascii=escaped)
    try:
        body = text.encode()
        quick = parsing._decode_quickly(body)
    except (msgspec.DecodeError, UnicodeError):
        return  # the strict decoder judges then
    assert same(quick, parsing._decode_strictly(body))


@given(st.binary(max_size=12).map(lambda middle: b'{"a":' + middle + b"}"))
def test_the_quick_decoder_takes_nothing_that_is_not_json(body: bytes) -> None:
    try:
        quick = parsing._decode_quickly(body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return
    assert same(quick, parsing._decode_strictly(body))


def same(quick: object, strict: object) -> bool:
    """Tell whether both are equal, or numbers that are out of every field's range."""
    if isinstance(quick, dict) and isinstance(strict, dict):
        return list(quick) == list(strict) and all(same(quick[k], strict[k]) for k in quick)
    if isinstance(quick, list) and isinstance(strict, list):
        return len(quick) == len(strict) and all(map(same, quick, strict))
    if quick == strict and type(quick) is type(strict):
        return True
    numbers = isinstance(quick, int | float) and isinstance(strict, int | float)
    return numbers and abs(quick) > 2**63 and abs(strict) > 2**63  # type: ignore[arg-type]
