"""Promise what an audit may read and mend, in ports beside those of a send.

An audit reads everything that there is, in pieces that fit in memory, while the service runs. The
pieces are of slightly different moments, and to read again is the task of the audit. Like all
ports, these are asynchronous, raise the `BackendError`s of their kind, and end each call in bounded
time.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

from messaging.domain.message import Key, Message
from messaging.ports.cached import IdempotencyRecord
from messaging.ports.log import Position, Record
from messaging.ports.store import DeadLetterState, Deletes

HINTS_SEARCHED = 100_000  # hints have no index by message

Item = TypeVar("Item")
Pieces = AsyncIterator[tuple[float, Sequence[Item]]]

# --- the log --------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Extent:
    """Describe how far a partition reaches: `start` <= `committed` <= `end`.

    Each bound is a place between two records, in the broker's own terms, to be given to `read`. The
    records between `start` and `committed` are done with by the consumer, and still kept by the
    log. The records between `committed` and `end` are the tail that the consumer has not committed.
    """

    partition: int
    start: str
    committed: str
    end: str


@dataclass(frozen=True, slots=True)
class Piece:
    """Hold some records, and the place behind them."""

    records: tuple[Record, ...]
    next: str


@dataclass(frozen=True, slots=True)
class Lag:
    """Describe the records of a partition that the consumers' group has not committed.

    `records`: their number. A large number may include committed records that the log still keeps.
    `oldest_ms`: the time at which the first of these records was appended; None without a record,
    and where the record cannot be read.
    """

    partition: int
    records: int
    oldest_ms: int | None


class LogInspector(Protocol):
    """Read the log beside the group of its consumers: join nothing, commit nothing."""

    async def lags(self) -> list[Lag]:
        """Return the lag of every partition as it is now."""

    async def retention_s(self) -> float | None:
        """Return how long the log keeps a record; None where no record ends uncommitted."""

    async def members(self) -> int:
        """Return the number of the readers that the consumers' group has now."""

    async def extents(self, *, since_ms: int | None = None) -> list[Extent]:
        """Return the extent of every partition as it is now.

        `since_ms`: `start` leaves out the records before this time, but none behind `committed`.
        """

    async def is_committed(self, places: Mapping[int, str]) -> bool:
        """Tell whether the group has committed up to each partition's place, or past the place."""

    async def read(self, partition: int, *, start: str, until: str, max_records: int) -> Piece:
        """Return the records from one place on, in order.

        At the end the piece is empty, with `next` = `until`. An unreadable record has `value=None`.

        Raises: LogUnavailable; the same call may be repeated.
        """

    def partition_of(self, conversation_id: str) -> int:
        """Return the partition of a conversation's records, as the writing end chooses it."""

    async def close(self) -> None:
        """Close the connection.

        Safe to repeat.
        """


# --- the cache ------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class LoadedTail:
    """Hold a list that is marked as complete above `floor`; `base` counts the other messages."""

    ids: tuple[int, ...]  # newest first
    floor: int
    base: int


@dataclass(frozen=True, slots=True)
class PendingSet:
    """Describe all pending messages: their number, their bytes, and the oldest send time (ms)."""

    count: int
    bytes: int
    oldest_ms: int | None  # None where nothing is pending


@dataclass(frozen=True, slots=True)
class CacheServer:
    """Hold the numbers of the cache's server on which the promises of the service rest.

    `limit_bytes`: 0 where the server has no limit. `evicted` and `aof_delayed` count since the
    start of the server.
    """

    memory_bytes: int
    limit_bytes: int
    evicted: int
    aof_delayed: int
    replicas: int


class CacheInspector(Protocol):
    """Walk the keys of the cache, each kind in pieces, and read the state of its server.

    Each piece comes with the progress of the walk, about (0 to 1). A key that is there from the
    walk's beginning to its end is met at least once; a key that comes or goes meanwhile may be met.

    Raises: CacheUnavailable.
    """

    async def ping(self) -> None:
        """Return when the server answers."""

    async def clock_ms(self) -> int:
        """Return the time (ms since 1970) by the server's clock."""

    async def server(self) -> CacheServer: ...

    async def pending_set(self) -> PendingSet: ...

    def details(self) -> Pieces[Message]: ...

    def idempotency_records(self) -> Pieces[tuple[Key, IdempotencyRecord]]: ...

    async def recorded_ids(self, sends: Sequence[Key]) -> dict[Key, int]:
        """Return the message ids that these (sender, clientMsgId) pairs stand for, if any."""

    def recall_marks(self) -> Pieces[int]:
        """Return the ids of the messages that have a recall mark."""

    def loaded(self) -> Pieces[str]:
        """Return the ids of the conversations that have a loaded mark."""

    def deleters(self) -> Pieces[int]:
        """Return the ids of the users who have cached deletes."""

    def listers(self) -> Pieces[int]:
        """Return the ids of the users who have a cached list of conversations."""

    async def deletes(self, user_id: int) -> Deletes | None:
        """Return the cached deletes and floors of a user, of one moment.

        Return None where it is not known how far the deletes are complete.
        """

    async def unlisted(self, messages: Sequence[Message]) -> list[int]:
        """Return the ids of the messages that their conversation's list lacks."""

    async def tail(self, conversation_id: str) -> LoadedTail | None:
        """Return the list of a conversation and its loaded mark, of one moment.

        Return None where the list is not marked as complete.
        """

    async def pending_among(self, message_ids: Sequence[int]) -> dict[int, int]:
        """Return the send times (ms) of the pending messages among these ids, by id."""

    async def forget(self, message_ids: Sequence[int]) -> None:
        """Drop the details of these messages, which the store has.

        A detail that does not age is left.

        Safe to repeat.
        """

    async def unload(self, conversation_id: str, *, orphans: Sequence[int] = ()) -> None:
        """Drop the loaded mark, and take these ids from the list, but for pending ones.

        The next reader fills the list anew.

        Safe to repeat.
        """

    async def forget_deletes(self, user_id: int) -> None:
        """Drop a user's cached deletes; the next reader fetches them anew.

        Safe to repeat.
        """

    async def close(self) -> None: ...


# --- the store ------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class StoredRow:
    """Hold a row with the columns that a `Message` does not carry.

    `key`: the idempotency record that the row's clientMsgId stands for. `change`: the `rev` of the
    message's row of changes, 0 without one. `last_rev`: that of the conversation, 0 without a row.
    """

    message: Message
    persist_status: str
    key: IdempotencyRecord | None
    change: int
    last_rev: int


@dataclass(frozen=True, slots=True)
class Numbering:
    """Hold a conversation's last number, and the numbers of its rows, at one moment.

    `rows` counts the rows, `distinct` their different numbers; `highest` is their largest number.
    """

    last_seq: int
    rows: int
    distinct: int
    highest: int


@dataclass(frozen=True, slots=True)
class Letters:
    """Count dead letters; `oldest_ms` is the time at which the oldest of them was set aside."""

    count: int
    oldest_ms: int


@dataclass(frozen=True, slots=True)
class Mentions:
    """Tell where the tables name a message beside its own row.

    `owner`: the id of the message that the id is an alias of; None for no alias. `deletes`: how
    many users have deleted the message. `hints`: how many hints of the row, or of a delete of the
    row, are among the oldest HINTS_SEARCHED.
    """

    owner: int | None
    deletes: int
    hints: int


class StoreInspector(Protocol):
    """Read and mend the tables by primary key.

    Raises: StoreUnavailable.
    """

    async def ping(self) -> None:
        """Return when the database answers."""

    async def clock_ms(self) -> int:
        """Return the time (ms since 1970) by the database's clock."""

    async def letters_by_state(self) -> dict[DeadLetterState, Letters]:
        """Return the dead letters of each state that has any."""

    async def hints_noted(self) -> int:
        """Return the number of hints that the database holds for the cache."""

    async def newest_id(self) -> int:
        """Return the largest stored message id; 0 where nothing is stored."""

    async def rows_after(self, message_id: int, *, limit: int) -> list[StoredRow]:
        """Return the rows with a larger id, in order of id, `limit` at most."""

    async def rows(self, message_ids: Sequence[int]) -> list[StoredRow]:
        """Return the stored rows of these ids, in order of id."""

    async def letters(self, message_ids: Sequence[int]) -> dict[int, frozenset[DeadLetterState]]:
        """Return the states of the dead letters of these messages, by id, where there are any."""

    async def mentions(self, message_id: int) -> Mentions:
        """Return where the tables name this message beside its own row."""

    async def records_named(self, send: Key, *, limit: int) -> list[IdempotencyRecord]:
        """Return the idempotency records of this sender's clientMsgId, in order of message id.

        There is a record for each body, stored or reserved, `limit` at most.
        """

    async def kept(self, sources: Sequence[Position]) -> set[Position]:
        """Return the sources among these that have a dead letter."""

    async def conversations_after(
        self, conversation_id: str, *, limit: int
    ) -> list[tuple[str, int, int]]:
        """Return the next conversations in order of id: id, last number and last message id.

        All conversations are returned, with new messages or without: a statement that looks for
        those with new messages alone could read the whole table.
        """

    async def numberings(self, conversation_ids: Sequence[str]) -> dict[str, Numbering]:
        """Return the numberings of these conversations, by id.

        Long conversations take a while: ask for few of those at once.
        """

    async def mark_rows(self, message_ids: Sequence[int]) -> None:
        """Set `persist_status` of these rows to PERSISTED, which every row is.

        Safe to repeat.
        """

    async def blank_tombstones(self, message_ids: Sequence[int]) -> None:
        """Remove the content of the recalled rows among these; other rows stay as they are.

        Safe to repeat.
        """

    async def restore_keys(self, messages: Sequence[Message]) -> None:
        """Write the keys of stored messages that have none; a key that is taken stays.

        Safe to repeat.
        """

    async def close(self) -> None: ...
