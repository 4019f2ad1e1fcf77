"""Keep what the parts of the memory cache share: the keys, and the lists of conversations."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from messaging.domain.backend_errors import CacheUnavailable
from messaging.domain.conversations import Floor, UnreadMemo
from messaging.domain.message import Message, Recall, join
from messaging.domain.rates import Rates
from messaging.ports.cache import TAIL_CAP
from messaging.ports.cached import IdempotencyRecord
from messaging.testing.guard import MemoryGuard
from messaging.testing.heads import MemoryHead, MemoryListing
from messaging.testing.leases import MemoryLeases
from messaging.testing.pending import PendingSet
from messaging.testing.tail import MemoryTail


@dataclass(eq=False, slots=True)
class CacheState(MemoryLeases):
    """Hold the keys of `MemoryCache`, and the faults of the cache."""

    down: bool = False
    worker_lease_s: float = 600.0
    most_pending_bytes: int = 2**30
    rates: Rates = field(default_factory=lambda: Rates(rate=0, burst=0))
    details: dict[int, Message] = field(default_factory=dict)
    lasting: set[int] = field(default_factory=set)  # details that do not age
    tails: dict[str, MemoryTail] = field(default_factory=dict)
    pending_set: PendingSet = field(default_factory=PendingSet)
    marks: dict[int, Recall] = field(default_factory=dict)
    guards: dict[str, MemoryGuard] = field(default_factory=dict)
    idempotency_records: dict[tuple[int, str], IdempotencyRecord] = field(default_factory=dict)
    aliases: dict[int, int] = field(default_factory=dict)
    deletes: dict[int, set[int]] = field(default_factory=dict)
    deletes_tokens: dict[int, str] = field(default_factory=dict)
    deletes_floors: dict[int, int] = field(default_factory=dict)
    floors: dict[int, dict[str, Floor]] = field(default_factory=dict)  # by user, conversation
    heads: dict[str, MemoryHead] = field(default_factory=dict)
    heads_made: int = 0  # tokens of fills count too
    evicted: int = 0  # heads
    listings: dict[int, MemoryListing] = field(default_factory=dict)
    memos: dict[int, dict[str, UnreadMemo]] = field(default_factory=dict)
    shared_rates: dict[tuple[str, str], Rates] = field(default_factory=dict)

    def _answer(self) -> None:
        if self.down:
            raise CacheUnavailable

    def _list(self, message: Message) -> None:
        tail = self._tail(message.conversation_id)
        tail.add(message.id)
        tail.ages = False

    def _tail(self, conversation_id: str) -> MemoryTail:
        tail = self.tails.get(conversation_id)
        if tail is None:
            tail = self.tails[conversation_id] = MemoryTail(self.pending_set.times, TAIL_CAP)
        return tail

    def _store_tombstone(self, row: Message) -> None:
        cached = self.details.get(row.id)
        self.details[row.id] = row if cached is None else join(row, cached)
        self.lasting.discard(row.id)
        self.marks.pop(row.id, None)

    def _add_rows(self, rows: Iterable[Message]) -> None:
        for row in rows:
            if row.is_recalled:
                self._store_tombstone(row)
            elif row.id not in self.marks:
                self.details.setdefault(row.id, row)
