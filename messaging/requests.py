"""What clients ask for, checked: the one place that knows the shape of a request. Pure.

Both doors call these parsers with what they decoded, so that a request is judged alike at each.
Every parser raises InvalidInput with all fields that are wrong.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from messaging.events import ChatType, MsgType


class Ack(StrEnum):
    """The confirmation a sender waits for."""

    CACHE = "cache"
    LOG = "log"
    STORE = "store"


@dataclass(frozen=True, slots=True, kw_only=True)
class SendRequest:
    chat_type: ChatType
    target_id: int  # the receiver in a private chat, the group in a group chat
    msg_type: MsgType
    content: str
    url: str | None
    at_user_ids: tuple[int, ...]
    client_msg_id: str | None
    ack: Ack


@dataclass(frozen=True, slots=True, kw_only=True)
class HistoryRequest:
    """`page` counts from 1 and is None when `before_id` leads."""

    chat_type: ChatType
    target_id: int
    size: int
    page: int | None
    before_id: int | None
