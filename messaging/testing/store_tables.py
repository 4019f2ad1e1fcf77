"""Keep what the parts of the memory store share: the tables."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from msgspec.structs import replace

from messaging.conf import MAX_CONTENT_CODE_POINTS
from messaging.domain.backend_errors import StoreUnavailable
from messaging.domain.breakers import Breaker
from messaging.domain.conversations import Head, Participant
from messaging.domain.message import Message, SendKey
from messaging.ports.cached import IdempotencyRecord
from messaging.ports.log import Position
from messaging.ports.store import CacheHint, DeadLetter, DeadLetterState
from messaging.testing.leases import MemoryLeases


class MemoryDelete(NamedTuple):
    """Hold a user's delete of a message: its conversation, and the `rev` of the participant."""

    conversation_id: str
    rev: int


@dataclass(eq=False, slots=True)
class MemoryTables(MemoryLeases):
    """Hold the tables of `MemoryStore`, and the faults of the store.

    `deletes`: by user and message. `changes`: the latest `rev` of each changed message.
    `shown_from`: the time from which a user shows receipts, where it is not 0.
    """

    down: bool = False
    delay_s: float = 0.0
    refuses: Callable[[Message], bool] = lambda message: (
        len(message.content) > MAX_CONTENT_CODE_POINTS
    )
    rows: dict[int, Message] = field(default_factory=dict)
    idempotency_records: dict[SendKey, IdempotencyRecord] = field(default_factory=dict)
    aliases: dict[int, int] = field(default_factory=dict)
    heads: dict[str, Head] = field(default_factory=dict)
    changes: dict[int, int] = field(default_factory=dict)
    deletes: dict[tuple[int, int], MemoryDelete] = field(default_factory=dict)
    participants: dict[tuple[int, str], Participant] = field(default_factory=dict)
    shown_from: dict[int, int] = field(default_factory=dict)
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
        head = self.head(message.conversation_id)
        seq, last_id = head.last_seq + 1, max(head.last_id, message.id)
        self.heads[message.conversation_id] = replace(head, last_seq=seq, last_id=last_id)
        self.rows[message.id] = row = replace(message, seq=seq)
        return row

    def head(self, conversation_id: str) -> Head:
        return self.heads.get(conversation_id, Head())

    def change(self, message: Message) -> Message:
        """Replace a row by a changed state with the next `rev`, and return the new row."""
        head = self.head(message.conversation_id)
        rev = head.last_rev + 1
        self.heads[message.conversation_id] = replace(head, last_rev=rev)
        self.changes[message.id] = rev
        self.rows[message.id] = row = replace(message, rev=rev)
        return row

    def delete(self, user_id: int, message_id: int, conversation_id: str) -> None:
        """Hide a message from a user, and raise the `rev` of the user's participant."""
        if (user_id, message_id) in self.deletes:
            return
        rev = 0
        if (known := self.participants.get((user_id, conversation_id))) is not None:
            rev = known.rev + 1
            self.participants[user_id, conversation_id] = replace(known, rev=rev)
        self.deletes[user_id, message_id] = MemoryDelete(conversation_id, rev)

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
