"""Check that a message that is asked for is read, or refused with the reason."""

from __future__ import annotations

import pytest

from messaging.trace.asked import BadQuestion, read_id, read_send


def test_reads_ids_and_sends() -> None:
    assert read_id(" 647894356465213440 ") == 647894356465213440
    assert read_send("42:a-1") == (42, "a-1")
    assert read_send("42:a:b") == (42, "a:b")


@pytest.mark.parametrize(
    "text", ["", "x", "0", "-1", "1.5", "٣", "²", "9223372036854775808", "9" * 20, "9" * 5_000]
)
def test_refuses_a_text_that_is_no_id(text: str) -> None:
    with pytest.raises(BadQuestion, match="a message id"):
        read_id(text)


@pytest.mark.parametrize(
    "text", ["", "a-1", "42", "42:", ":a", "x:a", "0:a", "42:" + "a" * 65, "42:é", "²:a"]
)
def test_refuses_a_text_that_is_no_send(text: str) -> None:
    with pytest.raises(BadQuestion):
        read_send(text)
