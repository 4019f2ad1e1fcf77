"""Test hostile and broken input by HTTP: the field is named, or the text kept byte for byte."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import quote

import pytest
from django.utils.translation import trans_real

from messaging.gateway import application
from messaging.limits import (
    MAX_BODY_BYTES,
    MAX_HEADER_BYTES,
    MAX_TARGET_BYTES,
    MAX_UNKNOWN_BODY_BYTES,
)
from tests.support.service import PASSWORD, Service, User, at_both_doors

pytestmark = at_both_doors()

NUMBERS_THAT_ARE_NO_IDS = [
    *("0", "-1", "1.0", "1e3", "9223372036854775808", "-9223372036854775809", "9" * 4000),
    *("true", '"9223372036854775808"', '"1.0"', '"01"', '" 1"', '"1\\n"', '"+1"', '"\\u0661"'),
    *('"\u0661\u0662"', '"\uff11"', '""', "[1]", '{"a": 1}', "1e999", "-0", '"-0"', '"0x1"'),
]
TEXTS = [
    "'; DROP TABLE message; --",
    "' OR 1=1 #",
    "100% _under_ \\back\\slash \\' \\\" `tick`",
    "<script>alert('x')</script> &amp; &lt;b&gt; {{ 7*7 }} ${7*7} %s %d %n {0} %(a)s",
    '{"content": "inner"}, \\u0041 \\n \\0 \\x00',
    " leading and trailing \t\r\n ",
    "line\r\nline\nline\rline\x0bline\x0cline\x85line\u2028line\u2029end",
    "bell\x07 escape\x1b[31m backspace\x08 delete\x7f",
    "👩‍👩‍👧‍👦 🏳️‍🌈 🇺🇳 👍🏽 e\u0301 \u00e9 \u1e9b\u0323 ﷽ \U0001f9ff \U0010fffd",
    "\u202eright to left\u202c \u2066isolated\u2069 שלום العربية",
    "zero\u200bwidth\u200djoined\ufeffmarked soft\u00adhyphen",
    "Ω≈ç√∫˜µ≤≥÷ 田中さん 사회과학원 𐐜 ﾊﾝｶｸ Ṱ̺̺̕o͞ ̷i̲̬͇̪",
    "NULL null None undefined true NaN Infinity 1e1000 -0",
    "../../../etc/passwd %00 file:///etc/passwd",
    "😀" * 4_096,
    "x" * 5_000,
]


@pytest.mark.parametrize("text", TEXTS, ids=lambda text: ascii(text)[:24])
def test_text_comes_back_byte_for_byte(service: Service, alice: User, bob: User, text: str) -> None:
    message_id = alice.sent(bob, text)
    encoded = json.dumps(text, ensure_ascii=False).encode()
    for _ in range(2):
        assert bob.read(message_id).data["content"] == text
        answer = bob.history(alice)
        assert answer.data["list"][0]["content"] == text
        assert encoded in answer.content
        service.persist()


class TestABody:
    SEND = "/api/message/send"

    def test_nested_ten_thousands_deep_is_refused(self, alice: User) -> None:
        for inner in ("[" * 60_000 + "]" * 60_000, '{"a":' * 20_000 + "1" + "}" * 20_000):
            content = f'{{"x": {inner}}}'.encode()
            assert alice.client.call("POST", self.SEND, content=content).wrong == {"body"}

    @pytest.mark.parametrize("size", [MAX_BODY_BYTES + 1, 3_000_000])
    @pytest.mark.parametrize("is_chunked", [False, True])
    def test_that_is_too_large_is_refused(self, alice: User, size: int, is_chunked: bool) -> None:
        content = b'{"x": "' + b"x" * (size - 9) + b'"}'
        assert len(content) == size
        pieces = [content[at : at + 65_536] for at in range(0, size, 65_536)]
        for path in (self.SEND, "/api/user/login", "/api/token/refresh/"):
            answer = alice.client.call("POST", path, content=pieces if is_chunked else content)
            assert (answer.status, answer.code, answer.data) == (413, 413, None)

    @pytest.mark.parametrize("is_chunked", [False, True])
    def test_of_somebody_unknown_may_have_little(self, service: Service, is_chunked: bool) -> None:
        for size in (MAX_UNKNOWN_BODY_BYTES, MAX_UNKNOWN_BODY_BYTES + 1):
            content = b'{"x": "' + b"x" * (size - 9) + b'"}'
            sent = [content[:1000], content[1000:]] if is_chunked else content
            for path in ("/api/user/login", "/api/user/register", "/api/token/refresh/"):
                answer = service.anybody.call("POST", path, content=sent)
                assert answer.status == (413 if size > MAX_UNKNOWN_BODY_BYTES else 400)

    @pytest.mark.parametrize("authorization", ["", "Bearer made.up.token", "Bearer x"])
    def test_comes_after_its_sender(self, service: Service, authorization: str) -> None:
        for content in (b"{", b"x" * (MAX_BODY_BYTES + 1)):
            for path in (self.SEND, "/api/user/block"):
                headers = {"Authorization": authorization}
                answer = service.anybody.call("POST", path, content=content, headers=headers)
                assert answer.status == 401

    @pytest.mark.parametrize("is_chunked", [False, True])
    def test_of_the_largest_size_is_read(self, alice: User, bob: User, is_chunked: bool) -> None:
        body = {"toUserId": bob.id, "chatType": 1, "msgType": 1, "content": "hi", "x": ""}
        body["x"] = "x" * (MAX_BODY_BYTES - len(json.dumps(body)))
        content = json.dumps(body).encode()
        assert len(content) == MAX_BODY_BYTES
        pieces = [content[:1000], content[1000:], b""]
        answer = alice.client.call("POST", self.SEND, content=pieces if is_chunked else content)
        assert answer.status == 200

    @pytest.mark.parametrize(
        "content",
        [
            *(b"[]", b"null", b"1", b'"x"', b"{", b"}", b"\x00", b"\xff\xfe", b"a=1&b=2", b"<a/>"),
            *(b'{"content": NaN}', b'{"a": Infinity}', b"\xef\xbb\xbf{}", b'{"a": "\xed\xa0\x80"}'),
            *('{"content": "é"}'.encode(charset) for charset in ("latin-1", "utf-16", "utf-32")),
        ],
    )
    def test_that_is_no_json_object_is_named(self, alice: User, content: bytes) -> None:
        for path in (self.SEND, "/api/message/recall", "/api/user/register", "/api/token/"):
            assert alice.client.call("POST", path, content=content).wrong == {"body"}

    def test_that_is_empty_lacks_every_field(self, alice: User) -> None:
        assert alice.client.call("POST", self.SEND).wrong == {"chatType", "msgType", "toUserId"}

    def test_with_a_field_twice_counts_the_last(self, alice: User, bob: User) -> None:
        content = (
            f'{{"toUserId": "x", "toUserId": "{bob.id}", "chatType": 1, "msgType": 1,'
            ' "content": "first", "content": "last"}'
        )
        answer = alice.client.call("POST", self.SEND, content=content.encode())
        assert bob.read(answer.data["messageId"]).data["content"] == "last"

    @pytest.mark.parametrize(
        "content_type",
        [
            *("", "text/plain", "application/x-www-form-urlencoded", "multipart/form-data"),
            *("application/json; charset=utf-16", "application/json; charset=latin-1"),
            *("application/json; charset=bz2_codec", "application/json; charset=nonsense"),
            *("application/xml", "nonsense", "multipart/form-data; boundary=x", "a/b;" * 3000),
        ],
        ids=lambda content_type: content_type[:40],
    )
    def test_is_json_in_utf_8_whatever_is_claimed(
        self, alice: User, bob: User, content_type: str
    ) -> None:
        body = {"toUserId": bob.id, "chatType": 1, "msgType": 1, "content": "é 图"}
        content = json.dumps(body, ensure_ascii=False).encode()
        answer = alice.client.call(
            "POST", self.SEND, content=content, headers={"Content-Type": content_type}
        )
        assert bob.read(answer.data["messageId"]).data["content"] == "é 图"
        form = alice.client.call(
            "POST", self.SEND, content=b"toUserId=2", headers={"Content-Type": content_type}
        )
        assert form.wrong == {"body"}


class TestAField:
    @pytest.mark.parametrize("number", NUMBERS_THAT_ARE_NO_IDS, ids=lambda text: text[:24])
    def test_that_should_be_an_id_is_named(self, alice: User, number: str) -> None:
        send = f'{{"toUserId": {number}, "chatType": 1, "msgType": 1, "content": "hi"}}'
        answer = alice.client.call("POST", "/api/message/send", content=send.encode())
        assert answer.wrong == {"toUserId"}
        for path in ("/api/message/recall", "/api/message/delete"):
            named = f'{{"messageId": {number}}}'.encode()
            assert alice.client.call("POST", path, content=named).wrong == {"messageId"}

    @pytest.mark.parametrize(
        ("field", "value"),
        [
            *(("content", value) for value in ("", " \u3000", "\u200b\u2060", "\u3164", "\u2800")),
            *(("content", value) for value in ("a\0b", "\ud800", "a\udc00", "x" * 5001, 5, None)),
            *(("url", value) for value in ("javascript:alert(1)", "//a/b", "/\0", "\ud800", 5)),
            *(("atUserIds", value) for value in ("1", [0], [1.0], ["x"], list(range(1, 102)))),
            *(("clientMsgId", value) for value in ("", "x" * 65, "é", "a\0", 5)),
            *(("ack", value) for value in ("all", "", 1)),
            *(("chatType", value) for value in (0, 3, "1", 1.0, True, None, [1])),
            *(("msgType", value) for value in (0, 6, "1", 1.0, True, None, [1])),
        ],
        ids=lambda value: ascii(value)[:24],
    )
    def test_that_is_wrong_is_named(self, alice: User, bob: User, field: str, value: Any) -> None:
        assert alice.send(bob, **{field: value}).wrong == {field}

    def test_half_a_surrogate_pair_is_named_however_it_is_written(self, alice: User) -> None:
        content = b'{"toUserId": "2", "chatType": 1, "msgType": 1, "content": "a\\ud83d"}'
        assert alice.client.call("POST", "/api/message/send", content=content).wrong == {"content"}


class TestAnAddress:
    @pytest.mark.parametrize(
        "message_id",
        [
            "0",
            "-1",
            "1.0",
            "x",
            "9223372036854775808",
            "9" * 4000,
            "١",
            "１",
            "1 ",
            "\0",
            "1'--",
            "😀",
        ],
        ids=lambda text: ascii(text)[:24],
    )
    def test_with_a_wrong_id_names_it(self, alice: User, message_id: str) -> None:
        for method in ("GET", "DELETE"):
            answer = alice.client.call(method, f"/api/message/{quote(message_id)}")
            assert answer.wrong == {"messageId"}

    @pytest.mark.parametrize(
        ("query", "wrong"),
        [
            ("", {"targetId", "chatType"}),
            ("targetId=0&chatType=1", {"targetId"}),
            ("targetId=%D9%A1&chatType=1", {"targetId"}),
            ("targetId=1&chatType=1.0", {"chatType"}),
            ("targetId=1&chatType=1&size=0", {"size"}),
            ("targetId=1&chatType=1&size=101&page=0", {"size", "page"}),
            ("targetId=1&chatType=1&page=1e3", {"page"}),
            ("targetId=1&chatType=1&page=-1", {"page"}),
            ("targetId=1&chatType=1&page=99999999999", {"page"}),
            ("targetId=1&chatType=1&page=101&size=100", {"page"}),
            ("targetId=1&chatType=1&page=1&beforeId=5", {"page", "beforeId"}),
            ("targetId=1&chatType=1&beforeId=", {"beforeId"}),
            ("targetId=1&chatType=1&beforeId=9223372036854775808", {"beforeId"}),
            ("targetId=%FF%FE&chatType=%00", {"targetId", "chatType"}),
            ("targetId=\xff\xfe&chatType=1", {"targetId"}),
            ("targetId=%zz&chatType=1", {"targetId"}),
            ("&".join(f"a{number}=1" for number in range(1_001)), {"request"}),
            ("a=" + "x" * MAX_TARGET_BYTES, {"request"}),
        ],
        ids=lambda value: ascii(sorted(value) if isinstance(value, set) else value)[:40],
    )
    def test_with_a_wrong_query_names_it(self, alice: User, query: str, wrong: set[str]) -> None:
        assert alice.client.get(f"/api/message/history?{query}").wrong == wrong

    def test_under_an_unreadable_host_is_refused(self, alice: User) -> None:
        for host in ("a b", "evil\\.example", "[::", "x" * 5000 + "/"):
            answer = alice.client.call("GET", "/api/message/9", headers={"Host": host})
            assert answer.wrong == {"request"}


def test_many_spellings_of_headers_fill_no_cache(service: Service, alice: User) -> None:
    caches = [each for each in vars(trans_real).values() if hasattr(each, "cache_info")]

    def ask(number: int) -> None:
        headers = {
            "Accept-Language": f"zh-a{number},b{number}" * 20,
            "Host": f"a{number}.example.org",
            "Authorization": f"{' ' * number}Bearer {' ' * number}{alice.client.token}",
        }
        answer = service.anybody.call("GET", "/api/message/x", headers=headers)
        assert answer.status == 400
        assert answer.body["message"] == "请求格式不正确。"

    ask(0)
    before = [cache.cache_info().currsize for cache in caches]
    for number in range(1, 60):
        ask(number)
    assert [cache.cache_info().currsize for cache in caches] == before
    assert application._is_allowed.cache_info().maxsize <= 16


@pytest.mark.parametrize(
    "headers", [{"X-Any": "x" * MAX_HEADER_BYTES}, {f"X-{n}": "x" * 200 for n in range(90)}]
)
def test_headers_that_are_too_large_are_refused(service: Service, headers: dict[str, str]) -> None:
    for path in ("/api/message/9", "/api/user/blocks", "/api/health", "/admin/login/"):
        assert service.anybody.call("GET", path, headers=headers).wrong == {"request"}


HEADERS = [
    {"Authorization": "Bearer " + "x" * 10_000},
    {"Authorization": "\xff\x00"},
    {"Accept-Language": "zh;q=nonsense,," + "a-" * 5_000},
    {"Content-Length": "-5"},
    {"Content-Length": "nonsense"},
    {"Cookie": "sessionid=x; csrftoken=\xff"},
    {"X-Forwarded-Host": "a b", "X-HTTP-Method-Override": "DELETE"},
]


@pytest.mark.parametrize("headers", HEADERS, ids=lambda headers: ascii(headers)[:40])
def test_no_header_makes_a_server_error(service: Service, headers: dict[str, str]) -> None:
    credentials = json.dumps({"username": "dave", "password": PASSWORD}).encode()
    answer = service.anybody.call("POST", "/api/user/login", content=credentials, headers=headers)
    assert (answer.status, answer.code) == (401, 1003)
