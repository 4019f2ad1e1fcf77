"""What each backing service promises to the use cases and pipelines, whatever stands behind it.

All ports are asynchronous: a use case reads the same under Django, under the gateway and in a
simulator that owns the event loop. An adapter around a blocking client keeps its own threads.
Adapters raise only the `BackendError`s named here. Every call ends in bounded time.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum, StrEnum
from typing import Protocol

import msgspec

from messaging.breakers import Breaker
from messaging.events import Message, SendKey
from messaging.ids import WorkerLease

# --- the log --------------------------------------------------------------------------------


class OutgoingRecord(msgspec.Struct, frozen=True, gc=False):
    """A record to append; all records with one key keep their order in one partition."""

    key: bytes
    value: bytes
    headers: tuple[tuple[str, bytes], ...] = ()


class Position(msgspec.Struct, frozen=True, gc=False):
    """Where a record lies: `offset` is the broker's own, for people and for dead letters."""

    topic: str
    partition: int
    offset: str


class Record(msgspec.Struct, frozen=True, gc=False):
    """A record as read; `value` is None where the broker's bytes could not be read at all."""

    position: Position
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...] = ()


class EventLog(Protocol):
    """The writing end of the ordered, durable log.

    `append` hands records over and returns a future for each, in order. Records that travel
    together may share one: it resolves to the Position of the first of them once the log holds them
    all durably (Kafka: acks=all), or fails with LogUnavailable (they may or may not be in the log)
    or RecordTooLarge (the record is not). A record that is refused fails alone. Every future ends
    within the adapter's delivery timeout, and the hand-over itself within its hand-over timeout:
    what could not be handed over is a future that failed. There is no fire-and-forget variant and
    no flush. `rests_on_cache`: it is kept by the server of the cache, and dies with it.
    """

    rests_on_cache: bool

    async def append(
        self, topic: str, records: Sequence[OutgoingRecord]
    ) -> list[asyncio.Future[Position]]: ...

    @property
    def breaker(self) -> Breaker:
        """Unless it is closed, appends fail at once."""

    async def ping(self) -> None:
        """Return when the log answers; raises LogUnavailable."""

    async def close(self) -> None:
        """End what is in flight within a bounded time, then let go. Idempotent."""


POLL_BYTES = 4 * 1024 * 1024


class LogReader(Protocol):
    """The reading end: one member of a group of readers that share a topic's partitions.

    Delivery is at least once and ordered within a partition. Positions are cumulative: committing a
    record commits all before it in its partition. Not safe to call concurrently with itself.
    """

    async def poll(self, *, max_records: int, timeout_s: float) -> list[Record]:
        """Records after the last ones returned, or [] at the timeout.

        At most `max_records`, and no more values than POLL_BYTES but for one that is larger itself.
        An unreadable record is returned with `value=None` and never blocks the ones behind it.
        Raises LogUnavailable; the next call reconnects and misses nothing.
        """

    async def commit(self, last: Mapping[int, Record]) -> None:
        """Commit up to and including the given record of each partition.

        Raises CommitRefused where a partition has moved to another reader, LogUnavailable
        otherwise; either way a record not committed is delivered again, here or there.
        """

    async def keep_alive(self) -> None:
        """Keep the group membership without reading on; call every second while holding a batch."""

    async def rewind(self) -> None:
        """Read on from the committed positions: everything not committed is delivered again."""

    async def close(self) -> None:
        """Leave the group without committing. Idempotent."""


# --- the cache ------------------------------------------------------------------------------


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


class MessageCache(Protocol):
    """The hot copy. State changes on one message are atomic and only move up (`events.join`).

    Every method raises CacheUnavailable when Redis does not confirm in time; the outcome of a write
    is unknown then. Every write is idempotent but for `take_rates`.
    """

    async def accept(
        self,
        messages: Sequence[Message],
        lease: WorkerLease | None,
        *,
        texts: Sequence[bytes] = (),
        limited: bool = True,
    ) -> list[Verdict]:
        """Hold new PENDING messages: detail, place in the conversation's list, pending mark, claim.

        For each message None, or the Claim of an earlier send with its (sender, clientMsgId), or
        RateLimited (`send_rate`, `send_burst`), or PendingFull (`pending_bytes`); nothing of the
        message is written in these cases. With `limited` False there are no limits: the messages
        are acknowledged already, and neither RateLimited nor PendingFull is returned. All in one
        atomic step; a claim made by an earlier message of the same call counts.
        `texts` are the messages as `encode_message` gives them, where the caller has them at hand.
        Raises LeaseLost, with nothing written, when `lease` is fenced and its worker id is held by
        another owner.
        """

    async def find_claim(self, user_id: int, client_msg_id: str) -> Claim | None:
        """The send that is known under this name."""

    async def claim(self, message: Message) -> Claim | None:
        """Claim the name of a message that is stored; returns the claim of another that has it."""

    async def add_alias(self, message_id: int, owner_id: int) -> None:
        """Remember for half an hour that this id, of a repeated send, leads to that message.

        Until the store has folded the one into the other: its word counts then.
        """

    async def find_alias(self, message_id: int) -> int | None:
        """Return the message that this id leads to, if it was added."""

    async def get(self, message_ids: Sequence[int]) -> dict[int, Message]:
        """The cached states among these ids."""

    async def mark_stored(self, messages: Sequence[Message]) -> None:
        """Join the store's rows (with `seq`) into the cache and drop their pending marks.

        A cached state becomes PERSISTED and starts to age; a recall in the cache is kept even when
        the row is still NORMAL. A tombstone row blanks the cached content, is cached even if
        nothing was, and ends its recall mark. A row unknown to a loaded list is added to it in its
        place. Many rows take several steps, between which others are served.
        """

    async def mark_folded(self, folded: Mapping[int, Message]) -> None:
        """Forget messages (by id) that repeat an earlier send, whose row is given."""

    async def park(self, messages: Sequence[Message]) -> None:
        """Drop the pending marks of dead-lettered messages and let their details age."""

    # recall

    async def claim_recall(self, message_id: int, recall_time: int) -> int:
        """Set the recall mark unless it is set; returns the recall time that counts."""

    async def release_recall(self, message_id: int, recall_time: int) -> None:
        """Take back a mark set with this time, when the recall was made durable nowhere."""

    async def confirm_recall(self, tombstone: Message) -> None:
        """Blank the cached content, or cache the tombstone; it stays while the recall mark does."""

    async def recall_marks(self, message_ids: Sequence[int]) -> dict[int, int]:
        """The recall times of the marked ones among these ids."""

    # history

    async def window(
        self, conversation_id: str, *, reader_id: int, before: int | None, limit: int
    ) -> Window:
        """The newest `limit` listed messages below `before`, in one round trip.

        Fewer where the reader has deleted very many in between, and where so many reach
        MAX_WINDOW_BYTES.
        """

    async def waiting(self, conversation_id: str, *, limit: int) -> list[int]:
        """The ids of the conversation's list that are pending, newest first, `limit` at most."""

    async def look(self, message_ids: Sequence[int], *, reader_id: int) -> Look:
        """The cached states among these ids and the reader's deletes, in one round trip."""

    async def listed(
        self, conversation_id: str, *, reader_id: int, before: int | None, limit: int
    ) -> Window:
        """As `window`, but with ids alone: all that are listed are `missing`."""

    async def begin_fill(self, conversation_id: str) -> str | None:
        """A token for `fill`, to be taken before the store is read; None if somebody else fills."""

    async def fill(
        self,
        conversation_id: str,
        token: str,
        messages: Sequence[Message],
        *,
        floor: int,
        base: int,
    ) -> None:
        """Load the tail: stored rows, unfiltered, every one above `floor`; `base` count the rest.

        Does nothing when a message reached the store past the cache since the token was taken.
        Never overwrites a cached state, nor shows content under a recall mark.
        """

    async def add_details(self, messages: Sequence[Message]) -> None:
        """Cache stored rows where no state is cached and no recall mark is set."""

    async def add_deletes(
        self, user_id: int, message_ids: Sequence[int], *, floor: int | None = None
    ) -> None:
        """Add to the user's deletes; with `floor`, they are complete above that id from now on."""

    # pending

    async def pending(
        self, *, before_ms: int, limit: int, after: PendingEntry | None = None
    ) -> list[PendingEntry]:
        """Pending ids sent before `before_ms`, oldest first, after the given entry."""

    async def pending_count(self) -> int: ...

    async def newest_pending(self, *, offset: int, limit: int) -> list[PendingEntry]:
        """For the admin: pending ids, newest first."""

    async def retry(self, messages: Sequence[Message]) -> dict[int, int]:
        """Count one more attempt to persist each; the list that holds it stops ageing."""

    async def attempts(self, message_ids: Sequence[int]) -> dict[int, int]:
        """For the admin: the attempts to persist each of these; 0 for none and for not pending."""

    # rates

    async def take_rates(self, rates: Sequence[SharedRate]) -> float:
        """Count one request against each of these; returns 0.0.

        Where one of them is used up nothing is counted: returns the seconds to wait.
        """

    # leases

    async def take_lease(self, name: str, owner: str, ttl_s: float) -> bool:
        """Take a named lease or renew one's own; False when another owner holds it."""

    async def is_leased(self, name: str) -> bool:
        """Tell whether anybody holds this lease."""

    async def take_worker(
        self, node: int, owner: str, ttl_s: float, *, now_ms: int, until_ms: int
    ) -> int | None:
        """Lease a worker id as `take_lease` does, and note that its ids bear times to `until_ms`.

        Returns the last time that another owner may have used, 0 where none is known. None when
        another owner holds it, or when another's ids are of a time after `now_ms`, which the caller
        could give again.
        """

    async def ping(self) -> None: ...

    async def probe(self, present: str | None = None) -> CacheRun:
        """Return when it takes a write.

        Until its run is settled windows and looks are `recovering`. They are for some seconds, too,
        when a process is missed that was `present`, which it says about every 0.2 s: it has died or
        lost the cache, and may have accepted what the cache was never told.
        """

    async def note_held(self, ttl_s: float) -> None:
        """Let every process know for so long that a consumer holds a partition for a person."""

    async def leave(self, present: str) -> None:
        """This process owes nothing and is not to be missed. Idempotent."""

    async def begin_epoch(self, run: str, *, returned: bool) -> None:
        """The caller has told everything that is lacking in this run, which is settled by that.

        For some seconds more windows and looks are `recovering`, unless another caller has settled
        it before and this one was not away and `returned`. Raises CacheUnavailable when another
        run has begun meanwhile.
        """

    async def drop_copies(self) -> list[int]:
        """Forget what the store has too: stored details, how far lists and deletes are complete.

        Pending messages stay, the lists that show them, claims and recalls. Returns the messages
        under a recall mark. Takes several steps.
        """

    async def close(self) -> None: ...


# --- the store ------------------------------------------------------------------------------


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


# --- people ---------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class TokenMark:
    """The state of a user's tokens that one token was made in: its generation, and its session.

    All tokens of one login belong to one session. A token without a session is one by itself.
    """

    generation: int
    session: str


class Directory(Protocol):
    """Who exists, who belongs where and who has blocked whom, out of a local cache at best.

    Each question comes in two: what begins with `known` answers at once out of the cache and has
    None where it cannot tell; the other may wait for the database.

    The database is away (an outage), or it answers and has no time for this question. In an outage
    the last known answer serves, and in place of an unknown one what each question says. While it
    answers, nothing passes unasked: a question without an answer raises StoreUnavailable, unless
    the last known answer is a refusal. Whoever was locked out or blocked, or is told to be by a
    change, stays so until the database says otherwise.
    """

    def known_active(self, user_id: int, mark: TokenMark | None = None) -> bool | None: ...

    def known_member(self, group_id: int, user_id: int) -> bool | None:
        """Also None where it is known that there is no such group."""

    def known_blocked(self, blocker_id: int, blocked_id: int) -> bool | None:
        """Also None where it is known that there is no such blocker."""

    async def user_exists(self, user_id: int) -> bool:
        """In an outage, when nothing is known: True, for a send must not need MySQL."""

    async def user_is_active(self, user_id: int, mark: TokenMark | None = None) -> bool:
        """Whether this user may act; with a mark, by a token that bears it and was not ended.

        At most `identity_ttl_s` old; in an outage the last known answer, or True.
        """

    async def is_member(self, group_id: int, user_id: int) -> bool | None:
        """None: no such group. Raises StoreUnavailable when nothing is known: fail closed."""

    async def is_blocked(self, blocker_id: int, blocked_id: int) -> bool:
        """Whether one user takes no private messages from another; False for oneself.

        At most `identity_ttl_s` old; in an outage the last known answer, or False.
        """

    async def close(self) -> None: ...
