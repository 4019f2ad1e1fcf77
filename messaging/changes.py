"""What may have changed about people, as one process tells the others. Pure.

`signals` notes a change when it is committed, the cache's package carries it, and the directory of
each process forgets what it knew of it.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from messaging.errors import PoisonRecord


class UserChanged(msgspec.Struct, frozen=True, array_like=True, tag="user"):
    """There is a new user, or one is gone, locked out or let in again."""

    user_id: int


class MemberChanged(msgspec.Struct, frozen=True, array_like=True, tag="member"):
    group_id: int
    user_id: int


class BlockChanged(msgspec.Struct, frozen=True, array_like=True, tag="block"):
    blocker_id: int
    blocked_id: int


class AnythingChanged(msgspec.Struct, frozen=True, array_like=True, tag="anything"):
    """Too much to be told one by one."""


Change = UserChanged | MemberChanged | BlockChanged | AnythingChanged

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(list[Change]).decode


def encode_changes(changes: Iterable[Change]) -> bytes:
    return _encode(list(changes))


def decode_changes(text: bytes) -> list[Change]:
    """Read what `encode_changes` wrote; raises PoisonRecord for anything else."""
    try:
        return _decode(text)
    except msgspec.MsgspecError as error:
        raise PoisonRecord(f"{error!s:.120}") from error
