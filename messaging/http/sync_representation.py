"""Represent the answers to a sync and to the reading of a span as clients see them.

Pure. Ids are strings, times are milliseconds since 1970, as in `representation`.
"""

from __future__ import annotations

from collections.abc import Iterable

from messaging.domain.conversations import Entry
from messaging.domain.groups import OutReason
from messaging.domain.message import ChatType, Message
from messaging.domain.sync_cursor import encode_cursor, encode_position
from messaging.http.conversation_representation import present_conversation
from messaging.http.representation import Json, present_message
from messaging.service.span import SpanPage
from messaging.service.sync import SyncAnswer
from messaging.service.sync_telling import Told

FIELDS = (
    *("conversationId", "chatType", "group", "peerUserId", "peer", "lastMessage", "unread"),
    *("unreadIsMore", "readSeq", "lastSeq", "pinTime", "mutedUntil", "isHidden"),
    *("isMarkedUnread", "floorId", "lastActive"),
    *("messages", "covers", "gap", "changes", "deletedIds", "pending", "left", "reset"),
    "position",
)


def present_sync(answer: SyncAnswer, *, viewer_id: int, now_ms: int) -> Json:
    left = [_present_left(entry) for entry in answer.left]
    told = [_present_told(each, viewer_id, now_ms) for each in answer.told]
    return {
        "conversations": [*left, *told],
        "cursor": answer.text or encode_cursor(answer.cursor, own_id=viewer_id),
        "hasMore": answer.has_more,
        "partial": answer.partial,
    }


def present_span(page: SpanPage, *, viewer_id: int) -> Json:
    return {
        "list": _present_messages(page.messages, viewer_id),
        "covers": _present_range(page.covers),
        "hasMore": page.next_from is not None,
        "nextFromSeq": page.next_from,
    }


def _present_told(told: Told, viewer_id: int, now_ms: int) -> Json:
    position = told.position
    return {
        **present_conversation(told.view, viewer_id=viewer_id, now_ms=now_ms),
        "messages": _present_messages(told.messages, viewer_id),
        "covers": _present_range(told.covers),
        "gap": _present_range(told.gap),
        "changes": _present_messages(told.changes, viewer_id),
        "deletedIds": [str(message_id) for message_id in told.deleted_ids],
        "pending": _present_messages(told.pending, viewer_id),
        "left": None,
        "reset": told.is_reset,
        "position": None if position is None else encode_position(position),
    }


def _present_left(entry: Entry) -> Json:
    """Return a group that the user is out of; nothing of the group is told but the reason."""
    return {
        **dict.fromkeys(FIELDS),
        "conversationId": entry.conversation_id,
        "chatType": ChatType.GROUP,
        "messages": [],
        "changes": [],
        "deletedIds": [],
        "pending": [],
        "left": (entry.participant.out_reason or OutReason.LEFT).value,
        "reset": False,
    }


def _present_messages(messages: Iterable[Message], viewer_id: int) -> list[Json]:
    return [present_message(message, viewer_id=viewer_id) for message in messages]


def _present_range(of: tuple[int, int] | None) -> list[int] | None:
    return None if of is None else list(of)
