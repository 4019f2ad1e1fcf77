"""Promise the database of conversations and participants to the use cases.

A participant is changed under the lock of its row. Ids of conversations that the user has no part
in are left out of every answer.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from messaging.domain.conversations import Entry, Head, Mark, Participant
from messaging.domain.message import Message
from messaging.ports.store import CacheHint


@dataclass(frozen=True, slots=True)
class Span:
    """Name the rows of a conversation with a `seq` above one number, up to another one.

    At most `limit` of these rows are wanted: the newest ones, or with `from_oldest` the oldest.
    `up_to`: at most the conversation's `last_seq`.
    """

    conversation_id: str
    above: int
    up_to: int
    limit: int
    from_oldest: bool = False

    @property
    def bounds(self) -> tuple[int, int]:
        """Return the `seq` below the first wanted row, and that of the last one.

        `seq` is gap-free, so that a limit of rows is a limit of numbers.
        """
        if self.from_oldest:
            return self.above, min(self.up_to, self.above + self.limit)
        return max(self.above, self.up_to - self.limit), self.up_to


@dataclass(frozen=True, slots=True)
class Since:
    """Name what has changed in a conversation above one `rev`, up to another one."""

    conversation_id: str
    above: int
    up_to: int


@dataclass(frozen=True, slots=True)
class DeletedSince:
    """Hold a user's deletes in a conversation above a `rev` of the participant.

    `up_to`: the deletes are complete up to this `rev`.
    """

    message_ids: tuple[int, ...]
    up_to: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ParticipantFacts:
    """Hold what a change of a participant is decided by, read under the lock of its row.

    `pins`: how many conversations the user has pinned and is in, this one included.
    """

    participant: Participant
    head: Head
    pins: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Readers:
    """Hold a page of the members who have read a message, or have not.

    `read_count`: the members who have read the message. `member_count`: all members who could see
    it: in a group those whose floor is below the message. A clear of a private conversation hides
    nothing from its other party. The sender counts in neither, nor do those who show nobody what
    they have read. A member who last read before showing receipts again has not read the message.
    `user_ids`: by id, one more than the page if there are more.
    """

    read_count: int
    member_count: int
    user_ids: tuple[int, ...]


ChangeParticipant = Callable[[ParticipantFacts], Participant]


class ConversationStore(Protocol):
    """Keep conversations and participants in the database.

    Raises: StoreUnavailable, from every method, when the database cannot take a call now; a change
    may have been done then, and may be repeated.
    """

    async def listing(
        self, user_id: int, conversation_ids: Sequence[str] | None = None
    ) -> list[Entry]:
        """Return the user's conversations, all or these, those that the user is out of as well.

        Each entry is of one moment but for the peer's position. Nothing is `listed`.
        """

    async def mark(
        self, marks: Sequence[Mark], *, now_ms: int
    ) -> dict[tuple[int, str], Participant]:
        """Raise positions as `marked` does, in one transaction; return the participants by key.

        At most one mark a participant may be given. A participant who is out, or absent, is left
        out of the answer and stays as it is.

        Safe to repeat.
        """

    async def change_participant(
        self, user_id: int, conversation_id: str, decide: ChangeParticipant
    ) -> Participant:
        """Change a participant as `decide` says, in one transaction, and return the participant.

        `decide` gives all columns but `rev`, which the store raises where a column differs. The
        errors of `decide` pass through, and nothing is written then.

        Raises: ConversationNotFound for a participant who is absent; StoreUnavailable.
        """

    async def change_hinted(
        self, user_id: int, conversation_id: str, decide: ChangeParticipant
    ) -> tuple[Participant, CacheHint]:
        """Change a participant like `change_participant`, and record a hint of the user's floors.

        One transaction does both. The hint is recorded also where nothing changes: nobody may have
        told the cache of an earlier change. Return the participant and the recorded hint.

        Raises: as `change_participant`.
        """

    async def spans(self, wanted: Sequence[Span]) -> dict[str, list[Message]]:
        """Return the rows of each span by conversation, in order of `seq`."""

    async def changes(self, wanted: Sequence[Since], *, limit: int) -> dict[str, list[Message]]:
        """Return changed messages by conversation, in order of `rev`, `limit` at most for each."""

    async def deletes_since(
        self, user_id: int, wanted: Sequence[Since], *, limit: int
    ) -> dict[str, DeletedSince]:
        """Return the user's deletes by conversation, `limit` at most for each, in order of `rev`.

        `Since` holds revisions of the participant here. Deletes of one `rev` are never parted, even
        where they exceed the limit.
        """

    async def count_unread(
        self, participants: Sequence[Participant], *, up_to: Mapping[str, int], most: int
    ) -> dict[str, int]:
        """Count the unread rows of one user's conversations, each up to a `seq`, `most` at most.

        Counted are rows above the participant's `read_seq` and `floor_id`, of others, that are not
        recalled, no notice, and not deleted by the user.
        """

    async def readers(self, message: Message, *, has_read: bool, after: int, limit: int) -> Readers:
        """Return the members of the message's conversation who have read it, or who have not.

        `after`: the user id that the page begins above. `limit`: the size of the page.
        """

    async def close(self) -> None: ...
