"""Give an audit its view of the parts in memory, under the same contracts as the real ones."""

from __future__ import annotations

import dataclasses
import sys
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from msgspec.structs import replace

from messaging.domain.backend_errors import CacheUnavailable
from messaging.domain.ids import wall_clock_ms
from messaging.domain.message import Key, Message, PersistStatus
from messaging.ports.audit import (
    CacheServer,
    Extent,
    Lag,
    Letters,
    LoadedTail,
    Mentions,
    Numbering,
    PendingSet,
    Piece,
    Pieces,
    StoredRow,
)
from messaging.ports.cached import IdempotencyRecord
from messaging.ports.log import Position
from messaging.ports.store import DeadLetterState, Deletes
from messaging.testing.cache import MemoryCache
from messaging.testing.log import MemoryBroker
from messaging.testing.store import MemoryStore


@dataclass(eq=False, slots=True)
class MemoryLogInspector:
    """Implement `ports.audit.LogInspector` over the log in memory.

    `since_ms` leaves out nothing, because the broker keeps no times.
    """

    broker: MemoryBroker
    topic: str
    group: str

    async def extents(self, *, since_ms: int | None = None) -> list[Extent]:
        self.broker.answer()
        extents = []
        for partition in range(self.broker.partitions):
            committed = self.broker.committed.get((self.group, self.topic, partition), 0)
            end = len(self.broker.records.get((self.topic, partition), ()))
            extents.append(Extent(partition, "0", str(committed), str(end)))
        return extents

    async def lags(self) -> list[Lag]:
        """Return the lags, with no time of a record, because the broker keeps no times."""
        return [
            Lag(each.partition, int(each.end) - int(each.committed), None)
            for each in await self.extents()
        ]

    async def retention_s(self) -> float | None:
        self.broker.answer()
        return None

    async def members(self) -> int:
        self.broker.answer()
        group = self.broker.groups.get((self.group, self.topic))
        return 0 if group is None else len(group.seen_s)

    async def is_committed(self, places: Mapping[int, str]) -> bool:
        extents = await self.extents()
        return all(int(each.committed) >= int(places[each.partition]) for each in extents)

    async def read(self, partition: int, *, start: str, until: str, max_records: int) -> Piece:
        self.broker.answer()
        first = int(start)
        limit = min(max_records, max(int(until) - first, 0))
        records = self.broker.read(self.topic, partition, offset=first, limit=limit)
        return Piece(tuple(records), str(first + len(records)) if records else until)

    def partition_of(self, conversation_id: str) -> int:
        return self.broker.partition_of(conversation_id.encode())

    async def close(self) -> None:
        pass


@dataclass(eq=False, slots=True)
class MemoryCacheInspector:
    """Implement `ports.audit.CacheInspector` over the cache in memory."""

    _cache: MemoryCache

    @property
    def cache(self) -> MemoryCache:
        """Return the cache, which no call reaches while the cache is down."""
        if self._cache.down:
            raise CacheUnavailable
        return self._cache

    async def ping(self) -> None:
        await self.cache.ping()

    async def clock_ms(self) -> int:
        await self.ping()
        return wall_clock_ms()

    async def server(self) -> CacheServer:
        await self.ping()
        return CacheServer(memory_bytes=0, limit_bytes=0, evicted=0, aof_delayed=0, replicas=0)

    async def pending_set(self) -> PendingSet:
        pending = self.cache.pending_set
        oldest_ms = min(pending.times.values(), default=None)
        return PendingSet(len(pending.times), sum(pending.sizes.values()), oldest_ms)

    async def details(self) -> Pieces[Message]:
        yield 1.0, list(self.cache.details.values())

    async def idempotency_records(self) -> Pieces[tuple[Key, IdempotencyRecord]]:
        yield 1.0, list(self.cache.idempotency_records.items())

    async def recorded_ids(self, sends: Sequence[Key]) -> dict[Key, int]:
        known = self.cache.idempotency_records
        return {send: known[send].message_id for send in sends if send in known}

    async def recall_marks(self) -> Pieces[int]:
        yield 1.0, list(self.cache.marks)

    async def loaded(self) -> Pieces[str]:
        yield 1.0, [name for name, tail in self.cache.tails.items() if tail.floor is not None]

    async def deleters(self) -> Pieces[int]:
        yield 1.0, list(self.cache.deletes)

    async def listers(self) -> Pieces[int]:
        yield 1.0, list(self.cache.listings)

    async def deletes(self, user_id: int) -> Deletes | None:
        floor = self.cache.deletes_floors.get(user_id)
        if floor is None:
            return None
        floors = dict(self.cache.floors.get(user_id, {}))
        return Deletes(tuple(self.cache.deletes.get(user_id, ())), floor, floors)

    async def unlisted(self, messages: Sequence[Message]) -> list[int]:
        tails = self.cache.tails
        return [
            m.id
            for m in messages
            if m.conversation_id not in tails or m.id not in tails[m.conversation_id].ids
        ]

    async def tail(self, conversation_id: str) -> LoadedTail | None:
        tail = self.cache.tails.get(conversation_id)
        if tail is None or tail.floor is None or not (tail.ids or tail.empty):
            return None
        return LoadedTail(tuple(tail.ids), tail.floor, tail.base)

    async def pending_among(self, message_ids: Sequence[int]) -> dict[int, int]:
        times = self.cache.pending_set.times
        return {i: times[i] for i in message_ids if i in times}

    async def forget(self, message_ids: Sequence[int]) -> None:
        for message_id in message_ids:
            if message_id not in self.cache.lasting:
                self.cache.details.pop(message_id, None)

    async def unload(self, conversation_id: str, *, orphans: Sequence[int] = ()) -> None:
        if (tail := self.cache.tails.get(conversation_id)) is not None:
            tail.forget()
            for message_id in orphans:
                if message_id not in self.cache.pending_set.times:
                    tail.remove(message_id)

    async def forget_deletes(self, user_id: int) -> None:
        self.cache.deletes.pop(user_id, None)
        self.cache.deletes_tokens.pop(user_id, None)
        self.cache.deletes_floors.pop(user_id, None)
        self.cache.floors.pop(user_id, None)

    async def close(self) -> None:
        pass


@dataclass(eq=False, slots=True)
class MemoryStoreInspector:
    """Implement `ports.audit.StoreInspector` over the store in memory.

    `unmarked`: the ids of rows with a wrong `persist_status`.
    """

    store: MemoryStore
    unmarked: set[int] = field(default_factory=set)

    async def ping(self) -> None:
        await self.store.ping()

    async def clock_ms(self) -> int:
        await self.store.ping()
        return wall_clock_ms()

    async def letters_by_state(self) -> dict[DeadLetterState, Letters]:
        await self.store.ping()
        counts = Counter(
            self.store.settled.get(letter.source, DeadLetterState.OPEN)
            for letter in self.store.dead_letters
        )
        return {state: Letters(count, wall_clock_ms()) for state, count in counts.items()}

    async def hints_noted(self) -> int:
        return len(await self.store.hints(limit=sys.maxsize))

    async def newest_id(self) -> int:
        await self.store.ping()
        return max(self.store.rows, default=0)

    async def rows_after(self, message_id: int, *, limit: int) -> list[StoredRow]:
        await self.store.ping()
        later = sorted(i for i in self.store.rows if i > message_id)
        return self._rows(later[:limit])

    async def rows(self, message_ids: Sequence[int]) -> list[StoredRow]:
        await self.store.ping()
        return self._rows(sorted(self.store.rows.keys() & set(message_ids)))

    def _rows(self, message_ids: Iterable[int]) -> list[StoredRow]:
        rows = [self.store.rows[i] for i in message_ids]
        keys, stored = self.store.idempotency_records, PersistStatus.PERSISTED.value
        return [
            StoredRow(
                row,
                PersistStatus.PENDING.value if row.id in self.unmarked else stored,
                keys.get(row.send_key) if row.send_key else None,
                self.store.changes.get(row.id, 0),
                self.store.head(row.conversation_id).last_rev,
            )
            for row in rows
        ]

    async def letters(self, message_ids: Sequence[int]) -> dict[int, frozenset[DeadLetterState]]:
        await self.store.ping()
        found: dict[int, frozenset[DeadLetterState]] = {}
        for letter in self.store.dead_letters:
            if letter.message_id is not None and letter.message_id in message_ids:
                state = self.store.settled.get(letter.source, DeadLetterState.OPEN)
                found[letter.message_id] = found.get(letter.message_id, frozenset()) | {state}
        return found

    async def mentions(self, message_id: int) -> Mentions:
        await self.store.ping()
        return Mentions(
            self.store.aliases.get(message_id),
            sum(deleted == message_id for _, deleted in self.store.deletes),
            sum(hint.message_id == message_id for hint in self.store.hinted.values()),
        )

    async def records_named(self, send: Key, *, limit: int) -> list[IdempotencyRecord]:
        await self.store.ping()
        named = [
            dataclasses.replace(record, is_stored=record.message_id in self.store.rows)
            for key, record in self.store.idempotency_records.items()
            if key[:2] == send
        ]
        return sorted(named, key=lambda record: record.message_id)[:limit]

    async def kept(self, sources: Sequence[Position]) -> set[Position]:
        await self.store.ping()
        return {letter.source for letter in self.store.dead_letters}.intersection(sources)

    async def conversations_after(
        self, conversation_id: str, *, limit: int
    ) -> list[tuple[str, int, int]]:
        await self.store.ping()
        newest: dict[str, int] = {}
        for row in self.store.rows.values():
            newest[row.conversation_id] = max(row.id, newest.get(row.conversation_id, 0))
        names = sorted(n for n in self.store.heads if n > conversation_id)
        return [(n, self.store.head(n).last_seq, newest.get(n, 0)) for n in names[:limit]]

    async def numberings(self, conversation_ids: Sequence[str]) -> dict[str, Numbering]:
        await self.store.ping()
        found = {}
        for name in conversation_ids:
            rows = self.store.rows.values()
            seqs = [row.seq or 0 for row in rows if row.conversation_id == name]
            last_seq = self.store.heads[name].last_seq
            found[name] = Numbering(last_seq, len(seqs), len(set(seqs)), max(seqs, default=0))
        return found

    async def mark_rows(self, message_ids: Sequence[int]) -> None:
        await self.store.ping()
        self.unmarked.difference_update(message_ids)

    async def blank_tombstones(self, message_ids: Sequence[int]) -> None:
        await self.store.ping()
        for message_id in message_ids:
            row = self.store.rows.get(message_id)
            if row is not None and row.is_recalled:
                self.store.rows[message_id] = replace(row, content="", url=None, at_user_ids=())

    async def restore_keys(self, messages: Sequence[Message]) -> None:
        await self.store.ping()
        for message in messages:
            if (key := message.send_key) is not None:
                self.store.idempotency_records.setdefault(key, IdempotencyRecord.of(message))

    async def close(self) -> None:
        pass
