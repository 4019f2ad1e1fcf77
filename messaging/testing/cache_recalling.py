"""Keep recall marks in memory until the store has the tombstones."""

from __future__ import annotations

from collections.abc import Sequence

from messaging.domain.message import Message, join
from messaging.testing.cache_state import CacheState


class MemoryRecalling(CacheState):
    """Implement the recalling part of `MemoryCache`."""

    __slots__ = ()

    async def set_recall_mark(self, message_id: int, recall_time: int) -> int:
        self._answer()
        cached = self.details.get(message_id)
        if cached is not None and cached.recall_time is not None:
            return cached.recall_time
        return self.marks.setdefault(message_id, recall_time)

    async def clear_recall_mark(self, message_id: int, recall_time: int) -> None:
        self._answer()
        cached = self.details.get(message_id)
        if self.marks.get(message_id) == recall_time and not (cached and cached.is_recalled):
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

    async def recall_marks(self, message_ids: Sequence[int]) -> dict[int, int]:
        self._answer()
        return {i: self.marks[i] for i in message_ids if i in self.marks}

    async def marked(self) -> list[int]:
        self._answer()
        return sorted(self.marks)
