"""Hold what each place knows of one message, without anything that a user has written.

Pure. Times are milliseconds since 1970.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from enum import StrEnum

from messaging.audit.findings import Fate
from messaging.domain.events import Action
from messaging.domain.ids import WORKERS, node_of_id, time_of_id
from messaging.domain.message import PersistStatus
from messaging.ports.store import DeadLetterState


class Place(StrEnum):
    """Name a place that may know a message, as people know the place."""

    CACHE = "Redis"
    LOG = "log"
    STORE = "database"


@dataclass(frozen=True, slots=True, kw_only=True)
class Cached:
    """Hold what the cache knows.

    `detail`: None where no detail is cached. `recall_ms`: the time of the recall that the detail or
    the recall mark tells. `is_listed`: None while the conversation is not known. `record_of`: the
    id that the cached idempotency record of the send names. `alias_of`: the id that a cached alias
    leads to.
    """

    detail: PersistStatus | None = None
    recall_ms: int | None = None
    has_recall_mark: bool = False
    pending_since_ms: int | None = None
    attempts: int = 0
    is_listed: bool | None = None
    record_of: int | None = None
    alias_of: int | None = None

    @property
    def knows_it(self) -> bool:
        """Tell whether the cache has anything of this message."""
        known = (self.detail, self.recall_ms, self.pending_since_ms, self.alias_of)
        return any(each is not None for each in known)


@dataclass(frozen=True, slots=True)
class Event:
    """Locate one event of the message in the log; `appended_ms`: None where it keeps no times."""

    partition: int
    offset: str
    action: Action
    is_committed: bool
    appended_ms: int | None


@dataclass(slots=True)
class Logged:
    """Hold what the log knows.

    `events`: the first MOST_EVENTS, in the order of the log, of all that were found (`found`).
    `in_tail`: an event of the message is not committed yet. `lag`: the number of uncommitted
    records that were read. `searched`: the number of all records that were read. `is_whole`: the
    search has reached the end of the log.
    """

    events: list[Event] = field(default_factory=list)
    found: int = 0
    in_tail: bool = False
    searched: int = 0
    lag: int = 0
    is_whole: bool = False


@dataclass(frozen=True, slots=True)
class Row:
    """Hold the facts of a row; `key_of`: the id that the row's own clientMsgId leads to."""

    seq: int | None
    recall_ms: int | None
    persist_status: PersistStatus
    key_of: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """Hold what the database knows.

    `row`: the message's own row. `alias_of`: the message that the id was deduplicated into.
    `record_of`: the stored message that the send repeats, where no alias tells.
    """

    row: Row | None = None
    alias_of: int | None = None
    record_of: int | None = None
    deletes: int = 0
    hints: int = 0
    letters: Collection[DeadLetterState] = frozenset()

    @property
    def knows_it(self) -> bool:
        """Tell whether the database has anything of this message."""
        facts = (self.row, self.alias_of, self.record_of, self.deletes, self.hints, self.letters)
        return any(facts)


@dataclass(frozen=True, slots=True, kw_only=True)
class Trace:
    """Hold one message's life.

    A place is None where the place is `away`. `partition` is that of the conversation. `fate` is
    the fate by what is known. `is_certain`: no place that is away, and no record that was not
    searched, can change the fate.
    """

    message_id: int
    conversation_id: str | None
    partition: int | None
    cached: Cached | None
    logged: Logged | None
    stored: Stored | None
    fate: Fate
    is_certain: bool

    @property
    def sent_ms(self) -> int:
        return time_of_id(self.message_id)

    @property
    def datacenter(self) -> int:
        return node_of_id(self.message_id) // WORKERS

    @property
    def worker(self) -> int:
        return node_of_id(self.message_id) % WORKERS

    @property
    def away(self) -> list[Place]:
        known = {Place.CACHE: self.cached, Place.LOG: self.logged, Place.STORE: self.stored}
        return [place for place, evidence in known.items() if evidence is None]

    @property
    def unsearched(self) -> bool:
        """Tell whether the search of the log was cut off."""
        return self.logged is not None and not self.logged.is_whole

    @property
    def is_known(self) -> bool:
        """Tell whether any place has anything of this message."""
        return bool(
            (self.cached and self.cached.knows_it)
            or (self.logged and self.logged.found)
            or (self.stored and self.stored.knows_it)
        )

    @property
    def repeats(self) -> int | None:
        """Return the id of the message that this send repeats, where a place tells the id."""
        if self.fate is not Fate.DUPLICATE or self.stored is None:
            return None
        return self.stored.alias_of or self.stored.record_of
