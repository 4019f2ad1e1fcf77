"""Promise the database of messages to the use cases and pipelines."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

from messaging.domain.breakers import Breaker
from messaging.domain.conversations import Floor
from messaging.domain.message import Message, SendKey
from messaging.ports.cache_service import LeaseRequest
from messaging.ports.cached import IdempotencyRecord
from messaging.ports.log import Position


@dataclass(frozen=True, slots=True)
class ApplyResult:
    """Hold the outcome of `MessageStore.apply`.

    `rows`: the rows of the given messages, in order of id.
    `duplicates`: the row of an earlier message, by the id of each message with the same sender,
    clientMsgId and body. Nothing of the duplicate was stored but its id as an alias
    (`MessageStore.find`). A tombstone among the duplicates recalls that row as well: the row
    is one of `rows` then. A message with another body is stored under its own id, whatever else has
    its clientMsgId.
    `deletes`: pairs of a user who had deleted a duplicate and the id of the row that the
    message was deduplicated into, which is deleted for the user now.
    `conflicts`: messages whose id belongs to the row of another message (two generators shared a
    worker id): nothing was stored and nothing overwritten.
    `fresh`: the ids of the rows that this call has inserted.
    """

    rows: tuple[Message, ...] = ()
    duplicates: Mapping[int, Message] = field(default_factory=dict)
    deletes: tuple[tuple[int, int], ...] = ()
    conflicts: tuple[Message, ...] = ()
    fresh: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True)
class CacheHint:
    """Name a row that the cache has to be given, or, with `user_id`, that user's delete of it.

    A hint with a `user_id` names the user's floors, too; `message_id` is 0 where it names nothing
    else.
    `hint_id`: the id of the hint in the store, where the hint was recorded already.
    """

    message_id: int
    user_id: int | None = None
    hint_id: int | None = None


@dataclass(frozen=True, slots=True)
class Tail:
    """Hold a conversation's newest rows, newest first, and its number of rows, at one moment."""

    rows: tuple[Message, ...]
    total: int


@dataclass(frozen=True, slots=True)
class Deletes:
    """Hold a user's newest deletes, complete above `floor` (0: these are all), and all floors.

    `floors`: by conversation, where the user has a floor.
    """

    message_ids: tuple[int, ...]
    floor: int
    floors: Mapping[str, Floor] = field(default_factory=dict)


class DeadLetterState(StrEnum):
    """Name a person's decision about a dead letter; until the decision it is OPEN."""

    OPEN = "OPEN"
    REPLAYED = "REPLAYED"
    DISCARDED = "DISCARDED"


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """Keep a record that could not be persisted, with its source and the reason."""

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
        """Return the record's position, by which one dead letter is told from another."""
        return Position(self.topic, self.partition, self.offset)


class MessageStore(Protocol):
    """Keep the messages in the database.

    Raises: StoreUnavailable, from every method, when the database cannot take a call now; the call
    may be repeated at will.
    """

    @property
    def breaker(self) -> Breaker:
        """Return the circuit breaker of this process; unless it is closed, calls fail at once."""

    async def apply(self, messages: Sequence[Message], *, hinted: bool = False) -> ApplyResult:
        """Join these states into their rows, in one transaction, and give new rows their `seq`.

        A state whose row is absent is inserted, any other is joined (`message.join`). The `seq`
        numbers of a conversation grow by one in the order of ids within a call, never have a gap
        and are never given twice. At most one state of a message may be given.

        `hinted`: record hints of the rows, too.

        Raises: BadData when the database refuses a value (bisect), StoreUnavailable (repeat).
        Leaves: nothing stored after BadData; after StoreUnavailable nothing, or everything with the
        answer lost.
        Safe to repeat, and to run from several processes at once.
        """

    async def get(self, message_ids: Sequence[int]) -> dict[int, Message]:
        """Return the rows under these ids themselves, by id; no alias is followed."""

    async def find(self, message_ids: Sequence[int]) -> dict[int, Message]:
        """Return under each of these ids its row, or the row that it was deduplicated into.

        An id that a client was told leads to its message for ever by this method, and not by `get`.
        """

    async def page(self, conversation_id: str, *, before: int | None, limit: int) -> list[Message]:
        """Return the rows with an id below `before`, newest first, `limit` at most."""

    async def nth_visible(
        self, conversation_id: str, *, reader_id: int, before: int, count: int, above: int = 0
    ) -> int | None:
        """Return the id of the `count`-th row below `before`, counted from the newest.

        Rows that the reader has deleted, and rows with an id of `above` or less, do not count.
        Return None when there are fewer rows. Only the ids of the rows are read.
        """

    async def tail(self, conversation_id: str, *, limit: int) -> Tail: ...

    async def find_idempotency_records(
        self, sends: Sequence[SendKey]
    ) -> dict[SendKey, IdempotencyRecord]:
        """Return for each of these sends the idempotency record that its clientMsgId stands for.

        The idempotency record is that of the message with the same body, where there is one: the
        send repeats that message. Else the idempotency record is that of the first message with
        another body, if that message is stored.
        """

    async def reserve(self, messages: Sequence[Message]) -> dict[int, IdempotencyRecord]:
        """Reserve the keys of new messages whose idempotency records the cache cannot take.

        Return by the ids of these messages the idempotency records of others on the keys, as
        `find_idempotency_records` does. A key whose message never arrives is taken over by the
        repeat that does arrive.

        Safe to repeat.
        """

    async def delete_for_user(
        self,
        user_id: int,
        message_ids: Sequence[int],
        conversation_id: str,
        *,
        repeat: Message | None = None,
    ) -> list[int]:
        """Hide messages of a conversation, stored or not yet, from one user.

        Return the ids that are hidden. Each new delete raises the `rev` of the user's participant,
        and has that `rev`; 0 where the user has no participant yet.

        `repeat`: one of these messages, which had no row when it was read. If the key of its send
        names another message by now, that message is hidden as well. Else the key is reserved for
        the repeat, so that a retry without the cache takes this id and stays hidden.

        Order: the given ids first, and durably, because a message that is deduplicated from then on
        hands its delete over.

        Leaves: perhaps a part hidden after StoreUnavailable. Safe to repeat.
        """

    async def deleted_among(self, user_id: int, message_ids: Sequence[int]) -> set[int]: ...

    async def deletes_of(self, user_id: int, *, limit: int) -> Deletes: ...

    async def floors_of(
        self, user_id: int, conversation_id: str | None = None
    ) -> Mapping[str, Floor]:
        """Return the user's floor in a conversation, or the floors in all, by conversation.

        A conversation without a floor is left out.
        """

    async def record_hints(self, hints: Sequence[CacheHint]) -> None:
        """Record hints of the cache, durably when the call returns."""

    async def hints(self, *, limit: int) -> list[CacheHint]:
        """Return the recorded hints, each with its `hint_id`, the oldest first."""

    async def drop_hints(self, hints: Sequence[CacheHint]) -> None:
        """Drop these hints.

        A hint that was recorded meanwhile for the same row stays.

        Safe to repeat.
        """

    async def announce_loss(self, process: str, ttl_s: float) -> None:
        """Announce to all processes, for `ttl_s`, that this process has lost the cache.

        Safe to repeat: a repeat renews the announcement.
        """

    async def withdraw_loss(self, process: str) -> None:
        """Withdraw the announcement of this process. Safe to repeat."""

    async def is_loss_announced(self, *, besides: str) -> bool:
        """Tell whether a process other than `besides` announces that it has lost the cache."""

    async def save_dead_letters(self, letters: Sequence[DeadLetter]) -> None:
        """Store dead letters, one for each source position.

        Safe to repeat.
        """

    async def settle_dead_letters(
        self, sources: Sequence[Position], state: DeadLetterState
    ) -> None:
        """Store the decision about the dead letters of these sources.

        Safe to repeat.
        """

    async def take_worker(self, request: LeaseRequest) -> int | None:
        """Lease a worker id as `MessageCache.take_worker` does, while Redis is away."""

    async def ping(self) -> None: ...

    async def close(self) -> None: ...
