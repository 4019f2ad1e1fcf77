"""Represent what a user has set in a conversation, as the user sees it.

Pure. Ids are strings, times are milliseconds since 1970, as in `representation`.
"""

from __future__ import annotations

from messaging.domain.conversations import Entry, Participant

Json = dict[str, object]


def present_settings(entry: Entry, *, now_ms: int) -> Json:
    participant = entry.participant
    return {
        "conversationId": entry.conversation_id,
        "pinTime": participant.pin_time,
        "mutedUntil": participant.muted_until if participant.is_muted(now_ms) else 0,
        "isHidden": entry.is_hidden,
        "isMarkedUnread": participant.is_marked_unread,
    }


def present_cleared(participant: Participant) -> Json:
    return {
        "conversationId": participant.conversation_id,
        "floorId": str(participant.floor_id),
        "readSeq": participant.read_seq,
    }
