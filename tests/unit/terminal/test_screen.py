"""Check the lines of the terminal client: ticks, notices, and texts that are no commands."""

from __future__ import annotations

from typing import Any

import pytest

from messaging.terminal.screen import clean, message_line, tick_of

MESSAGE: dict[str, Any] = {
    "messageId": "7",
    "seq": 5,
    "fromUserId": "1",
    "content": "hello",
    "url": None,
    "status": "NORMAL",
    "msgType": 1,
    "sendTime": 0,
    "notice": None,
}


@pytest.mark.parametrize(
    ("seq", "peer", "tick"),
    [
        (None, {"readSeq": 9, "deliveredSeq": 9}, "…"),
        (5, None, "✓"),
        (5, {"readSeq": 4, "deliveredSeq": 4}, "✓"),
        (5, {"readSeq": 4, "deliveredSeq": 5}, "✓✓"),
        (5, {"readSeq": 5, "deliveredSeq": 5}, "✓✓ read"),
    ],
)
def test_a_tick_tells_how_far_a_message_has_come(seq: int | None, peer: Any, tick: str) -> None:
    assert tick_of(MESSAGE | {"seq": seq}, {"peer": peer}) == tick


def line(**changes: object) -> str:
    """Return the line of a message without its time, as user 2 sees it."""
    names = {"1": "alice", "2": "me", "3": "carol"}
    shown = message_line(MESSAGE | changes, {"peer": None}, own_id="2", name_of=names.__getitem__)
    return shown[len("00:00 ") :]


def test_the_lines_of_messages() -> None:
    assert line() == "alice: hello"
    assert line(fromUserId="2") == "me: hello ✓"
    assert line(status="RECALLED", content="") == "alice took a message back"
    assert line(msgType=2, content="", url="/a.png") == "alice: /a.png"
    notice = {"event": "invited", "userIds": ["3"]}
    assert line(msgType=9, content="", notice=notice) == "* alice: invited carol"


def test_a_text_commands_no_terminal() -> None:
    assert clean("a\x1b[2Jb\u202ec\nd") == "a [2Jb c d"
    assert line(content="\x1b]0;title\x07") == "alice:  ]0;title "
