"""Keep the pending set in memory, as a Redis sorted set is ordered, for `cache_state`."""

from __future__ import annotations

from dataclasses import dataclass, field

from messaging.ports.cached import PendingEntry


@dataclass(slots=True)
class PendingSet:
    """Keep send times (ms), sizes (bytes) and attempts to persist, by message id."""

    times: dict[int, int] = field(default_factory=dict)
    sizes: dict[int, int] = field(default_factory=dict)
    attempts: dict[int, int] = field(default_factory=dict)

    def remove(self, message_id: int) -> None:
        self.attempts.pop(message_id, None)
        self.times.pop(message_id, None)
        self.sizes.pop(message_id, None)

    def count_attempt(self, message_id: int) -> int:
        """Count one more attempt and return the count; 0 when the message is not pending."""
        if message_id not in self.times:
            return 0
        self.attempts[message_id] = self.attempts.get(message_id, 0) + 1
        return self.attempts[message_id]

    def entries(
        self, *, before_ms: int | None = None, after: PendingEntry | None = None
    ) -> list[PendingEntry]:
        """Return the entries sent before a moment, behind a given entry, oldest first.

        The given entry may be gone by now.
        """
        found = [
            PendingEntry(message_id, send_time)
            for message_id, send_time in self.times.items()
            if before_ms is None or send_time < before_ms
        ]
        return sorted((e for e in found if after is None or _rank(e) > _rank(after)), key=_rank)


def _rank(entry: PendingEntry) -> tuple[int, str]:
    """Order entries by score, then by the bytes of the member."""
    return entry.send_time, str(entry.message_id)
