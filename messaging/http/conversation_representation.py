"""Represent conversations, their unread numbers and their readers as clients see them.

Pure. Ids are strings, times are milliseconds since 1970, as in `representation`.
"""

from __future__ import annotations

from messaging.domain.conversation_requests import place_cursor
from messaging.domain.group_fields import user_cursor
from messaging.domain.ids import is_group, parties_of, time_of_id
from messaging.domain.message import ChatType
from messaging.http.group_representation import present_group
from messaging.http.representation import Json, present_message
from messaging.http.settings_representation import present_settings
from messaging.limits import MAX_UNREAD
from messaging.ports.directory import GroupAccess
from messaging.service.conversation_views import ConversationView
from messaging.service.conversations import ConversationPage, UnreadSum, UnreadSums
from messaging.service.marks import Marked
from messaging.service.readers import MessageReaders


def present_conversation(view: ConversationView, *, viewer_id: int, now_ms: int) -> Json:
    """Return the conversation; `peer` is null where the view has none."""
    entry, access, peer, unread = view.entry, view.access, view.peer, view.unread
    participant, name = entry.participant, entry.conversation_id
    last = view.last_message
    return {
        "conversationId": name,
        "chatType": ChatType.GROUP if is_group(name) else ChatType.PRIVATE,
        "group": None if access is None else _group(access, now_ms),
        "peerUserId": None if is_group(name) else _peer(name, viewer_id),
        "peer": None
        if peer is None
        else {"readSeq": peer.read_seq, "deliveredSeq": peer.delivered_seq},
        "lastMessage": None if last is None else present_message(last, viewer_id=viewer_id),
        "unread": None if unread is None else min(unread, MAX_UNREAD),
        "unreadIsMore": unread is not None and unread > MAX_UNREAD,
        "readSeq": participant.read_seq,
        "lastSeq": entry.head.last_seq,
        **present_settings(entry, now_ms=now_ms),
        "floorId": str(participant.floor_id),
        "lastActive": time_of_id(entry.activity) if entry.activity else None,
    }


def present_conversations(page: ConversationPage, *, viewer_id: int, now_ms: int) -> Json:
    after = page.next_after
    return {
        "list": [
            present_conversation(view, viewer_id=viewer_id, now_ms=now_ms) for view in page.views
        ],
        "hasMore": after is not None,
        "nextAfter": None if after is None else place_cursor(after),
        "partial": page.partial,
    }


def present_unread(sums: UnreadSums) -> Json:
    return {
        **_present_sum(sums.loud),
        "muted": _present_sum(sums.muted),
        "partial": sums.partial,
    }


def present_marked(marked: Marked) -> Json:
    return {
        "items": [
            {
                "conversationId": each.conversation_id,
                "readSeq": each.read_seq,
                "deliveredSeq": each.delivered_seq,
            }
            for each in marked.participants
        ],
        "refused": [
            {"conversationId": name, "code": why.code} for name, why in marked.refused.items()
        ],
    }


def present_readers(readers: MessageReaders) -> Json:
    shown = readers.user_ids
    return {
        "readCount": readers.read_count,
        "memberCount": readers.member_count,
        "list": [{"userId": str(user_id)} for user_id in shown],
        "hasMore": readers.has_more,
        "nextAfter": user_cursor(shown[-1]) if readers.has_more else None,
    }


def _group(access: GroupAccess, now_ms: int) -> Json:
    return present_group(access.group, access.member, now_ms=now_ms)


def _present_sum(counted: UnreadSum) -> Json:
    return {"unread": counted.messages, "conversations": counted.conversations}


def _peer(conversation_id: str, viewer_id: int) -> str:
    """Return the other party; the user's own id in the conversation with oneself."""
    return str(next(iter(parties_of(conversation_id) - {viewer_id}), viewer_id))
