"""Test the encoding of the changes that processes tell each other."""

from __future__ import annotations

import pytest

from messaging.domain.backend_errors import PoisonRecord
from messaging.domain.changes import (
    AnythingChanged,
    BlockChanged,
    GroupChanged,
    MemberChanged,
    Notice,
    TokensEnded,
    UserChanged,
    decode_notice,
    encode_notice,
)
from messaging.domain.message import ID_MAX


def test_every_change_comes_back_as_it_was() -> None:
    changes = (
        *(UserChanged(1), UserChanged(2, is_locked_out=True), MemberChanged(2, ID_MAX)),
        GroupChanged(ID_MAX),
        *(TokensEnded(1, 3), TokensEnded(2, 0, ("a", "b"))),
        *(BlockChanged(3, 1), BlockChanged(3, 2, is_blocked=True), AnythingChanged()),
    )
    notice = Notice("f00", changes)
    assert decode_notice(encode_notice(notice)) == notice


def test_the_form_is_short() -> None:
    told = encode_notice(Notice("f00", (BlockChanged(3, 1),)))
    assert told == b'["f00",[["block",3,1,false]]]'


def test_a_change_of_a_group_is_named() -> None:
    assert encode_notice(Notice("f00", (GroupChanged(7),))) == b'["f00",[["group",7]]]'


def test_a_version_that_tells_less_or_more_is_understood() -> None:
    before = b'["f00",[["user",1],["member",2,1],["block",3,1]]]'
    later = b'["f00",[["user",1,false,7],["member",2,1,true],["block",3,1,false,[]]],"new"]'
    expected = Notice("f00", (UserChanged(1), MemberChanged(2, 1), BlockChanged(3, 1)))
    assert decode_notice(before) == decode_notice(later) == expected


@pytest.mark.parametrize(
    "text",
    [
        *(b"", b"[", b"{}", b"1", b'["f00"]', b'["f00",[[]]]', b'[1,[["user",1]]]'),
        *(b'["f00",[["unheard of",1]]]', b'["f00",[["user","1"]]]', b'["f00",[["user"]]]'),
    ],
)
def test_anything_else_is_refused(text: bytes) -> None:
    with pytest.raises(PoisonRecord):
        decode_notice(text)
