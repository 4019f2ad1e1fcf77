"""Choose how long the broker may gather records for a fetch. `kafka.reader` alone uses the module.

A batch has fixed costs beside those of its records, and so has a fetch that brings none.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

IDLE_WAIT_MS = 60  # a record that ends the silence waits so long at most
WAIT_MS = 30
BUSY_WAIT_MS = 100
BUSY_RATE = 2_000  # records a second of one reader


@dataclass(slots=True)
class Pace:
    """Follow the rate of the records that a reader gets."""

    _since_s: float = 0.0

    def wait_ms(self, records: int) -> int:
        """Return the wait of the fetches after one that has brought so many records."""
        before_s, self._since_s = self._since_s, time.monotonic()
        if not records:
            return IDLE_WAIT_MS
        return BUSY_WAIT_MS if records > BUSY_RATE * (self._since_s - before_s) else WAIT_MS
