"""Keep the message cache in memory, under the same contract as Redis.

Faults are plain attributes. Nothing survives the process, so no running site may use this cache.
"""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from messaging.testing.cache_accepting import MemoryAccepting
from messaging.testing.cache_listing import MemoryListings
from messaging.testing.cache_marking import MemoryMarking
from messaging.testing.cache_reading import MemoryReading

NOT_IN_FILE = frozenset(
    ("down", "run", "clock_s", "rates", "shared_rates", "worker_lease_s", "most_pending_bytes")
)


@dataclass(eq=False, slots=True)
class MemoryCache(MemoryAccepting, MemoryMarking, MemoryReading, MemoryListings):
    """Implement `ports.cache.MessageCache`; the fields are the keys, for a test to read.

    `down`: every call fails, with nothing done. `run_out` makes half an hour pass.
    """

    def file(self) -> Mapping[str, Any]:
        """Return what a restart would find if the cache were killed now."""
        names = [each.name for each in dataclasses.fields(self) if each.name not in NOT_IN_FILE]
        return copy.deepcopy({name: getattr(self, name) for name in names})

    def restart(self, file: Mapping[str, Any]) -> None:
        """Kill the cache and start it again with this file, without what was written later."""
        for name, value in copy.deepcopy(file).items():
            setattr(self, name, value)
        self.run += 1

    def run_out(self) -> None:
        """Drop all that ages, as after half an hour without a request."""
        self.details = {i: m for i, m in self.details.items() if i in self.lasting}
        self.tails = {name: tail for name, tail in self.tails.items() if not tail.ages}
        self.aliases.clear()
        self.deletes.clear()
        self.deletes_tokens.clear()
        self.deletes_floors.clear()
        self.floors.clear()
        self.heads.clear()
        self.listings.clear()
        self.memos.clear()

    async def close(self) -> None:
        pass
