"""From the bytes of a body to a JSON object: what is read, and that nothing else gets through."""

from __future__ import annotations

import json

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from messaging.api import parsing
from messaging.api.parsing import decode_object
from messaging.errors import BodyTooLarge, InvalidInput
from messaging.inputs import Refusal
from messaging.limits import MAX_BODY_BYTES, MAX_JSON_DEPTH


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
    assert refusal_of(body) == Refusal.BODY_NOT_JSON


def test_no_body_lacks_every_field() -> None:
    assert decode_object(b"") == {}


@pytest.mark.parametrize("body", [b"[]", b'[{"a": 1}]', b'"a"', b"1", b"null", b"true"])
def test_what_is_not_an_object_is_refused(body: bytes) -> None:
    assert refusal_of(body) == Refusal.BODY_NOT_OBJECT


def test_depth_is_bounded() -> None:
    assert decode_object(nested(MAX_JSON_DEPTH))
    assert decode_object(
        b'{"a": ' + b"[" * (MAX_JSON_DEPTH - 1) + b"]" * (MAX_JSON_DEPTH - 1) + b"}"
    )
    assert refusal_of(nested(MAX_JSON_DEPTH + 1)) == Refusal.BODY_TOO_DEEP
    assert refusal_of(nested(900)) == Refusal.BODY_TOO_DEEP


def test_depth_that_would_exhaust_the_stack_is_refused() -> None:
    assert refusal_of(b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}") == Refusal.BODY_TOO_DEEP
    assert refusal_of(nested(30_000)) == Refusal.BODY_TOO_DEEP


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
        return  # the strict one judges then
    assert same(quick, parsing._decode_strictly(body))


@given(st.binary(max_size=12).map(lambda middle: b'{"a":' + middle + b"}"))
def test_the_quick_decoder_takes_nothing_that_is_not_json(body: bytes) -> None:
    try:
        quick = parsing._decode_quickly(body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return
    assert same(quick, parsing._decode_strictly(body))


def same(quick: object, strict: object) -> bool:
    """Equal, or a number that is out of every field's range in both."""
    if isinstance(quick, dict) and isinstance(strict, dict):
        return list(quick) == list(strict) and all(same(quick[k], strict[k]) for k in quick)
    if isinstance(quick, list) and isinstance(strict, list):
        return len(quick) == len(strict) and all(map(same, quick, strict))
    if quick == strict and type(quick) is type(strict):
        return True
    numbers = isinstance(quick, int | float) and isinstance(strict, int | float)
    return numbers and abs(quick) > 2**63 and abs(strict) > 2**63  # type: ignore[arg-type]
