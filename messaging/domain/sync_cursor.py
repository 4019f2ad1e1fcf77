"""Pack into a text how far a client knows its conversations, and unpack such a text.

Pure. A text is base64url, without padding, of a version and of whole numbers in groups of seven
bits. A text grants nothing: only the conversations of the caller are read by it. The ids of groups
and of the other parties ascend, and only their differences are packed, so that a conversation takes
about nine bytes.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise

import msgspec

from messaging.domain.ids import group_conversation, group_of, parties_of, private_conversation
from messaging.domain.message import ID_MAX
from messaging.domain.request_fields import FieldError, InvalidField

VERSION = 1
_GROUP_NUMBERS = 4  # the id, and three of the position
_PRIVATE_NUMBERS = 6
_AT_NONE, _AT_GROUP, _AT_PEER = range(3)
_LACKS = 3  # more than a place: the same places in a round that lacks something
_IDLE = 2 * _LACKS  # in place of a place: no round is under way, and a digest follows
DIGEST_BITS = 60


class Position(msgspec.Struct, frozen=True, gc=False):
    """Hold what a client knows of one conversation.

    `seq`, `rev`: the last message and the last change. `own_rev`: of the client's participant.
    `peer_read`, `peer_delivered`: how far the other party of a private conversation has read it,
    and has got it.
    """

    seq: int = 0
    rev: int = 0
    own_rev: int = 0
    peer_read: int = 0
    peer_delivered: int = 0


NOWHERE = Position()
"""Stand for the position of a client that knows of a conversation, and of nothing in it."""


class Round(msgspec.Struct, frozen=True, gc=False):
    """Hold how far a round of calls has come down the conversations, by activity.

    `below`: conversations of an activity below this id are to be told yet; None between rounds.
    `stays`: the conversation that is told in pages, up to the `seq` `until`.
    `lacks`: a conversation of the round could not be told, and the calls end with the round.
    """

    below: int | None = None
    stays: str | None = None
    until: int = 0
    lacks: bool = False


class Cursor(msgspec.Struct, frozen=True):
    """Hold the positions of a client by conversation, and the round that is under way.

    `idle_digest`: of a list of conversations in which nothing is new to a client at these
    positions; None where no such list is known, and while a round is under way.
    """

    positions: Mapping[str, Position] = {}
    round: Round = Round()
    idle_digest: int | None = None


def encode_cursor(cursor: Cursor, *, own_id: int) -> str:
    groups: dict[int, Position] = {}
    peers: dict[int, Position] = {}
    for conversation_id, position in cursor.positions.items():
        if (group_id := group_of(conversation_id)) is not None:
            groups[group_id] = position
        else:
            peers[_peer(conversation_id, own_id)] = position
    if cursor.idle_digest is None:
        numbers = _round_numbers(cursor.round, own_id)
    else:
        numbers = [0, _IDLE, cursor.idle_digest]
    numbers.append(len(groups))
    last = 0
    for group_id in sorted(groups):
        each = groups[group_id]
        numbers += (group_id - last, each.seq, each.rev, each.own_rev)
        last = group_id
    last = 0
    for peer_id in sorted(peers):
        numbers += (peer_id - last, *_numbers_of(peers[peer_id]))
        last = peer_id
    return _pack(numbers)


def decode_cursor(text: str, *, own_id: int) -> Cursor:
    """Return the cursor of a user that a text holds.

    Raises: InvalidField for a text that no cursor has.
    """
    numbers = _unpack(text)
    if len(numbers) < 3:
        raise _refused()
    under_way, idle_digest, known = _read_round(numbers, own_id)
    groups_end = 1 + known[0] * _GROUP_NUMBERS
    groups, peers = known[1:groups_end], known[groups_end:]
    if groups_end > len(known) or len(peers) % _PRIVATE_NUMBERS:
        raise _refused()
    positions = {
        group_conversation(group_id): Position(*each)
        for group_id, each in _by_id(groups, _GROUP_NUMBERS)
    }
    for peer_id, each in _by_id(peers, _PRIVATE_NUMBERS):
        positions[private_conversation(own_id, peer_id)] = _position_of(each)
    return Cursor(positions, under_way, idle_digest)


def encode_position(position: Position) -> str:
    return _pack(_numbers_of(position))


def decode_position(text: str) -> Position:
    """Return the position that a text holds.

    Raises: InvalidField for a text that no position has.
    """
    numbers = _unpack(text)
    if len(numbers) != _PRIVATE_NUMBERS - 1:
        raise _refused()
    return _position_of(numbers)


def _round_numbers(under_way: Round, own_id: int) -> list[int]:
    below = 0 if under_way.below is None else under_way.below + 1
    lacks = _LACKS * under_way.lacks
    if under_way.stays is None:
        return [below, lacks + _AT_NONE]
    group_id = group_of(under_way.stays)
    if group_id is not None:
        return [below, lacks + _AT_GROUP, group_id, under_way.until]
    return [below, lacks + _AT_PEER, _peer(under_way.stays, own_id), under_way.until]


def _read_round(numbers: Sequence[int], own_id: int) -> tuple[Round, int | None, Sequence[int]]:
    """Return the round of a cursor, its digest, and the numbers that follow, one at least.

    Raises: InvalidField.
    """
    below = numbers[0]
    if numbers[1] == _IDLE and not below and len(numbers) > 3 and not numbers[2] >> DIGEST_BITS:
        return Round(), numbers[2], numbers[3:]
    lacks, place = divmod(numbers[1], _LACKS)
    if lacks > 1 or (place != _AT_NONE and len(numbers) < 5):
        raise _refused()
    reached = below - 1 if below else None
    if place == _AT_NONE:
        return Round(reached, lacks=bool(lacks)), None, numbers[2:]
    stays = _conversation(place, numbers[2], own_id)
    return Round(reached, stays, numbers[3], bool(lacks)), None, numbers[4:]


def _peer(conversation_id: str, own_id: int) -> int:
    """Return the other party of a private conversation, which may be the user."""
    return next(iter(parties_of(conversation_id) - {own_id}), own_id)


def _conversation(place: int, identity: int, own_id: int) -> str:
    if not 1 <= identity <= ID_MAX:
        raise _refused()
    if place == _AT_GROUP:
        return group_conversation(identity)
    return private_conversation(own_id, identity)


def _by_id(numbers: Sequence[int], width: int) -> Iterable[tuple[int, Sequence[int]]]:
    """Yield the id and the other numbers of each conversation.

    Raises: InvalidField where the ids do not ascend.
    """
    reached = 0
    for start, end in pairwise(range(0, len(numbers) + 1, width)):
        growth = numbers[start]
        reached += growth
        if not growth or reached > ID_MAX:
            raise _refused()
        yield reached, numbers[start + 1 : end]


def _numbers_of(position: Position) -> list[int]:
    """Return the numbers of a position, those of the peer as differences, which are small."""
    return [
        position.seq,
        position.rev,
        position.own_rev,
        _fold(position.seq - position.peer_read),
        _fold(position.peer_delivered - position.peer_read),
    ]


def _position_of(numbers: Sequence[int]) -> Position:
    seq, rev, own_rev, unread, undelivered = numbers
    peer_read = seq - _unfold(unread)
    peer_delivered = peer_read + _unfold(undelivered)
    if peer_read < 0 or peer_delivered < 0:
        raise _refused()
    return Position(seq, rev, own_rev, peer_read, peer_delivered)


def _fold(number: int) -> int:
    """Return a number from 0 for a number of either sign, small where that one is near 0."""
    return number * 2 if number >= 0 else -number * 2 - 1


def _unfold(number: int) -> int:
    return -(number + 1 >> 1) if number & 1 else number >> 1


def _pack(numbers: Iterable[int]) -> str:
    packed = bytearray((VERSION,))
    for number in numbers:
        while number > 0x7F:
            packed.append(number & 0x7F | 0x80)
            number >>= 7
        packed.append(number)
    return base64.urlsafe_b64encode(packed).rstrip(b"=").decode()


def _unpack(text: str) -> list[int]:
    """Return the numbers of a text.

    Raises: InvalidField for a text of another form or version, and for a number past 64 bits.
    """
    try:
        packed = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError) as error:
        raise _refused() from error
    if not packed or packed[0] != VERSION:
        raise _refused()
    numbers: list[int] = []
    number = shift = 0
    for byte in packed[1:]:
        number |= (byte & 0x7F) << shift
        shift += 7
        if number >> 64 or (byte == 0 and shift > 7):
            break
        if byte <= 0x7F:
            numbers.append(number)
            number = shift = 0
    if shift:
        raise _refused()
    return numbers


def _refused() -> InvalidField:
    return InvalidField(FieldError.CURSOR)
