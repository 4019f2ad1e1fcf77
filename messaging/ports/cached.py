"""What the cache answers: idempotency records, tails of conversations, pending ids, rates."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum

from messaging.domain.events import Message


@dataclass(frozen=True, slots=True)
class Claim:
    """What a (sender, clientMsgId) stands for: the first send's id and the hash of its body.

    Not `is_stored`: the store has the key reserved, and no row of that message. It may be under way
    or have failed, and whoever sends the same again sends it under that id.
    """

    message_id: int
    body_hash: str
    is_stored: bool = field(default=True, compare=False)


@dataclass(frozen=True, slots=True)
class RateLimited:
    """The sender has sent too much; nothing of this message is written."""

    wait_s: float


class PendingFull(Enum):
    """So much is pending that the cache takes no more; nothing of this message is written."""

    FULL = "full"


Verdict = Claim | RateLimited | PendingFull | None


@dataclass(frozen=True, slots=True)
class Window:
    """What the cache knows of a conversation's tail, without what its reader has deleted.

    `messages` are newest first, with id below `before`, each at its latest cached state. `missing`
    are ids listed in the same range without a cached state. `end` is the lowest id down to which
    the list was read, where it goes on (None: to its end). When `floor` is not None, the two
    together hold every message of the conversation whose id is above it and below `before`, down to
    `end`; `total` counts the whole conversation then. Of the reader's deletes those above
    `deletes_floor` are known (None: not even those for sure), so that others may be among these.
    `recovering`: the cache was away or emptied just now, and may lack what is not stored.
    """

    messages: tuple[Message, ...] = ()
    missing: tuple[int, ...] = ()
    end: int | None = None
    floor: int | None = None
    total: int | None = None
    deletes_floor: int | None = None
    recovering: bool = False


@dataclass(frozen=True, slots=True)
class Look:
    """What the cache knows of some messages, and of one reader's deletes among them.

    `messages` are the cached states. `deleted` are surely deleted by the reader; of those above
    `deletes_floor` (None: of none) no others are.
    """

    messages: Mapping[int, Message] = field(default_factory=dict)
    deleted: frozenset[int] = frozenset()
    deletes_floor: int | None = None
    recovering: bool = False


@dataclass(frozen=True, slots=True)
class PendingEntry:
    message_id: int
    send_time: int


@dataclass(frozen=True, slots=True)
class CacheRun:
    """A start of the cache, perhaps without its last writes, or without anything.

    `is_settled`: somebody has made good what it lacked then. `has_held`: a consumer holds a
    partition, as `note_held` says.
    """

    id: str
    is_settled: bool
    has_held: bool = False


@dataclass(frozen=True, slots=True)
class SharedRate:
    """A rate that all processes count together, of what shares `key`; a rate of 0 lets all pass."""

    kind: str
    key: str  # without a colon, and short
    rate: float  # a second
    burst: int
