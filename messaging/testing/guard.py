"""Keep the guard of one group in memory, for `cache_state`."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field

from messaging.ports.cache import DISTRUSTED_MS, GUARD_TTL_MS


@dataclass(slots=True)
class MemoryGuard:
    """Keep scores by user, None for everybody, and the time (ms) of the floor.

    `end_ms`: the guard's expiry, by the cache's clock as the scores are.
    """

    scores: dict[int | None, int] = field(default_factory=dict)
    floor_ms: int = 0
    end_ms: float = 0

    def distrust(self, user_ids: Collection[int] | None, now_ms: float, *, above: int) -> None:
        newest = max([above, *self.scores.values()])
        for user_id in (None,) if user_ids is None else user_ids:
            self.scores[user_id] = max(int(now_ms) + DISTRUSTED_MS, newest + 1)
        self.end_ms = now_ms + GUARD_TTL_MS

    def raise_floor(self, floor_ms: int, now_ms: float) -> int:
        self.floor_ms = max(self.floor_ms, floor_ms)
        self.end_ms = now_ms + GUARD_TTL_MS
        return self.floor_ms

    def score_of(self, user_id: int, now_ms: float) -> int:
        """Return the newest score for this user; 0 where there is none, or it is past."""
        score = max(self.scores.get(user_id, 0), self.scores.get(None, 0))
        return score if score > now_ms else 0
