"""Tell whether the memory cache is complete, or may lack writes after a loss."""

from __future__ import annotations

from dataclasses import dataclass, field

from messaging.domain.backend_errors import CacheUnavailable
from messaging.ports.cache_service import RECOVERS_S, SILENT_S
from messaging.ports.cached import Incarnation
from messaging.testing.cache_state import CacheState


@dataclass(eq=False, slots=True)
class MemoryHealth(CacheState):
    """Implement the health part of `MemoryCache`."""

    complete_from_s: float = float("-inf")
    run: int = 0
    noticed_run: int = 0
    guarded_run: int = 0  # noticed by a guard
    noticed_s: float = float("-inf")  # the first start is long ago
    recovered_run: int = 0
    heartbeats: dict[str, float] = field(default_factory=dict)
    held_until_s: float = float("-inf")

    async def ping(self) -> None:
        self._answer()

    async def heartbeat(self, name: str | None = None) -> Incarnation:
        self._answer()
        if self.noticed_run != self.run:
            self.noticed_run, self.noticed_s = self.run, self.clock_s()
            self.hide_copies()
        now_s, is_recovered = self.clock_s(), self.run == self.recovered_run
        if name is not None:
            self.heartbeats[name] = now_s
        missed = [each for each, seen_s in self.heartbeats.items() if seen_s <= now_s - SILENT_S]
        for each in missed:
            del self.heartbeats[each]
        if missed and is_recovered:
            self.complete_from_s = now_s
        is_vouched = bool(self.heartbeats.keys() - {name})
        age_s, has_held = now_s - self.noticed_s, now_s < self.held_until_s
        pending_bytes = sum(self.pending_set.sizes.values())
        return Incarnation(str(self.run), is_recovered, age_s, has_held, is_vouched, pending_bytes)

    async def note_held(self, ttl_s: float) -> None:
        self._answer()
        self.held_until_s = self.clock_s() + ttl_s

    async def deregister(self, name: str) -> None:
        self._answer()
        self.heartbeats.pop(name, None)

    async def note_recovered(self, incarnation: str, *, returned: bool) -> None:
        self._answer()
        if incarnation != str(self.run):
            raise CacheUnavailable
        if returned or self.recovered_run != self.run:
            self.complete_from_s, self.recovered_run = self.clock_s(), self.run

    def hide_copies(self) -> None:
        """Drop what Redis hides when the first heartbeat after a start arrives."""
        self.details = {
            i: message
            for i, message in self.details.items()
            if i in self.lasting and (i in self.pending_set.times or message.is_recalled)
        }
        self.deletes_tokens.clear()
        self.deletes_floors.clear()
        for tail in self.tails.values():
            tail.forget()

    @property
    def recovering(self) -> bool:
        is_recovered = self.run == self.recovered_run
        return not is_recovered or self.clock_s() - self.complete_from_s < RECOVERS_S
