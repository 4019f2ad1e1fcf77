"""Describe the cache's answers: idempotency records, tails, pending ids and rates."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum

from messaging.domain.conversations import NO_FLOOR, Floor
from messaging.domain.message import Message


@dataclass(frozen=True, slots=True)
class IdempotencyRecord:
    """Name the send that a (sender, clientMsgId) stands for: the first, with its body's hash.

    `is_stored`: False when the store has the key reserved, and no row of that message. The message
    may be under way or have failed, and a repeat of the send takes that message's id.
    """

    message_id: int
    body_hash: str
    is_stored: bool = field(default=True, compare=False)

    @classmethod
    def of(cls, message: Message) -> IdempotencyRecord:
        """Return the idempotency record of this message, as the first of its send."""
        return cls(message.id, message.body_hash)


@dataclass(frozen=True, slots=True)
class RateLimited:
    """Refuse a message whose sender has sent too much; nothing of the message is written."""

    wait_s: float


class PendingFull(Enum):
    """Refuse a message because too much is pending; nothing of the message is written."""

    FULL = "full"


@dataclass(frozen=True, slots=True)
class Guarded:
    """Refuse a group's message, because a right in the group may have shrunk; nothing is written.

    `score`: to be asked after, see `GroupAccess.asked_after`; 0 where no right is in doubt.
    `not_before_ms`: the message needs an id of a later time; 0 where any id will do.
    """

    score: int
    not_before_ms: int = 0


Verdict = IdempotencyRecord | RateLimited | PendingFull | Guarded | None


@dataclass(frozen=True, slots=True)
class CachedTail:
    """Hold the cached part of a conversation's tail, without the messages its reader deleted.

    `messages`: newest first, with ids below `before`, each at its latest cached state.
    `missing`: the ids listed in the same range without a cached state.
    `end`: the lowest id down to which the list was read, where the list goes on; None: read to its
    end.
    `floor`: when not None, `messages` and `missing` together hold every message of the conversation
    whose id is above `floor` and below `before`, down to `end`.
    `total`: the number of messages in the whole conversation, when `floor` is not None.
    `deletes_floor`: the reader's deletes above this id are known; None: not even those for sure.
    Other messages that the reader deleted may be in the tail.
    `recovering`: the cache was away or emptied just now, and may lack messages that are not stored.
    `guard`: the newest score of the guard for this reader, 0 where there is none or it is past.
    `cleared`: the reader's floor in this conversation; None where `deletes_floor` is None.
    """

    messages: tuple[Message, ...] = ()
    missing: tuple[int, ...] = ()
    end: int | None = None
    floor: int | None = None
    total: int | None = None
    deletes_floor: int | None = None
    recovering: bool = False
    guard: int = 0
    cleared: Floor | None = None


@dataclass(frozen=True, slots=True)
class ReaderView:
    """Hold the cached states of some messages, and one reader's deletes among them.

    `messages`: the cached states, by id.
    `deleted`: ids that the reader has surely deleted.
    `deletes_floor`: above this id the reader has deleted no others of these messages; None: at any
    id the reader may have deleted others.
    `recovering`: as in `CachedTail`.
    `guards`: the scores of the guard for this reader that are not past, by the ids of the group
    messages that were found.
    `floors`: the reader's floors, by the ids of the messages that were found; one without a floor
    is left out.
    """

    messages: Mapping[int, Message] = field(default_factory=dict)
    deleted: frozenset[int] = frozenset()
    deletes_floor: int | None = None
    recovering: bool = False
    guards: Mapping[int, int] = field(default_factory=dict)
    floors: Mapping[int, Floor] = field(default_factory=dict)

    def cleared(self, message_id: int) -> Floor | None:
        """Return the reader's floor in the conversation of a message; None where it is not known.

        The cache knows no floor for a message that was not found, and none without knowing the
        reader's deletes.
        """
        if self.deletes_floor is None or message_id not in self.messages:
            return None
        return self.floors.get(message_id, NO_FLOOR)


@dataclass(frozen=True, slots=True)
class PendingEntry:
    message_id: int
    send_time: int


@dataclass(frozen=True, slots=True)
class Incarnation:
    """Describe a start of the cache's server, which may lack its last writes, or everything.

    `is_recovered`: a process has written to the cache all that the cache lacked at this start.
    `age_s`: the time since the first heartbeat of this start.
    `has_held`: a consumer has a held partition, as `note_held` says.
    `is_vouched`: another named process writes heartbeats, so that process believes the cache.
    `pending_bytes`: of the messages that the store does not have yet.
    """

    id: str
    is_recovered: bool
    age_s: float
    has_held: bool = False
    is_vouched: bool = False
    pending_bytes: int = 0


@dataclass(frozen=True, slots=True)
class SharedRate:
    """Describe a rate that all processes count together, for each `key`.

    A rate of 0 lets every request pass.
    """

    kind: str
    key: str  # without a colon, and short
    rate: float  # a second
    burst: int
