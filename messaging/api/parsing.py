"""From the bytes of a body to a JSON object, within bounds: the only parser of the API.

A body is UTF-8 JSON, whatever type and charset its sender claims. Which fields it must have is
`messaging.requests`' business.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import IO, Any, NoReturn

import msgspec
from rest_framework.parsers import BaseParser

from messaging.errors import BodyTooLarge, InvalidInput
from messaging.inputs import Refusal
from messaging.limits import MAX_BODY_BYTES, MAX_JSON_DEPTH

_decode_quickly = msgspec.json.Decoder().decode
_INTEGER_CHARACTERS = 20  # "-9223372036854775808"


class StrictJSONParser(BaseParser):
    media_type = "*/*"

    def parse(
        self,
        stream: IO[Any],
        media_type: str | None = None,
        parser_context: Mapping[str, Any] | None = None,
    ) -> dict[str, object]:
        return decode_object(stream.read(MAX_BODY_BYTES + 1))


def decode_object(body: bytes) -> dict[str, object]:
    """The JSON object that a body is; no body is an empty one. Of a repeated key the last counts.

    A number past 64 bits comes out as one that no field takes. Raises BodyTooLarge, and
    InvalidInput naming `body`.
    """
    if len(body) > MAX_BODY_BYTES:
        raise BodyTooLarge
    if not body:
        return {}
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
        return json.loads(body.decode(), parse_int=_parse_integer, parse_constant=_refuse_constant)
    except RecursionError as error:
        raise _refused(Refusal.BODY_TOO_DEEP) from error
    except ValueError as error:
        raise _refused(Refusal.BODY_NOT_JSON) from error


def _refused(text: Refusal) -> InvalidInput:
    return InvalidInput({"body": [text]})


def _parse_integer(digits: str) -> int | float:
    return int(digits) if len(digits) <= _INTEGER_CHARACTERS else float("inf")


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


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
