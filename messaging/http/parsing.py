"""From the bytes of a body to a JSON object, within bounds: the only parser of the API.

A body is UTF-8 JSON, whatever type and charset its sender claims. Which fields it must have is
`messaging.domain.requests`' business.
"""

from __future__ import annotations

import json
from typing import NoReturn

import msgspec

from messaging.domain.errors import BodyTooLarge, InvalidInput
from messaging.domain.inputs import Refusal
from messaging.limits import MAX_BODY_BYTES, MAX_JSON_DEPTH, MAX_JSON_PARTS

_INTEGER_CHARACTERS = 20  # "-9223372036854775808"
_NO_NUMBER_OF_USE = float("inf")


def _read_fraction(_digits: str) -> float:
    """Return what no field takes: none is a fraction, and `1e308` alone costs 20 µs to read."""
    return _NO_NUMBER_OF_USE


_decode_quickly = msgspec.json.Decoder(float_hook=_read_fraction).decode


def decode_object(body: bytes) -> dict[str, object]:
    """The JSON object that a body is; no body is an empty one. Of a repeated key the last counts.

    A number past 64 bits and a fraction come out as one that no field takes. Raises BodyTooLarge,
    and InvalidInput naming `body`.
    """
    if len(body) > MAX_BODY_BYTES:
        raise BodyTooLarge
    if not body:
        return {}
    _check_parts(body)
    try:
        value = _decode_quickly(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        value = _decode_strictly(body)
    if not isinstance(value, dict):
        raise _refused(Refusal.BODY_NOT_OBJECT)
    _check_depth(value)
    return value


def _decode_strictly(body: bytes) -> object:
    """Judge what the quick decoder refuses: half a surrogate pair is for its field to refuse."""
    try:
        return json.loads(
            body.decode(),
            parse_int=_parse_integer,
            parse_float=_read_fraction,
            parse_constant=_refuse_constant,
        )
    except RecursionError as error:
        raise _refused(Refusal.BODY_TOO_DEEP) from error
    except ValueError as error:
        raise _refused(Refusal.BODY_NOT_JSON) from error


def _refused(text: Refusal) -> InvalidInput:
    return InvalidInput({"body": [text]})


def _parse_integer(digits: str) -> int | float:
    return int(digits) if len(digits) <= _INTEGER_CHARACTERS else _NO_NUMBER_OF_USE


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def _check_parts(body: bytes) -> None:
    """Refuse a body of too many values before a decoder builds them, in time linear to its bytes.

    An escaped quote and the comma inside a string part nothing.
    """
    if body.count(b'"') + _structure(body) <= MAX_JSON_PARTS:
        return
    unescaped = body.replace(b"\\\\", b"").replace(b'\\"', b"")
    pieces = unescaped.split(b'"', MAX_JSON_PARTS + 1)
    outside = b"".join(pieces[::2])
    if len(pieces) - 1 + _structure(outside) > MAX_JSON_PARTS:
        raise _refused(Refusal.BODY_TOO_MANY)


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
    raise _refused(Refusal.BODY_TOO_DEEP)
