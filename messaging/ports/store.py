"""The database of messages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

from messaging.domain.breakers import Breaker
from messaging.domain.events import Message, SendKey
from messaging.ports.cached import Claim
from messaging.ports.log import Position


@dataclass(frozen=True, slots=True)
class ApplyResult:
    """What the database holds after `MessageStore.apply`.

    `rows` are the rows of the given messages, in order of id. `folded` maps the id of each message
    whose sender, clientMsgId and body are those of an earlier one to that one's row; of it nothing
    was stored but its id as an alias (`MessageStore.find`). A tombstone among them recalls that row
    as well: it is one of `rows` then. With another body a message is stored under its own id,
    whatever else has its clientMsgId. `deletes` are pairs of a user who had
    deleted a folded message and that row, which is deleted for the user now. `conflicts` are
    messages whose id belongs to a row of another message (two generators shared a worker id):
    nothing was stored and nothing overwritten.
    """

    rows: tuple[Message, ...] = ()
    folded: Mapping[int, Message] = field(default_factory=dict)
    deletes: tuple[tuple[int, int], ...] = ()
    conflicts: tuple[Message, ...] = ()


@dataclass(frozen=True, slots=True)
class Arrear:
    """The cache has to be told of this row; with a `user_id`, that this user has deleted it.

    `note_id` tells one note from another, where it was noted already.
    """

    message_id: int
    user_id: int | None = None
    note_id: int | None = None


@dataclass(frozen=True, slots=True)
class Tail:
    """A conversation's newest rows, newest first, and the number of all its rows, at one moment."""

    rows: tuple[Message, ...]
    total: int


@dataclass(frozen=True, slots=True)
class Deletes:
    """A user's newest deletes; complete above `floor` (0: these are all)."""

    message_ids: tuple[int, ...]
    floor: int


class DeadLetterState(StrEnum):
    """What a person has decided about a dead letter; until then it is OPEN."""

    OPEN = "OPEN"
    REPLAYED = "REPLAYED"
    DISCARDED = "DISCARDED"


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A record that could not be persisted, with where it came from and why."""

    topic: str
    partition: int
    offset: str
    key: bytes
    value: bytes
    reason: str
    error: str
    attempts: int = 1
    message_id: int | None = None

    @property
    def source(self) -> Position:
        """Where the record came from; it tells one dead letter from another."""
        return Position(self.topic, self.partition, self.offset)


class MessageStore(Protocol):
    """The database. Raises StoreUnavailable when it cannot take a call now (repeat it at will)."""

    @property
    def breaker(self) -> Breaker:
        """Return the circuit breaker of this process; unless it is closed, calls fail at once."""

    async def apply(self, messages: Sequence[Message], *, owed: bool = False) -> ApplyResult:
        """Join these states into their rows, in one transaction, giving new rows their `seq`.

        With `owed` that also notes the rows as arrears of the cache.

        Insert if absent, else join (`events.join`); `seq` numbers of a conversation grow by one in
        the order of ids within a call, never have a gap and are never given twice. Idempotent and
        safe to run from several processes at once. Expects one state a message id. Raises BadData
        when the database refuses a value (nothing is stored; bisect), StoreUnavailable (nothing is
        stored, or everything is and the answer was lost; repeat).
        """

    async def get(self, message_ids: Sequence[int]) -> dict[int, Message]:
        """Return the rows of these ids themselves."""

    async def find(self, message_ids: Sequence[int]) -> dict[int, Message]:
        """Return under each of these ids its row, or the row that it was folded into.

        An id that a client was told leads to its message for ever by this, and not by `get`.
        """

    async def page(self, conversation_id: str, *, before: int | None, limit: int) -> list[Message]:
        """Rows with an id below `before`, newest first."""

    async def nth_visible(
        self, conversation_id: str, *, reader_id: int, before: int, count: int
    ) -> int | None:
        """The id of the `count`-th row below `before`, newest first, without the reader's deletes.

        None: there are fewer. No row is read for it but its id.
        """

    async def tail(self, conversation_id: str, *, limit: int) -> Tail: ...

    async def find_claims(self, sends: Sequence[SendKey]) -> dict[SendKey, Claim]:
        """Return what the sender's clientMsgId of each of these sends stands for.

        The message with the same body, where there is one: the send repeats it. Else the first one
        with another body, if it is stored.
        """

    async def reserve(self, messages: Sequence[Message]) -> dict[int, Claim]:
        """Reserve the keys of new messages that the cache cannot claim. Idempotent.

        Return by the ids of these messages the claims of others that stand in their way, as
        `find_claims` does. A key whose message never arrives is taken over by the repeat that does.
        """

    async def delete_for_user(self, user_id: int, message_id: int) -> None:
        """Hide a message, stored or not yet, from one user. Idempotent."""

    async def delete_owner(self, user_id: int, message: Message) -> int | None:
        """Hide what this message was folded into, if it was; returns that row's id. Idempotent.

        After `delete_for_user`: a message that is folded from then on hands its delete over.
        """

    async def deleted_among(self, user_id: int, message_ids: Sequence[int]) -> set[int]: ...

    async def deletes_of(self, user_id: int, *, limit: int) -> Deletes: ...

    async def note_arrears(self, arrears: Sequence[Arrear]) -> None:
        """Remember what the cache has to be told, durably when this returns."""

    async def arrears(self, *, limit: int) -> list[Arrear]:
        """What was noted and not dropped, each with its `note_id`, the oldest first."""

    async def drop_arrears(self, arrears: Sequence[Arrear]) -> None:
        """Forget these notes; one that was made meanwhile about the same row stays. Idempotent."""

    async def save_dead_letters(self, letters: Sequence[DeadLetter]) -> None:
        """Keep dead letters, once a source position however often it is said."""

    async def settle_dead_letters(
        self, sources: Sequence[Position], state: DeadLetterState
    ) -> None:
        """Note what was decided about the dead letters of these sources. Idempotent."""

    async def take_worker(
        self, node: int, owner: str, ttl_s: float, *, now_ms: int, until_ms: int
    ) -> int | None:
        """As MessageCache.take_worker, for when Redis is away."""

    async def ping(self) -> None: ...

    async def close(self) -> None: ...
