"""Test the envelope: one shape for every answer, in the client's language."""

from __future__ import annotations

import json
import time

from django.utils import translation

from messaging.domain.errors import (
    IdsUnavailable,
    InvalidInput,
    MessageNotFound,
    ServerError,
    TokenExpired,
    TooManyRequests,
)
from messaging.domain.request_fields import FieldError
from messaging.http import envelope as answers


def test_success_carries_the_data_and_the_time() -> None:
    before_ms = time.time_ns() // 1_000_000
    answer = answers.success({"messageId": "1"})
    assert list(answer) == ["code", "message", "data", "timestamp"]
    assert (answer["code"], answer["message"]) == (200, "success")
    assert answer["data"] == {"messageId": "1"}
    assert isinstance(answer["timestamp"], int)
    assert before_ms <= answer["timestamp"] <= time.time_ns() // 1_000_000


def test_failure_carries_the_business_code() -> None:
    answer = answers.failure(MessageNotFound())
    assert (answer["code"], answer["data"]) == (3002, None)
    assert answer["message"] == "There is no such message."


def test_failure_does_not_tell_what_is_only_for_the_log() -> None:
    told = answers.failure(IdsUnavailable("the clock moved back by 12 ms"))["message"]
    assert told == IdsUnavailable.default_text()
    assert "12 ms" not in str(told)


def test_invalid_input_names_every_field() -> None:
    answer = answers.failure(InvalidInput({"url": [FieldError.URL], "ack": [FieldError.ACK]}))
    assert answer["code"] == 400
    assert answer["data"] == {"errors": {"url": [FieldError.URL], "ack": [FieldError.ACK]}}


def test_texts_follow_the_active_language_and_codes_do_not() -> None:
    error = InvalidInput({"content": [FieldError.BLANK]})
    with translation.override("zh-hans"):
        chinese = answers.failure(error)
    english = answers.failure(error)
    assert chinese["code"] == english["code"] == 400
    assert chinese["message"] == "请求格式不正确。"
    assert chinese["data"] == {"errors": {"content": ["必须包含可见的内容。"]}}
    assert english["data"] == {"errors": {"content": [FieldError.BLANK]}}


def test_headers_tell_not_to_keep_the_answer() -> None:
    assert answers.headers_of(ServerError()) == {"Cache-Control": "no-store"}


def test_headers_tell_how_long_to_wait() -> None:
    assert answers.headers_of(TooManyRequests())["Retry-After"] == "1"


def test_headers_tell_how_to_authenticate() -> None:
    assert answers.headers_of(TokenExpired())["WWW-Authenticate"] == 'Bearer realm="api"'


def test_the_bytes_are_utf_8_without_escapes() -> None:
    encoded = answers.encode(answers.success({"content": "é 图 👩‍👧 \u2028"}))
    assert "é 图 👩‍👧 \u2028".encode() in encoded
    assert json.loads(encoded)["data"] == {"content": "é 图 👩‍👧 \u2028"}
