"""Decide how a user's own wish changes the user's place in a conversation.

Pure, as `group_rules` is. A function gives all columns of the participant but `rev`.

Raises: ConversationNotFound, from every function, for a user who is out of the conversation.
"""

from __future__ import annotations

from msgspec.structs import replace

from messaging.domain.conversation_requests import SetRequest
from messaging.domain.conversations import Participant
from messaging.domain.errors import ConversationNotFound, TooMany
from messaging.limits import MAX_PINS
from messaging.ports.conversations import ParticipantFacts


def set_state(
    facts: ParticipantFacts, wanted: SetRequest, *, newest_id: int, now_ms: int
) -> Participant:
    """Change the settings that are given; a conversation that is pinned keeps its pin time.

    `newest_id`: the largest listed id. The conversation is hidden until a larger one.

    Raises: TooMany past MAX_PINS.
    """
    participant = _of_insider(facts)
    if wanted.pinned is not None:
        participant = replace(participant, pin_time=_pin_time(facts, wanted.pinned, now_ms))
    if wanted.muted_for_s is not None:
        for_s = wanted.muted_for_s
        until = now_ms + for_s * 1000 if for_s > 0 else for_s
        participant = replace(participant, muted_until=until)
    if wanted.hidden is not None:
        hidden_id = max(facts.head.last_id, newest_id) if wanted.hidden else None
        participant = replace(participant, hidden_id=hidden_id)
    if wanted.marked_unread is not None:
        participant = replace(participant, is_marked_unread=wanted.marked_unread)
    return participant


def clear(facts: ParticipantFacts, *, floor_id: int, now_ms: int) -> Participant:
    """Hide all messages down from `floor_id` and all stored ones, and count them as read."""
    participant, last_seq = _of_insider(facts), facts.head.last_seq
    is_read = last_seq > participant.read_seq
    return replace(
        participant,
        floor_id=max(participant.floor_id, floor_id, facts.head.last_id),
        floor_seq=max(participant.floor_seq, last_seq),
        read_seq=max(participant.read_seq, last_seq),
        delivered_seq=max(participant.delivered_seq, last_seq),
        read_time=now_ms if is_read else participant.read_time,
        is_marked_unread=False,
    )


def _of_insider(facts: ParticipantFacts) -> Participant:
    if not facts.participant.is_in:
        raise ConversationNotFound
    return facts.participant


def _pin_time(facts: ParticipantFacts, pinned: bool, now_ms: int) -> int | None:
    before = facts.participant.pin_time
    if not pinned or before is not None:
        return before if pinned else None
    if facts.pins >= MAX_PINS:
        raise TooMany(MAX_PINS)
    return now_ms
