"""Encode participants for the cache, as short lists that a script can compare."""

from __future__ import annotations

import msgspec
from msgspec.structs import asdict

from messaging.domain.conversations import Participant
from messaging.domain.groups import OutReason


class _Packed(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """Hold a participant's columns in the order of the list.

    The script `raise_participants.lua` reads the first two.
    """

    rev: int
    delivered_seq: int
    is_in: bool
    out_reason: OutReason | None
    floor_id: int
    floor_seq: int
    read_seq: int
    read_time: int | None
    pin_time: int | None
    muted_until: int
    hidden_id: int | None
    is_marked_unread: bool


_DECODER = msgspec.json.Decoder(_Packed)


def participant_text(participant: Participant) -> bytes:
    """Return a participant as a JSON list, without the two ids."""
    columns = (getattr(participant, name) for name in _Packed.__struct_fields__)
    return msgspec.json.encode(_Packed(*columns))


def read_participant(user_id: int, conversation_id: str, text: bytes) -> Participant:
    """Return the participant of a text.

    Raises: msgspec.DecodeError for a text that is none.
    """
    columns = asdict(_DECODER.decode(text))
    return Participant(user_id=user_id, conversation_id=conversation_id, **columns)
