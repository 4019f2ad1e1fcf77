"""What may have changed about people, as one process tells the others. Pure.

`signals` notes a change when it is committed, the cache's package carries it, and the directory of
each process looks again for what it knew of it.

Processes of two versions may hear each other during an upgrade: a field that is added has a
default, and stands last.
"""

from __future__ import annotations

import msgspec

from messaging.domain.errors import PoisonRecord


class UserChanged(msgspec.Struct, frozen=True, array_like=True, tag="user"):
    """There is a new user, or one is gone, locked out or let in again.

    `is_locked_out` (or gone) is told where it is so; False leaves it to a look.
    """

    user_id: int
    is_locked_out: bool = False


class TokensEnded(msgspec.Struct, frozen=True, array_like=True, tag="tokens"):
    """Tokens of a user have ended: those of older generations and of these sessions."""

    user_id: int
    generation: int
    sessions: tuple[str, ...] = ()


class MemberChanged(msgspec.Struct, frozen=True, array_like=True, tag="member"):
    group_id: int
    user_id: int


class BlockChanged(msgspec.Struct, frozen=True, array_like=True, tag="block"):
    """`is_blocked` is told where it is so; False leaves it to a look."""

    blocker_id: int
    blocked_id: int
    is_blocked: bool = False


class AnythingChanged(msgspec.Struct, frozen=True, array_like=True, tag="anything"):
    """Too much to be told one by one."""


Change = UserChanged | TokensEnded | MemberChanged | BlockChanged | AnythingChanged


class Notice(msgspec.Struct, frozen=True, array_like=True):
    """What one process tells the others; `origin` names it, if it listens itself."""

    origin: str
    changes: tuple[Change, ...]


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Notice).decode


def encode_notice(notice: Notice) -> bytes:
    return _encode(notice)


def decode_notice(text: bytes) -> Notice:
    """Read what `encode_notice` wrote; raises PoisonRecord for anything else."""
    try:
        return _decode(text)
    except msgspec.MsgspecError as error:
        raise PoisonRecord(f"{error!s:.120}") from error
