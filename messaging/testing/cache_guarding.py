"""Guard groups in memory, in which rights have shrunk or a new member's floor was set."""

from __future__ import annotations

from collections.abc import Collection

from messaging.domain.ids import time_of_id
from messaging.domain.message import Message
from messaging.ports.cache import DISTRUSTED_MS
from messaging.ports.cached import Guarded
from messaging.testing.cache_health import MemoryHealth
from messaging.testing.guard import MemoryGuard


class MemoryGuarding(MemoryHealth):
    """Implement the guarding part of `MemoryCache`."""

    __slots__ = ()

    async def distrust(self, conversation_id: str, user_ids: Collection[int] | None) -> None:
        self._answer()
        guard = self._guard(conversation_id)
        guard.distrust(user_ids, self._now_ms(), above=self._lost_score())

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
        score = self._guard_score(message.conversation_id, message.from_user_id)
        score = score if score > asked_after else 0
        floor_ms = guard.floor_ms if message.send_time <= guard.floor_ms else 0
        return Guarded(score, floor_ms) if score or floor_ms else None

    def _guard_score(self, conversation_id: str, user_id: int) -> int:
        score = self._guard(conversation_id).score_of(user_id, self._now_ms())
        return max(score, self._lost_score())

    def _lost_score(self) -> int:
        """Return the score of all that may be lost; 0 when the cache has not been emptied."""
        if not self.recovering:
            return 0
        if self.run not in (self.noticed_run, self.guarded_run):
            self.guarded_run, self.noticed_s = self.run, self.clock_s()
        since_s = max(self.noticed_s, self.complete_from_s)
        return int(since_s * 1000) + 1_000 + DISTRUSTED_MS

    def _guard(self, conversation_id: str) -> MemoryGuard:
        guard = self.guards.get(conversation_id)
        if guard is None or guard.end_ms <= self._now_ms():
            guard = self.guards[conversation_id] = MemoryGuard()
        return guard

    def _now_ms(self) -> float:
        return self.clock_s() * 1000
