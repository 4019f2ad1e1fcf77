"""Test how the benchmark reads an answer."""

from __future__ import annotations

import pytest

from bench.load.answers import (
    CACHE,
    LOG,
    MAX_KNOWN,
    NotHttp,
    Whole,
    accepted_of,
    error_of,
)

BODY = (
    b'{"code":200,"message":"success","data":{"messageId":"647894356465213440",'
    b'"conversationId":"1_2","durability":"log","clientMsgId":null},"timestamp":1795465251886}'
)


def answer(body: bytes = BODY, *headers: bytes, status: bytes = b"200 OK") -> bytes:
    lines = [b"HTTP/1.1 " + status, *headers, b"content-length: %d" % len(body)]
    return b"\r\n".join([*lines, b"date: Wed, 25 Nov 2026 22:41:00 GMT"]) + b"\r\n\r\n" + body


class TestAnAnswer:
    def test_is_whole_when_its_last_byte_is_there(self) -> None:
        whole, told = answer(), Whole()
        assert not any(told.is_whole(whole[:split]) for split in range(len(whole)))
        assert told.is_whole(whole)

    def test_is_judged_whatever_the_last_one_looked_like(self) -> None:
        told = Whole()
        for each in (
            answer(),
            answer(BODY * 20),
            answer(BODY, b"server: granian"),
            answer(b"", status=b"503 Service Unavailable"),
            answer(b"content-length: 7\r\n\r\n" * 3),
            answer(),
        ):
            assert not told.is_whole(each[:-1])
            assert told.is_whole(each)
            assert told.is_whole(each)

    def test_may_have_the_size_of_an_earlier_one_and_yet_be_cut(self) -> None:
        """Each cut answer is as long as a whole one before, and lacks one byte."""
        told = Whole()
        assert told.is_whole(answer(b"x" * 50))
        assert not told.is_whole(answer(b"x" * 51)[:-1])
        assert not told.is_whole(answer(b"x" * 49, b"a: b")[: len(answer(b"x" * 50))])

    def test_remembers_a_bounded_number_of_sizes(self) -> None:
        told = Whole()
        for size in range(3 * MAX_KNOWN):
            assert told.is_whole(answer(b"x" * size))
        assert len(told._known) <= MAX_KNOWN

    def test_may_spell_its_headers_in_any_case(self) -> None:
        assert Whole().is_whole(answer().replace(b"content-length", b"Content-Length"))

    @pytest.mark.parametrize(
        "data",
        [
            b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n",
            b"HTTP/1.1 200 OK\r\ncontent-length: seven\r\n\r\n",
            answer() + b"H",
        ],
    )
    def test_is_refused_without_a_length_and_with_more_behind_it(self, data: bytes) -> None:
        with pytest.raises(NotHttp):
            Whole().is_whole(data)


class TestASend:
    def test_tells_its_id_and_its_durability(self) -> None:
        assert accepted_of(answer()) == (647894356465213440, LOG)
        assert accepted_of(answer(BODY.replace(b'"log"', b'"cache"')))[1] == CACHE

    def test_may_tell_neither(self) -> None:
        assert accepted_of(answer(b"{}")) == (0, 0)


@pytest.mark.parametrize(
    ("status", "body", "told"),
    [
        (b"503 Service Unavailable", b'{"code":5030,"message":"away"}', "503/5030"),
        (b"429 Too Many Requests", b'{"code": 4290}', "429/4290"),
        (b"400 Bad Request", b'{"code":400,"message":"no"}', "400"),
        (b"502 Bad Gateway", b"<html>", "502"),
    ],
)
def test_an_error_is_named_by_its_status_and_code(status: bytes, body: bytes, told: str) -> None:
    assert error_of(answer(body, status=status)) == told
