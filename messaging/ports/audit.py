"""What an audit may look at and mend, whatever stands behind it: ports beside those of a send.

An audit reads everything that there is, in pieces that fit in memory, while the service runs: what
it reads is of slightly different moments, and it is its own task to look again. Like all ports they
are asynchronous, raise the `BackendError`s of their kind, and end each call in bounded time.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

from messaging.domain.events import Message
from messaging.ports.cached import Claim
from messaging.ports.log import Position, Record
from messaging.ports.store import DeadLetterState, Deletes

Item = TypeVar("Item")
Pieces = AsyncIterator[tuple[float, list[Item]]]

# --- the log --------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Extent:
    """How far a partition reaches: `start` <= `committed` <= `end`.

    Each is a place between two records, in the broker's own terms, to be given to `read`. Between
    `start` and `committed` lies what the consumer has done with and the log still keeps; behind it,
    up to `end`, is the tail that the consumer has not committed.
    """

    partition: int
    start: str
    committed: str
    end: str


@dataclass(frozen=True, slots=True)
class Piece:
    """Some records, and the place behind them."""

    records: tuple[Record, ...]
    next: str


class LogInspector(Protocol):
    """Reads the log beside the group of its consumers: joins nothing, commits nothing."""

    async def extents(self, *, since_ms: int | None = None) -> list[Extent]:
        """Every partition as it is now; with `since_ms`, `start` leaves out what is older."""

    async def is_committed(self, places: Mapping[int, str]) -> bool:
        """Tell whether the group has committed up to each partition's place, or past the place."""

    async def read(self, partition: int, *, start: str, until: str, max_records: int) -> Piece:
        """The records from one place on, in order; empty, with `next` = `until`, at the end.

        An unreadable record has `value=None`. Raises LogUnavailable; the same call may be repeated.
        """

    async def close(self) -> None:
        """Idempotent."""


# --- the cache ------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class CachedClaim:
    """A (sender, clientMsgId) in the cache, and the message that it stands for."""

    key: tuple[int, str]
    message_id: int
    body_hash: str


@dataclass(frozen=True, slots=True)
class LoadedTail:
    """A list that says of itself that it is complete above `floor`; `base` counts the rest."""

    ids: tuple[int, ...]  # newest first
    floor: int
    base: int


class CacheInspector(Protocol):
    """Walks the keys of the cache, each kind in pieces.

    With each piece comes how far the walk is, about (0 to 1). What is there from the walk's
    beginning to its end is met, once at least; what comes or goes meanwhile may be. Raises
    CacheUnavailable.
    """

    def details(self) -> Pieces[Message]: ...

    def claims(self) -> Pieces[CachedClaim]: ...

    async def claimed(self, claims: Sequence[tuple[int, str]]) -> dict[tuple[int, str], int]:
        """The message ids that these (sender, clientMsgId) pairs stand for, where there is one."""

    def recall_marks(self) -> Pieces[int]:
        """The ids of marked messages."""

    def loaded(self) -> Pieces[str]:
        """The conversations that have a loaded mark."""

    def deleters(self) -> Pieces[int]:
        """The users of whose deletes something is cached."""

    async def deletes(self, user_id: int) -> Deletes | None:
        """The cached deletes, of one moment; None where nobody knows how far they are complete."""

    async def unlisted(self, messages: Sequence[Message]) -> list[int]:
        """The ids of those that their conversation's list lacks."""

    async def tail(self, conversation_id: str) -> LoadedTail | None:
        """The list and its mark, of one moment; None where it does not claim to be complete."""

    async def pending_among(self, message_ids: Sequence[int]) -> dict[int, int]:
        """The send times (ms) of the pending ones among these ids."""

    async def forget(self, message_ids: Sequence[int]) -> None:
        """Drop details, for the store has them; one that does not age is left. Idempotent."""

    async def unload(self, conversation_id: str, *, strangers: Sequence[int] = ()) -> None:
        """Drop the loaded mark, so that the next reader fills the list anew, and these ids from the
        list, but for pending ones. Idempotent."""

    async def forget_deletes(self, user_id: int) -> None:
        """Drop a user's cached deletes: the next reader fetches them anew. Idempotent."""

    async def close(self) -> None: ...


# --- the store ------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class StoredRow:
    """A row with what a `Message` does not carry; `key` is what its clientMsgId stands for."""

    message: Message
    persist_status: str
    key: Claim | None


@dataclass(frozen=True, slots=True)
class Numbering:
    """What a conversation says of its numbers, and what its rows do, at one moment."""

    last_seq: int
    rows: int
    distinct: int
    highest: int


class StoreInspector(Protocol):
    """Reads the tables by primary key. Raises StoreUnavailable."""

    async def newest_id(self) -> int:
        """0 where nothing is stored."""

    async def rows_after(self, message_id: int, *, limit: int) -> list[StoredRow]:
        """Rows with a larger id, in order of id."""

    async def rows(self, message_ids: Sequence[int]) -> list[StoredRow]:
        """The rows among these, in order of id."""

    async def letters(self, message_ids: Sequence[int]) -> dict[int, frozenset[DeadLetterState]]:
        """The states of the dead letters of these messages, where there are any."""

    async def kept(self, sources: Sequence[Position]) -> set[Position]:
        """Those among these of which there is a dead letter."""

    async def conversations_after(
        self, conversation_id: str, *, limit: int
    ) -> list[tuple[str, int, int]]:
        """The next conversations in order of id: each id, last number and last message.

        All of them, new messages or not: to look for those in one statement could read the whole
        table in it.
        """

    async def numberings(self, conversation_ids: Sequence[str]) -> dict[str, Numbering]:
        """Takes a while for long conversations: ask for few of those at once."""

    async def mark_rows(self, message_ids: Sequence[int]) -> None:
        """Set `persist_status` to PERSISTED, which every row is. Idempotent."""

    async def blank_tombstones(self, message_ids: Sequence[int]) -> None:
        """Take what they said out of recalled rows; others stay as they are. Idempotent."""

    async def restore_keys(self, messages: Sequence[Message]) -> None:
        """Write the keys of stored messages that have none; one that is taken stays. Idempotent."""

    async def close(self) -> None: ...
