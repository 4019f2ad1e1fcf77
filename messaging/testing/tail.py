"""Keep a conversation's list of ids and its loaded mark in memory, for `cache_state`.

While `floor` is known, the list is every message of the conversation above it, and `base` counts
all others. Every change that might break this drops the floor.
"""

from __future__ import annotations

import bisect
from collections.abc import Container
from dataclasses import dataclass, field


@dataclass(slots=True)
class Filling:
    """Describe the fill of a list by one reader, valid until `end_s`.

    `lowest`: the lowest listed id that was stored meanwhile.
    """

    token: str
    end_s: float
    lowest: int | None = None


@dataclass(slots=True)
class MemoryTail:
    """Keep the list of one conversation.

    `pending` and `cap` are the cache's; a pending id is never trimmed.
    """

    pending: Container[int]
    cap: int
    ids: list[int] = field(default_factory=list)  # newest first
    floor: int | None = None
    base: int = 0
    empty: bool = False  # known to be complete without a single message
    filling: Filling | None = None
    ages: bool = True

    def place(self, message_id: int) -> int:
        """Return the index of the first listed id that is not newer."""
        return bisect.bisect_left(self.ids, -message_id, key=lambda listed: -listed)

    def insert(self, message_id: int) -> None:
        at = self.place(message_id)
        if self.ids[at : at + 1] != [message_id]:
            self.ids.insert(at, message_id)

    def remove(self, message_id: int) -> None:
        if message_id in self.ids:
            self.ids.remove(message_id)

    def add(self, message_id: int) -> None:
        """List a message that the conversation has."""
        if self.floor is not None and not self.empty and (not self.ids or message_id <= self.floor):
            self.forget()
        self.empty = False
        self.insert(message_id)
        self.trim()

    def add_stored(self, message_id: int, seq: int) -> None:
        """Keep the loaded mark true after a message was stored with this `seq`.

        The conversation has at least `seq` messages then.
        """
        if self.filling is None:
            if self.floor is not None:
                self.add(message_id)
            if self.floor is not None and self.base + len(self.ids) < seq:
                self.forget()
        elif message_id in self.ids:
            lowest = self.filling.lowest
            self.filling.lowest = message_id if lowest is None else min(lowest, message_id)
        else:
            self.forget()

    def trim(self) -> None:
        while len(self.ids) > self.cap and self.ids[-1] not in self.pending:
            oldest = self.ids.pop()
            if self.floor is None:
                self.forget()
            else:
                self.floor = oldest
                self.base += 1

    def forget(self) -> None:
        self.floor, self.base, self.empty, self.filling = None, 0, False, None

    def load(self, message_ids: list[int], *, floor: int, base: int) -> bool:
        """End a fill with the rows above `floor`; return False when the list cannot be exact."""
        lowest = self.filling.lowest if self.filling is not None else None
        self.forget()
        covered = self.place(floor)
        in_doubt = lowest is not None and lowest <= floor
        if in_doubt or any(listed in self.pending for listed in self.ids[covered:]):
            return False
        del self.ids[covered:]
        for message_id in message_ids:
            self.insert(message_id)
        self.empty = not self.ids
        if self.ids or base == 0:
            self.floor, self.base = floor, base
            self.trim()
        self.age()
        return True

    def age(self) -> None:
        """Let the list age, unless its newest message is pending."""
        if not self.ids or self.ids[0] not in self.pending:
            self.ages = True

    def age_unless_pending(self) -> None:
        """Let the list age, unless any of its messages is pending."""
        if not any(listed in self.pending for listed in self.ids):
            self.ages = True
