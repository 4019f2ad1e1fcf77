"""Describe what may have changed about people and groups, as one process tells the others.

Pure. `signals` notes a change when it is committed, the cache's package carries the change, and the
directory of each process asks the database again for what it knew of the changed object.

Processes of two versions may hear each other during an upgrade: a field that is added has a
default, and stands last.
"""

from __future__ import annotations

import msgspec

from messaging.domain.backend_errors import PoisonRecord


class UserChanged(msgspec.Struct, frozen=True, array_like=True, tag="user"):
    """Announce a new user, one who is gone, locked out or let in again, or a changed profile.

    `is_locked_out`: True where the user is locked out or gone; False leaves the question to a
    look-up.
    """

    user_id: int
    is_locked_out: bool = False


class TokensEnded(msgspec.Struct, frozen=True, array_like=True, tag="tokens"):
    """Announce the end of a user's tokens: those of older generations and of these sessions."""

    user_id: int
    generation: int
    sessions: tuple[str, ...] = ()


class MemberChanged(msgspec.Struct, frozen=True, array_like=True, tag="member"):
    group_id: int
    user_id: int


class GroupChanged(msgspec.Struct, frozen=True, array_like=True, tag="group"):
    """Announce a change of a group itself, or of many of its members."""

    group_id: int


class BlockChanged(msgspec.Struct, frozen=True, array_like=True, tag="block"):
    """Announce that a block was set or removed.

    `is_blocked`: True where the block was set; False leaves the question to a look-up.
    """

    blocker_id: int
    blocked_id: int
    is_blocked: bool = False


class AnythingChanged(msgspec.Struct, frozen=True, array_like=True, tag="anything"):
    """Announce too many changes to be told one by one."""


Change = UserChanged | TokensEnded | MemberChanged | GroupChanged | BlockChanged | AnythingChanged


class Notice(msgspec.Struct, frozen=True, array_like=True):
    """Carry the changes that one process tells the others.

    `origin`: the name of that process, if it listens itself.
    """

    origin: str
    changes: tuple[Change, ...]


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Notice).decode


def encode_notice(notice: Notice) -> bytes:
    return _encode(notice)


def decode_notice(text: bytes) -> Notice:
    """Decode a text that `encode_notice` returned.

    Raises: PoisonRecord for any other text.
    """
    try:
        return _decode(text)
    except msgspec.MsgspecError as error:
        raise PoisonRecord(f"{error!s:.120}") from error
