"""Keep recall marks and the marks of what became of messages, and list the pending ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from msgspec.structs import replace

from messaging.domain.message import Message, PersistStatus, Recall, join
from messaging.ports.cached import IdempotencyRecord, PendingEntry
from messaging.testing.cache_heads import MemoryHeads


class MemoryMarking(MemoryHeads):
    """Implement the marking and the recalling part of `MemoryCache`."""

    __slots__ = ()

    async def mark_stored(self, messages: Sequence[Message]) -> None:
        self._answer()
        for row in messages:
            if row.seq is None:
                raise ValueError(f"message {row.id} has no seq: it is no row of the store")
            cached = self.details.get(row.id)
            if row.is_recalled:
                self._store_tombstone(row)
            elif cached is not None and cached.persist_status is PersistStatus.PENDING:
                self.details[row.id] = replace(cached, seq=row.seq)
                if not (cached.is_recalled and row.id in self.marks):
                    self.lasting.discard(row.id)
            self.pending_set.remove(row.id)
            self._tail(row.conversation_id).add_stored(row.id, row.seq)
            self._raise_head(row)
        for row in messages:
            self._tail(row.conversation_id).age()

    async def mark_duplicates(self, duplicates: Mapping[int, Message]) -> None:
        self._answer()
        for message_id, first in duplicates.items():
            self.pending_set.remove(message_id)
            self.marks.pop(message_id, None)
            self.lasting.discard(message_id)
            if (repeat := self.details.pop(message_id, None)) is not None:
                tail = self._tail(repeat.conversation_id)
                if message_id in tail.ids:  # counted, perhaps in the place of one that is missing
                    tail.remove(message_id)
                    tail.forget()
                tail.age_unless_pending()
            self._record_first(first)

    def _record_first(self, first: Message) -> None:
        assert first.key is not None
        record = self.idempotency_records.get(first.key)
        names_attempt = record is not None and record.message_id in self.pending_set.times
        if record is None or record.body_hash != first.body_hash or not names_attempt:
            self.idempotency_records[first.key] = IdempotencyRecord.of(first)

    async def dead_letter(self, messages: Sequence[Message]) -> None:
        self._answer()
        for message in messages:
            self.pending_set.remove(message.id)
            self.lasting.discard(message.id)
            tail = self._tail(message.conversation_id)
            tail.remove(message.id)
            tail.forget()
            tail.age_unless_pending()

    async def pending(
        self, *, before_ms: int, limit: int, after: PendingEntry | None = None
    ) -> list[PendingEntry]:
        self._answer()
        return self.pending_set.entries(before_ms=before_ms, after=after)[:limit]

    async def pending_count(self) -> int:
        self._answer()
        return len(self.pending_set.times)

    async def newest_pending(self, *, offset: int, limit: int) -> list[PendingEntry]:
        self._answer()
        return self.pending_set.entries()[::-1][offset : offset + limit]

    async def count_attempt(self, messages: Sequence[Message]) -> dict[int, int]:
        self._answer()
        counts = {m.id: self.pending_set.count_attempt(m.id) for m in messages}
        for message in messages:
            if counts[message.id]:
                self._list(message)
        return counts

    async def attempts(self, message_ids: Sequence[int]) -> dict[int, int]:
        self._answer()
        return {i: self.pending_set.attempts.get(i, 0) for i in message_ids}

    async def set_recall_mark(self, message_id: int, recall: Recall) -> Recall:
        self._answer()
        cached = self.details.get(message_id)
        if cached is not None and cached.recall is not None:
            return cached.recall
        return self.marks.setdefault(message_id, recall)

    async def clear_recall_mark(self, message_id: int, recall: Recall) -> None:
        self._answer()
        cached = self.details.get(message_id)
        if self.marks.get(message_id) == recall and not (cached and cached.is_recalled):
            del self.marks[message_id]

    async def confirm_recall(self, tombstone: Message) -> None:
        self._answer()
        if not tombstone.is_recalled:
            raise ValueError(f"message {tombstone.id} is not recalled")
        cached = self.details.get(tombstone.id)
        state = tombstone if cached is None else join(tombstone, cached)
        if cached == state and state.seq is not None and state.id not in self.lasting:
            self.marks.pop(state.id, None)  # an ageing tombstone is in the store
            return
        self.details[state.id] = state
        if tombstone.id in self.marks:
            self.lasting.add(tombstone.id)

    async def recall_marks(self, message_ids: Sequence[int]) -> dict[int, Recall]:
        self._answer()
        return {i: self.marks[i] for i in message_ids if i in self.marks}

    async def marked(self) -> list[int]:
        self._answer()
        return sorted(self.marks)
