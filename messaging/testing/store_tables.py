"""Keep what the parts of the memory store share: the tables."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from messaging.conf import MAX_CONTENT_CODE_POINTS
from messaging.domain.backend_errors import StoreUnavailable
from messaging.domain.breakers import Breaker
from messaging.domain.message import Message, SendKey
from messaging.ports.cached import IdempotencyRecord
from messaging.ports.log import Position
from messaging.ports.store import CacheHint, DeadLetter, DeadLetterState
from messaging.testing.leases import MemoryLeases


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

    async def _answer(self) -> None:
        await asyncio.sleep(self.delay_s)
        if self.down:
            raise StoreUnavailable

    def _record(self, hints: Sequence[CacheHint]) -> None:
        for hint in hints:
            self.hint_ids += 1
            self.hinted[self.hint_ids] = dataclasses.replace(hint, hint_id=self.hint_ids)

    def _idempotency_record(self, key: SendKey) -> IdempotencyRecord:
        record = self.idempotency_records[key]
        return dataclasses.replace(record, is_stored=record.message_id in self.rows)
