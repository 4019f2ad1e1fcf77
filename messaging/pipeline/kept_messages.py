"""Keep the messages that this process has for the cache, and write them to the cache.

Used by `hints` alone, which decides when the messages are written.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass, field

from messaging.domain.backend_errors import StoreUnavailable
from messaging.domain.message import Message
from messaging.pipeline.hint_delivery import AT_ONCE, HintDelivery
from messaging.pipeline.keeping import Late, RecentWrites

logger = logging.getLogger(__name__)

ROWS_S = 0.2  # for the rows of late messages; past it a stored message is shown as pending
UNWRITTEN_S = 5.0  # of lost writes; Redis waits two seconds for its disk, then stops answering


@dataclass(slots=True)
class KeptMessages:
    """Hold the late messages, the recent writes, and the writes that a restart may have lost.

    Raises: CacheUnavailable from each delivery, and StoreUnavailable. Leaves: a part written.
    """

    delivery: HintDelivery
    late: Late = field(default_factory=Late)  # accepted messages that the cache lacks
    recent: RecentWrites = field(default_factory=RecentWrites)  # confirmed by the cache alone
    lost: dict[int, Message] = field(default_factory=dict)  # perhaps, by the cache's restart
    _has_forgotten: bool = False  # a message, since the late ones were last all written

    def __bool__(self) -> bool:
        """Tell whether the cache may lack any of these messages."""
        return bool(self.late or self.lost)

    def keep_late(self, messages: Sequence[Message]) -> None:
        """Keep messages that the cache lacks."""
        for message in messages:
            self.late.put(message)
        while (oldest := self.late.excess()) is not None:
            self._note_forgetting("late")
            self.late.drop(oldest)

    def keep_recent(self, messages: Sequence[Message]) -> None:
        """Keep messages that the cache has confirmed just now, and may not have written yet."""
        now_s = asyncio.get_running_loop().time()
        if not self.recent.put(now_s, messages, keep_from_s=now_s - UNWRITTEN_S):
            self._note_forgetting("told")

    def lose_recent(self, stopped_s: float) -> None:
        """Count as lost the messages that the cache's file may lack if it stopped at this time."""
        self.lost |= {each.id: each for each in self.recent.since(stopped_s - UNWRITTEN_S)}

    def _note_forgetting(self, kind: str) -> None:
        """Log once that messages are dropped from memory for lack of room.

        No message is lost by this: the log or the store has the late ones, and the cache has those
        that it confirmed.
        """
        if not self._has_forgotten:
            self._has_forgotten = True
            logger.error(
                "more is owed to Redis than fits in memory: the oldest messages are dropped",
                extra={"action": "hints.forgotten", "kind": kind},
            )

    async def deliver_rows(self, rows: Sequence[Message]) -> None:
        """Write late rows to the cache without reading the store, which has stored them just now.

        Where the cache has no copy, a row's id alone is written: the row may be recalled by now.
        """
        await self.delivery.show_rows(rows)
        for row in rows:
            self.late.drop(row)

    async def deliver_late(self) -> None:
        """Write the late messages to the cache: stored ones as their rows, others as accepted."""
        while late := self.late.first(AT_ONCE):
            try:
                async with asyncio.timeout(ROWS_S):
                    rows = await self.delivery.rows_of(late)
            except (StoreUnavailable, TimeoutError):
                rows = {}
            await self.delivery.show_messages(late, rows)
            for message in late:
                self.late.drop(message)
            logger.info(
                "wrote accepted messages to Redis late",
                extra={"action": "hints.handed_over", "count": len(late), "stored": len(rows)},
            )
        self._has_forgotten = False

    async def deliver_lost(self) -> None:
        """Write to the cache again the messages that its restart may have lost.

        The store is read first: a message may have been recalled since it was accepted.
        """
        while lost := list(self.lost.values())[:AT_ONCE]:
            rows = await self.delivery.rows_of(lost)
            # The cache alone had such a repeat: no log event would store its alias.
            await self.delivery.store_repeats(await self.delivery.show_messages(lost, rows))
            for message in lost:
                del self.lost[message.id]
            logger.info(
                "wrote messages to the restarted Redis again",
                extra={"action": "hints.repeated", "count": len(lost)},
            )
