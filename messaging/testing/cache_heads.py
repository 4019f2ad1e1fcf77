"""Keep heads of conversations in memory, which the parts of the memory cache raise."""

from __future__ import annotations

from messaging.domain.conversations import Head
from messaging.domain.ids import is_group, parties_of
from messaging.domain.message import Message
from messaging.testing.cache_health import MemoryHealth
from messaging.testing.heads import MemoryHead, Stamp


class MemoryHeads(MemoryHealth):
    """Keep heads under the stamp of the cache's present state."""

    __slots__ = ()

    def evict_head(self, conversation_id: str) -> None:
        """Drop a head, as a cache does that is full."""
        if self.heads.pop(conversation_id, None) is not None:
            self.evicted += 1

    @property
    def _stamp(self) -> Stamp:
        return self.noticed_run, self.complete_from_s

    def _head(self, conversation_id: str) -> MemoryHead:
        """Return the head of the present stamp, a new one where there is none."""
        head = self.heads.get(conversation_id)
        if head is None or head.stamp != self._stamp:
            head = self.heads[conversation_id] = MemoryHead(self._stamp, self._count())
        return head

    def _raise_head(self, row: Message) -> None:
        """Tell of a stored row; a private conversation begins with the row of `seq` 1."""
        name, seq = row.conversation_id, row.seq or 0
        self._head(name).rise(Head(last_seq=seq, last_rev=row.rev, last_id=row.id))
        if seq == 1 and not is_group(name):
            for user_id in parties_of(name):
                self.listings.pop(user_id, None)

    def _count(self) -> int:
        self.heads_made += 1
        return self.heads_made
