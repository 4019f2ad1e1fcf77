"""Guard groups in memory, in which rights have shrunk or a new member's floor was set."""

from __future__ import annotations

from collections.abc import Collection

from messaging.domain.ids import time_of_id
from messaging.domain.message import Message
from messaging.ports.cached import Guarded
from messaging.testing.cache_state import CacheState
from messaging.testing.guard import MemoryGuard


class MemoryGuarding(CacheState):
    """Implement the guarding part of `MemoryCache`."""

    __slots__ = ()

    async def distrust(self, conversation_id: str, user_ids: Collection[int] | None) -> None:
        self._answer()
        self._guard(conversation_id).distrust(user_ids, self._now_ms())

    async def open_floor(self, conversation_id: str, now_ms: int) -> int:
        self._answer()
        listed = self._tail(conversation_id).ids
        newest_ms = time_of_id(listed[0]) if listed else 0
        guard = self._guard(conversation_id)
        return guard.raise_floor(max(now_ms, newest_ms), self._now_ms())

    async def judge(self, message: Message, *, asked_after: int) -> Guarded | None:
        self._answer()
        return self._guarded(message, asked_after)

    def _guarded(self, message: Message, asked_after: int) -> Guarded | None:
        guard = self._guard(message.conversation_id)
        score = guard.score_of(message.from_user_id, self._now_ms())
        score = score if score > asked_after else 0
        floor_ms = guard.floor_ms if message.send_time <= guard.floor_ms else 0
        return Guarded(score, floor_ms) if score or floor_ms else None

    def _guard_score(self, conversation_id: str, user_id: int) -> int:
        return self._guard(conversation_id).score_of(user_id, self._now_ms())

    def _guard(self, conversation_id: str) -> MemoryGuard:
        guard = self.guards.get(conversation_id)
        if guard is None or guard.end_ms <= self._now_ms():
            guard = self.guards[conversation_id] = MemoryGuard()
        return guard

    def _now_ms(self) -> float:
        return self.clock_s() * 1000
