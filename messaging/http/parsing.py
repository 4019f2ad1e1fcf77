"""Decode the bytes of a body into a JSON object, within bounds: the only parser of the API.

A body is UTF-8 JSON, whatever type and charset its sender claims. `messaging.domain.requests`
checks which fields the body must have.
"""

from __future__ import annotations

import json
from typing import NoReturn

import msgspec

from messaging.domain.errors import BodyTooLarge, InvalidInput
from messaging.domain.request_fields import FieldError
from messaging.limits import MAX_BODY_BYTES, MAX_JSON_DEPTH, MAX_JSON_PARTS

_INTEGER_CHARACTERS = 20  # "-9223372036854775808"
_NO_NUMBER_OF_USE = float("inf")


def _read_fraction(_digits: str) -> float:
    """Return a value that no field takes.

    No field is a fraction, and to read `1e308` alone costs 20 µs.
    """
    return _NO_NUMBER_OF_USE


_decode_quickly = msgspec.json.Decoder(float_hook=_read_fraction).decode


def decode_object(body: bytes, *, most: int = MAX_BODY_BYTES) -> dict[str, object]:
    """Return the JSON object in a body; an empty body is an empty object.

    Of a repeated key the last value counts. A number past 64 bits and a fraction become a value
    that no field takes.

    Raises: BodyTooLarge past `most` bytes; InvalidInput naming `body`.
    """
    if len(body) > most:
        raise BodyTooLarge
    if not body:
        return {}
    _check_parts(body)
    try:
        value = _decode_quickly(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        value = _decode_strictly(body)
    if not isinstance(value, dict):
        raise _refused(FieldError.BODY_NOT_OBJECT)
    _check_depth(value)
    return value


def _decode_strictly(body: bytes) -> object:
    """Decode a body that the quick decoder refuses, and refuse it with a reason if it is no JSON.

    Half a surrogate pair is decoded, because its field is to refuse it.
    """
    try:
        return json.loads(
            body.decode(),
            parse_int=_parse_integer,
            parse_float=_read_fraction,
            parse_constant=_refuse_constant,
        )
    except RecursionError as error:
        raise _refused(FieldError.BODY_TOO_DEEP) from error
    except ValueError as error:
        raise _refused(FieldError.BODY_NOT_JSON) from error


def _refused(text: FieldError) -> InvalidInput:
    return InvalidInput({"body": [text]})


def _parse_integer(digits: str) -> int | float:
    return int(digits) if len(digits) <= _INTEGER_CHARACTERS else _NO_NUMBER_OF_USE


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def _check_parts(body: bytes) -> None:
    """Refuse a body of too many values before a decoder builds them, in time linear to its bytes.

    Escaped quotes and commas inside a string separate no values.
    """
    if body.count(b'"') + _structure(body) <= MAX_JSON_PARTS:
        return
    unescaped = body.replace(b"\\\\", b"").replace(b'\\"', b"")
    pieces = unescaped.split(b'"', MAX_JSON_PARTS + 1)
    outside = b"".join(pieces[::2])
    if len(pieces) - 1 + _structure(outside) > MAX_JSON_PARTS:
        raise _refused(FieldError.BODY_TOO_MANY)


def _structure(text: bytes) -> int:
    return text.count(b",") + text.count(b"[") + text.count(b"{")


def _check_depth(value: object) -> None:
    level = [value]
    for _ in range(MAX_JSON_DEPTH):
        level = [
            inner
            for outer in level
            for inner in (outer.values() if isinstance(outer, dict) else outer)  # type: ignore[attr-defined]
            if isinstance(inner, (dict, list))
        ]
        if not level:
            return
    raise _refused(FieldError.BODY_TOO_DEEP)
