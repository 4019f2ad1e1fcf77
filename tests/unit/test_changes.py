"""The form in which processes tell each other what changed."""

from __future__ import annotations

import pytest

from messaging.changes import (
    AnythingChanged,
    BlockChanged,
    MemberChanged,
    UserChanged,
    decode_changes,
    encode_changes,
)
from messaging.errors import PoisonRecord
from messaging.events import ID_MAX


def test_every_change_comes_back_as_it_was() -> None:
    changes = [UserChanged(1), MemberChanged(2, ID_MAX), BlockChanged(3, 1), AnythingChanged()]
    assert decode_changes(encode_changes(changes)) == changes


def test_the_form_is_short() -> None:
    assert encode_changes([BlockChanged(3, 1)]) == b'[["block",3,1]]'


@pytest.mark.parametrize(
    "text",
    [b"", b"[", b"{}", b"1", b'[["unheard of",1]]', b'[["user","1"]]', b'[["user"]]', b"[[]]"],
)
def test_anything_else_is_refused(text: bytes) -> None:
    with pytest.raises(PoisonRecord):
        decode_changes(text)
