"""Keep what the parts of the memory store share: the tables."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from msgspec.structs import replace

from messaging.conf import MAX_CONTENT_CODE_POINTS
from messaging.domain.backend_errors import StoreUnavailable
from messaging.domain.breakers import Breaker
from messaging.domain.groups import OutReason
from messaging.domain.message import Message, SendKey
from messaging.ports.cached import IdempotencyRecord
from messaging.ports.log import Position
from messaging.ports.store import CacheHint, DeadLetter, DeadLetterState
from messaging.testing.leases import MemoryLeases


@dataclass(slots=True)
class MemoryParticipant:
    """Hold a user's place in a conversation, as the table `participant` does."""

    is_in: bool = True
    out_reason: OutReason | None = None
    floor_id: int = 0
    floor_seq: int = 0
    read_seq: int = 0
    delivered_seq: int = 0
    rev: int = 0


@dataclass(eq=False, slots=True)
class MemoryTables(MemoryLeases):
    """Hold the tables of `MemoryStore`, and the faults of the store."""

    down: bool = False
    delay_s: float = 0.0
    refuses: Callable[[Message], bool] = lambda message: (
        len(message.content) > MAX_CONTENT_CODE_POINTS
    )
    rows: dict[int, Message] = field(default_factory=dict)
    idempotency_records: dict[SendKey, IdempotencyRecord] = field(default_factory=dict)
    aliases: dict[int, int] = field(default_factory=dict)
    last_seqs: dict[str, int] = field(default_factory=dict)
    deletes: set[tuple[int, int]] = field(default_factory=set)
    participants: dict[tuple[int, str], MemoryParticipant] = field(default_factory=dict)
    hinted: dict[int, CacheHint] = field(default_factory=dict)  # for the cache, by hint id
    hint_ids: int = 0
    dead_letters: list[DeadLetter] = field(default_factory=list)
    settled: dict[Position, DeadLetterState] = field(default_factory=dict)
    losses: dict[str, float] = field(default_factory=dict)  # by process: the end of it
    breaker: Breaker = field(init=False)  # never trips by itself: calls fail at once anyway

    def __post_init__(self) -> None:
        self.breaker = Breaker("store", self.ping)

    async def ping(self) -> None:
        await self._answer()

    def insert(self, message: Message) -> Message:
        """Insert a new message with the next `seq` of its conversation, and return the row."""
        seq = self.last_seqs.get(message.conversation_id, 0) + 1
        self.last_seqs[message.conversation_id] = seq
        self.rows[message.id] = row = replace(message, seq=seq)
        return row

    async def _answer(self) -> None:
        await asyncio.sleep(self.delay_s)
        if self.down:
            raise StoreUnavailable

    def record(self, hints: Sequence[CacheHint]) -> list[CacheHint]:
        """Record hints, and return the hints with their `hint_id`."""
        recorded = []
        for hint in hints:
            self.hint_ids += 1
            recorded.append(dataclasses.replace(hint, hint_id=self.hint_ids))
            self.hinted[self.hint_ids] = recorded[-1]
        return recorded

    def _idempotency_record(self, key: SendKey) -> IdempotencyRecord:
        record = self.idempotency_records[key]
        return dataclasses.replace(record, is_stored=record.message_id in self.rows)
