"""Build the envelope of every answer of the API.

All doors use it: DRF's renderer, Django's error pages and the front door. Texts are in the language
that Django has active; codes never change. Pure but for the clock and the language.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
from django.utils.translation import gettext

from messaging.domain.errors import ApiError, InvalidInput
from messaging.domain.ids import wall_clock_ms

CONTENT_TYPE = "application/json"
HEADERS = {"Cache-Control": "no-store"}

Answer = dict[str, object]


def success(data: object) -> Answer:
    return _answer(200, "success", data)


def failure(error: ApiError) -> Answer:
    """Return the answer for an error: the text of its class, never the detail that is logged."""
    data: Mapping[str, object] | None = error.data
    if isinstance(error, InvalidInput):
        told = {field: [gettext(text) for text in texts] for field, texts in error.errors.items()}
        data = {"errors": told}
    return _answer(error.code, gettext(error.default_text()), data)


def headers_of(error: ApiError) -> dict[str, str]:
    headers = dict(HEADERS)
    if error.retry_after_s is not None:
        headers["Retry-After"] = str(error.retry_after_s)
    if error.http_status == 401:
        headers["WWW-Authenticate"] = 'Bearer realm="api"'
    return headers


def encode(answer: Answer) -> bytes:
    """Return an answer as JSON in UTF-8, without whitespace and without unneeded escapes."""
    return msgspec.json.encode(answer)


def _answer(code: int, message: str, data: object) -> Answer:
    return {"code": code, "message": message, "data": data, "timestamp": wall_clock_ms()}
