"""Test that the short way of a send's body reads it as the long way of all bodies does."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from messaging.conf import MAX_CONTENT_BYTES, MAX_CONTENT_CODE_POINTS
from messaging.domain.errors import InvalidInput
from messaging.domain.requests import SendRequest, parse_send
from messaging.http import send_body
from messaging.http.parsing import decode_object
from messaging.http.send_body import read_send

PLAIN = {"toUserId": "2", "chatType": 1, "msgType": 1, "content": "hi", "clientMsgId": "c-1"}
SAMPLES: tuple[object, ...] = (
    *(None, True, False, 0, 1, 2, 3, 1.0, 2**63 - 1, 2**63, 2**70, ["1", 2], {"a": {"b": []}}),
    *("1", "9" * 18, "9223372036854775807", "9" * 19, "9" * 20, "01", "+1", "1\n", "0", "-1"),
    *("cache", "log", "store", "LOG", "", " ", " x", "x ", "\u200b", "\u200bx", "\u3164"),
    *("a\0", "\0", "a\ud800", "\udc00", "\\", '"', "a\n", "é😀", "x" * 64, "x" * 65),
    *("é" * n for n in range(MAX_CONTENT_CODE_POINTS - 1, MAX_CONTENT_CODE_POINTS + 2)),
    "😀" * (MAX_CONTENT_BYTES // 4 + 1),
)
VALUES = st.sampled_from(SAMPLES) | st.text(max_size=20)
NAMES = ("toUserId", "groupId", "chatType", "msgType", "content", "clientMsgId", "ack")
OTHERS = ("url", "atUserIds", "other")


def outcome(read: Any, body: bytes) -> SendRequest | tuple[str, object]:
    try:
        return read(body)
    except InvalidInput as refused:
        return "refused", refused.errors


def long_way(body: bytes) -> SendRequest:
    return parse_send(decode_object(body))


@given(
    changes=st.dictionaries(st.sampled_from(NAMES + OTHERS), VALUES, max_size=3),
    dropped=st.sets(st.sampled_from(NAMES), max_size=1),
    is_ascii=st.booleans(),
)
def test_both_ways_read_a_body_alike(
    changes: dict[str, object], dropped: set[str], is_ascii: bool
) -> None:
    fields = {name: value for name, value in (PLAIN | changes).items() if name not in dropped}
    text = json.dumps(fields, ensure_ascii=is_ascii)
    body = text.encode(errors="surrogatepass")
    assert outcome(read_send, body) == outcome(long_way, body)


@pytest.mark.parametrize("is_ascii", [False, True])
@pytest.mark.parametrize("name", NAMES + OTHERS)
def test_both_ways_read_each_value_of_a_field_alike(name: str, is_ascii: bool) -> None:
    for value in SAMPLES:
        text = json.dumps(PLAIN | {name: value}, ensure_ascii=is_ascii)
        body = text.encode(errors="surrogatepass")
        assert outcome(read_send, body) == outcome(long_way, body), value


@given(body=st.binary(max_size=200))
def test_both_ways_judge_any_bytes_alike(body: bytes) -> None:
    assert outcome(read_send, body) == outcome(long_way, body)


@pytest.mark.parametrize(
    "body",
    [
        b'{"chatType":1,"msgType":1,"toUserId":"2","content":"first","content":"last"}',
        b'{"chatType":1,"msgType":1,"toUserId":"2","content":"x"} trailing',
        b'\xef\xbb\xbf{"chatType":1,"msgType":1,"toUserId":"2","content":"x"}',
        b'{"chatType":1,"msgType":1,"toUserId":"2","content":"\xff"}',
        b'{"chatType":1,"msgType":1,"toUserId":"2","content":"' + b"x" * MAX_CONTENT_BYTES + b'"}',
        b'{"chatType":1,"msgType":1,' + b'"content":"a",' * 2_000 + b'"toUserId":"2"}',
        b"[" * 5_000,
    ],
    ids=["repeated", "trailing", "mark", "not UTF-8", "long", "many", "deep"],
)
def test_both_ways_judge_strange_bodies_alike(body: bytes) -> None:
    assert outcome(read_send, body) == outcome(long_way, body)


@pytest.mark.parametrize("target", [{"toUserId": "2"}, {"chatType": 2, "groupId": "2"}])
def test_a_plain_message_takes_the_short_way(
    target: dict[str, object], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(send_body, "decode_object", lambda body: pytest.fail("the long way"))
    fields = {"chatType": 1, "msgType": 1, "content": "hi", "clientMsgId": "c"} | target
    assert read_send(json.dumps(fields).encode()).content == "hi"
