"""Define what one user keeps of a conversation, and the numbers that tell what has changed.

Pure. Times are milliseconds since 1970. Two copies of a state are joined, so that an older copy
never undoes a newer one: numbers by their maximum, and what a user has set by `Participant.rev`.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import msgspec
from msgspec.structs import replace

from messaging.domain.groups import FOR_GOOD, OutReason
from messaging.domain.ids import is_group, parties_of


class Participant(msgspec.Struct, frozen=True, kw_only=True, gc=False, array_like=True):
    """Hold a user's place in a conversation: what the user may see, has read and has set.

    `rev` counts the changes of the row that the user's other devices are told; a `delivered_seq`
    that rises is none. `floor_id`: no message at or below this id is shown to the user.
    `floor_seq`: the conversation's `last_seq` when the floor was set. `muted_until`: 0 where the
    user wants to be told of new messages, FOR_GOOD for a mute without an end. `hidden_id`: the
    conversation is hidden until a message has a larger id; None where it is not hidden.
    """

    rev: int = 0
    delivered_seq: int = 0
    user_id: int
    conversation_id: str
    is_in: bool = True
    out_reason: OutReason | None = None
    floor_id: int = 0
    floor_seq: int = 0
    read_seq: int = 0
    read_time: int | None = None
    pin_time: int | None = None
    muted_until: int = 0
    hidden_id: int | None = None
    is_marked_unread: bool = False

    @property
    def floor(self) -> Floor:
        return Floor(self.floor_id, self.floor_seq)

    @property
    def position(self) -> Peer:
        """Return what the other party of a private conversation may be shown."""
        return Peer(
            read_seq=self.read_seq,
            delivered_seq=self.delivered_seq,
            read_time=self.read_time or 0,
        )

    def is_muted(self, now_ms: int) -> bool:
        return self.muted_until == FOR_GOOD or self.muted_until > now_ms


class Floor(msgspec.Struct, frozen=True, gc=False):
    """Hold a reader's floor in a conversation, as `Participant` has it; floors never sink.

    `id`: no message at or below this id is shown to the reader. `seq`: `floor_seq`.
    """

    id: int = 0
    seq: int = 0

    def joined(self, other: Floor) -> Floor:
        """Return the higher one of two floors."""
        return other if other.id > self.id else self


NO_FLOOR = Floor()
NEVER: Final = 2**63 - 1  # the time from which a user shows receipts who hides them


class Head(msgspec.Struct, frozen=True, kw_only=True, gc=False, array_like=True):
    """Hold the last numbers of a conversation: of its messages, of their changes, and an id."""

    last_seq: int = 0
    last_rev: int = 0
    last_id: int = 0


class Peer(msgspec.Struct, frozen=True, kw_only=True, gc=False, array_like=True):
    """Hold how far the other party of a private conversation has read it, and has got it.

    `read_time`: when `read_seq` last rose; 0 where nobody noted the time.
    """

    read_seq: int = 0
    delivered_seq: int = 0
    read_time: int = 0

    def is_shown(self, receipts_from: int) -> bool:
        """Tell whether a party who shows receipts from this time on shows these positions."""
        return self.read_time >= receipts_from


class Listed(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """Hold what the cache lists of a conversation: the largest id, and the largest pending one.

    Both are 0 where no message of the site is pending: nothing is newer than the head then. In a
    user's list they are 0 as well where nothing is listed above the head, and nothing is pending.
    `pending_id`: of the newest listed messages; 0 where none of them is pending.
    """

    newest_id: int = 0
    pending_id: int = 0


class Entry(msgspec.Struct, frozen=True, kw_only=True, gc=False, array_like=True):
    """Hold one conversation of a user's list.

    `peer`: None in groups, and in the conversation with oneself.
    """

    participant: Participant
    head: Head = Head()
    peer: Peer | None = None
    listed: Listed = Listed()

    @property
    def conversation_id(self) -> str:
        return self.participant.conversation_id

    @property
    def activity(self) -> int:
        """Return the id by which the conversation has its place in the list."""
        return max(self.head.last_id, self.listed.newest_id)

    @property
    def has_pending(self) -> bool:
        """Tell whether one of the newest messages is pending, as far as the cache knows.

        A message may be pending below a stored one: a notice is stored at once.
        """
        return self.listed.pending_id > 0 or self.listed.newest_id > self.head.last_id

    @property
    def place(self) -> Place:
        return Place(self.participant.pin_time or 0, self.activity, self.conversation_id)

    @property
    def is_hidden(self) -> bool:
        hidden_id = self.participant.hidden_id
        return hidden_id is not None and self.activity <= hidden_id


class Mark(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Say how far a user has read a conversation, and has got it; reading implies delivery.

    `ends_unread`: the user looks at the conversation, which ends the user's own mark as unread.
    """

    user_id: int
    conversation_id: str
    read_seq: int = 0
    delivered_seq: int = 0
    ends_unread: bool = True

    @property
    def seat(self) -> tuple[int, str]:
        return self.user_id, self.conversation_id


class Place(NamedTuple):
    """Name a place in the list: of a pinned conversation by its pin, then by activity.

    `pin_time`: 0 where the conversation is not pinned.
    """

    pin_time: int
    activity: int
    conversation_id: str


class UnreadMemo(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """Hold a number of unread messages, and the state of the conversation that it was counted for.

    `seq`, `rev`: of the head. `own_rev`: of the participant.
    """

    seq: int
    rev: int
    own_rev: int
    count: int

    def counts_for(self, entry: Entry) -> bool:
        head, own_rev = entry.head, entry.participant.rev
        return (self.seq, self.rev, self.own_rev) == (head.last_seq, head.last_rev, own_rev)


def peer_of(conversation_id: str, user_id: int) -> int | None:
    """Return the other party of a private conversation; None in a group and with oneself."""
    if is_group(conversation_id):
        return None
    return next(iter(parties_of(conversation_id) - {user_id}), None)


def joint_mark(one: Mark, other: Mark) -> Mark:
    """Return the mark that says what both marks of one participant say."""
    return replace(
        one,
        read_seq=max(one.read_seq, other.read_seq),
        delivered_seq=max(one.delivered_seq, other.delivered_seq),
        ends_unread=one.ends_unread or other.ends_unread,
    )


def marked(participant: Participant, mark: Mark, *, last_seq: int, now_ms: int) -> Participant:
    """Return the participant after a mark; a mark beyond `last_seq` counts up to there."""
    read_seq = max(participant.read_seq, min(mark.read_seq, last_seq))
    delivered_seq = max(participant.delivered_seq, read_seq, min(mark.delivered_seq, last_seq))
    stays_unread = participant.is_marked_unread and not mark.ends_unread
    is_changed = read_seq > participant.read_seq or participant.is_marked_unread > stays_unread
    return replace(
        participant,
        rev=participant.rev + is_changed,
        read_seq=read_seq,
        delivered_seq=delivered_seq,
        read_time=now_ms if read_seq > participant.read_seq else participant.read_time,
        is_marked_unread=stays_unread,
    )
