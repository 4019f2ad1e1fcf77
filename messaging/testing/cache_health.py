"""Tell whether the memory cache is complete, or may lack writes after a loss."""

from __future__ import annotations

from dataclasses import dataclass, field

from messaging.domain.errors import CacheUnavailable
from messaging.ports.cached import CacheRun
from messaging.testing.cache_state import CacheState

RECOVERS_S = 3
SILENT_S = 1


@dataclass(eq=False, slots=True)
class Health(CacheState):
    """Implement the health part of `MemoryCache`."""

    epoch_s: float = float("-inf")
    run: int = 0
    settled_run: int = 0
    present: dict[str, float] = field(default_factory=dict)
    held_until_s: float = float("-inf")

    async def ping(self) -> None:
        self._answer()

    async def probe(self, present: str | None = None) -> CacheRun:
        self._answer()
        now_s, is_settled = self.clock_s(), self.run == self.settled_run
        if present is not None:
            self.present[present] = now_s
        missed = [name for name, seen_s in self.present.items() if seen_s <= now_s - SILENT_S]
        for name in missed:
            del self.present[name]
        if missed and is_settled:
            self.epoch_s = now_s
        return CacheRun(str(self.run), is_settled, now_s < self.held_until_s)

    async def note_held(self, ttl_s: float) -> None:
        self._answer()
        self.held_until_s = self.clock_s() + ttl_s

    async def leave(self, present: str) -> None:
        self._answer()
        self.present.pop(present, None)

    async def begin_epoch(self, run: str, *, returned: bool) -> None:
        self._answer()
        if run != str(self.run):
            raise CacheUnavailable
        if returned or self.settled_run != self.run:
            self.epoch_s, self.settled_run = self.clock_s(), self.run

    async def drop_copies(self) -> list[int]:
        self._answer()
        kept = {
            i: message
            for i, message in self.details.items()
            if i in self.lasting and (i in self.pending_set.times or message.is_recalled)
        }
        self.details = kept
        self.deletes.clear()
        self.deletes_floors.clear()
        for tail in self.tails.values():
            tail.forget()
        return sorted(self.marks)

    @property
    def recovering(self) -> bool:
        return self.run != self.settled_run or self.clock_s() - self.epoch_s < RECOVERS_S
