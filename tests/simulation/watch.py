"""Watches what no client sees: what is committed, and what rested on the cache when it was lost."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from messaging.errors import PoisonRecord
from messaging.events import Message, decode_event
from messaging.testing.cache import MemoryCache
from messaging.testing.log import MemoryBroker
from messaging.testing.store import MemoryStore


@dataclass(slots=True)
class Watch:
    """`excused` are ids that only the cache held when it was wiped."""

    broker: MemoryBroker
    cache: MemoryCache
    store: MemoryStore
    topic: str
    violate: Callable[[str, str], None]
    excused: set[int] = field(default_factory=set)
    _looked_at: dict[int, int] = field(default_factory=dict)

    def committed(self) -> None:
        """After a commit: every record up to it is stored or set aside."""
        for (_, topic, partition), upto in self.broker.committed.items():
            if topic != self.topic:
                continue
            records = self.broker.records[topic, partition]
            for record in records[self._looked_at.get(partition, 0) : upto]:
                state = decode_event(record.value)
                if not self.is_stored(state) and not self._is_set_aside(state):
                    self.violate("committed before it was stored", f"{partition}: {state}")
            self._looked_at[partition] = max(self._looked_at.get(partition, 0), upto)

    def is_stored(self, state: Message) -> bool:
        """The store has this state, or what it repeats."""
        row = self.store.rows.get(state.id)
        if row is None and state.client_msg_id is not None:
            claim = self.store.claims.get((state.from_user_id, state.client_msg_id))
            row = None if claim is None else self.store.rows.get(claim.message_id)
        return row is not None and row.status >= state.status

    def before_wipe(self) -> None:
        elsewhere = set(self.store.rows)
        for records in self.broker.records.values():
            for record in records:
                try:
                    elsewhere.add(decode_event(record.value).id)
                except PoisonRecord:
                    continue
        self.excused |= self.cache.pending_set.times.keys() - elsewhere

    def is_drained(self) -> bool:
        ends = {p: len(r) for (topic, p), r in self.broker.records.items() if topic == self.topic}
        committed = {p: n for (_, topic, p), n in self.broker.committed.items()}
        return not self.cache.pending_set.times and committed == committed | ends

    def _is_set_aside(self, state: Message) -> bool:
        return any(letter.message_id == state.id for letter in self.store.dead_letters)
