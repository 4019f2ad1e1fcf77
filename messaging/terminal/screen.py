"""Show conversations and messages as lines of a terminal.

Pure. A text of another user has no control characters left when it is shown.
"""

from __future__ import annotations

import time
import unicodedata
from collections.abc import Callable
from typing import Any

from messaging.terminal.model import Conversation, Json

SHOWN_CHARACTERS = 60  # of a message in the list
NOTICE = 9
WAITS, STORED, DELIVERED, READ = "…", "✓", "✓✓", "✓✓ read"

NameOf = Callable[[str], str]


def list_line(number: int, conversation: Conversation, *, own_id: str, name_of: NameOf) -> str:
    about = conversation.about
    last = about["lastMessage"]
    unread = unread_number(about)
    said = "" if last is None else message_line(last, about, own_id=own_id, name_of=name_of)
    marks = ("^" if about["pinTime"] else " ") + ("!" if about["isMarkedUnread"] else " ")
    return f"{number:3}{marks}{title(about, name_of):20} {unread:>4}  {said[:SHOWN_CHARACTERS]}"


def unread_number(about: Json) -> str:
    """Return the number of unread messages, `?` where the server does not know the number."""
    count = "?" if about["unread"] is None else str(about["unread"] or "")
    return count + "+" if about["unreadIsMore"] else count


def title(about: Json, name_of: NameOf) -> str:
    """Return the name of a group, or of the other party."""
    return clean(about["group"]["name"] if about["group"] else name_of(about["peerUserId"]))


def message_line(message: Json, about: Json, *, own_id: str, name_of: NameOf) -> str:
    when = time.strftime("%H:%M", time.localtime(message["sendTime"] / 1000))
    sender = name_of(message["fromUserId"])
    if message["status"] == "RECALLED":
        return f"{when} {sender} took a message back"
    if message["msgType"] == NOTICE:
        return f"{when} * {_notice(message, name_of)}"
    text = clean(message["content"] or message["url"] or "")
    tick = f" {tick_of(message, about)}" if message["fromUserId"] == own_id else ""
    return f"{when} {sender}: {text}{tick}"


def tick_of(message: Json, about: Json) -> str:
    """Return how far an own message has come."""
    seq, peer = message["seq"], about["peer"]
    if seq is None:
        return WAITS
    if peer is None:
        return STORED
    if peer["readSeq"] >= seq:
        return READ
    return DELIVERED if peer["deliveredSeq"] >= seq else STORED


def clean(text: str) -> str:
    """Return the text without what a terminal might take for a command."""
    return "".join(c if unicodedata.category(c)[0] != "C" else " " for c in text)


def _notice(message: Json, name_of: NameOf) -> str:
    notice: dict[str, Any] = message["notice"]
    names = ", ".join(name_of(user_id) for user_id in notice["userIds"])
    return f"{name_of(message['fromUserId'])}: {notice['event']} {names}".rstrip()
