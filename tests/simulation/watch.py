"""Watch the facts that no client sees: commits, and the messages that a lost cache alone had."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from messaging.domain.backend_errors import PoisonRecord
from messaging.domain.events import decode_event
from messaging.domain.message import Message
from messaging.ports.log import Record
from messaging.testing.cache import MemoryCache
from messaging.testing.log import MemoryBroker
from messaging.testing.store import MemoryStore


@dataclass(slots=True)
class BackendWatch:
    """Keep the ids of messages that the cache has lost.

    `wiped`: the ids that were pending when the cache lost them.
    `excused`: those of `wiped` that nothing else held, in a cache that was wiped.
    `rewound`: those of `wiped` that nothing else held, in a cache that was killed.
    """

    broker: MemoryBroker
    cache: MemoryCache
    store: MemoryStore
    topic: str
    violate: Callable[[str, str], None]
    wiped: set[int] = field(default_factory=set)
    excused: set[int] = field(default_factory=set)
    rewound: set[int] = field(default_factory=set)
    was_wiped: bool = False
    _seen: dict[int, int] = field(default_factory=dict)

    def committed(self) -> None:
        """Judge a commit: every record up to the committed position is stored or set aside."""
        for (_, topic, partition), upto in self.broker.committed.items():
            if topic != self.topic:
                continue
            records = self.broker.records[topic, partition]
            for record in records[self._seen.get(partition, 0) : upto]:
                if not self._is_done(record):
                    self.violate("committed before it was stored", f"{record}")
            self._seen[partition] = max(self._seen.get(partition, 0), upto)

    @property
    def set_aside(self) -> set[int]:
        """Return the ids of the messages among the dead letters."""
        return {d.message_id for d in self.store.dead_letters if d.message_id is not None}

    def _is_done(self, record: Record) -> bool:
        try:
            state = decode_event(record.value)
        except PoisonRecord:
            return any(letter.source == record.position for letter in self.store.dead_letters)
        return self._is_stored(state) or state.id in self.set_aside

    def _is_stored(self, state: Message) -> bool:
        """Tell whether the store has this state, or the message that it repeats."""
        row = self.store.rows.get(state.id)
        if row is None and state.send_key is not None:
            record = self.store.idempotency_records.get(state.send_key)
            row = None if record is None else self.store.rows.get(record.message_id)
        return row is not None and row.status >= state.status

    def before_wipe(self) -> None:
        self.was_wiped = True
        self.wiped |= self.cache.pending_set.times.keys()
        self.excused |= self.wiped - self._elsewhere()

    def before_rewind(self, file: Mapping[str, Any]) -> None:
        """Keep the ids that a rewind is about to lose.

        The process that had accepted a lost message writes the message to the cache once more,
        unless the process dies before.
        """
        lost = self.cache.pending_set.times.keys() - file["pending_set"].times.keys()
        self.wiped |= lost
        self.rewound |= lost - self._elsewhere()

    def _elsewhere(self) -> set[int]:
        """Return the ids that the store or the log has, too."""
        elsewhere = set(self.store.rows)
        for records in self.broker.records.values():
            for record in records:
                try:
                    elsewhere.add(decode_event(record.value).id)
                except PoisonRecord:
                    continue
        return elsewhere

    def is_drained(self) -> bool:
        ends = {p: len(r) for (topic, p), r in self.broker.records.items() if topic == self.topic}
        committed = {p: n for (_, topic, p), n in self.broker.committed.items()}
        return not self.cache.pending_set.times and committed == committed | ends
