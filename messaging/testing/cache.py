"""Keep the message cache in memory, under the same contract as Redis.

Faults are plain attributes. Nothing survives the process, so no running site may use this cache.
"""

from __future__ import annotations

import copy
import dataclasses
import secrets
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from msgspec.structs import replace

from messaging.domain.errors import CacheUnavailable, LeaseLost
from messaging.domain.events import Message, PersistStatus, encode_message, join
from messaging.domain.ids import WorkerLease
from messaging.domain.rates import Rates, take_all
from messaging.limits import MAX_WINDOW_BYTES
from messaging.ports.cached import (
    CacheRun,
    Claim,
    Look,
    PendingEntry,
    PendingFull,
    RateLimited,
    SharedRate,
    Verdict,
    Window,
)
from messaging.testing import leases
from messaging.testing.leases import Leases, Used
from messaging.testing.pending import PendingSet
from messaging.testing.tail import FILL_S, Filling, MemoryTail

TAIL_CAP = 1_000
MOST_LOOKED_AT = 2_000
RECOVERS_S = 3
SILENT_S = 1
NOT_IN_FILE = (
    "down",
    "run",
    "clock_s",
    "rates",
    "shared_rates",
    "worker_lease_s",
    "most_pending_bytes",
)


@dataclass(eq=False, slots=True)
class MemoryCache:
    """Implement `ports.MessageCache`; the fields are the keys, for a test to read.

    `down`: every call fails, with nothing done. `run_out` makes half an hour pass.
    """

    down: bool = False
    epoch_s: float = float("-inf")
    run: int = 0
    settled_run: int = 0
    worker_lease_s: float = 600.0
    most_pending_bytes: int = 2**30
    rates: Rates = field(default_factory=lambda: Rates(rate=0, burst=0))
    clock_s: Callable[[], float] = time.monotonic
    details: dict[int, Message] = field(default_factory=dict)
    lasting: set[int] = field(default_factory=set)  # details that do not age
    tails: dict[str, MemoryTail] = field(default_factory=dict)
    pending_set: PendingSet = field(default_factory=PendingSet)
    marks: dict[int, int] = field(default_factory=dict)  # recall times
    claims: dict[tuple[int, str], Claim] = field(default_factory=dict)
    aliases: dict[int, int] = field(default_factory=dict)
    deletes: dict[int, set[int]] = field(default_factory=dict)
    deletes_floors: dict[int, int] = field(default_factory=dict)
    leases: Leases = field(default_factory=dict)
    shared_rates: dict[tuple[str, str], Rates] = field(default_factory=dict)
    used: Used = field(default_factory=dict)
    present: dict[str, float] = field(default_factory=dict)
    held_until_s: float = float("-inf")

    async def accept(
        self,
        messages: Sequence[Message],
        lease: WorkerLease | None,
        *,
        texts: Sequence[bytes] = (),
        limited: bool = True,
    ) -> list[Verdict]:
        self._answer()
        if lease is not None and lease.fenced:
            name, now_s = f"worker:{lease.node}", self.clock_s()
            if not leases.holds(self.leases, name, lease.owner, now_s=now_s) and not leases.take(
                self.leases, name, lease.owner, now_s=now_s, ttl_s=self.worker_lease_s
            ):
                raise LeaseLost
        return [self._judge(message, limited=limited) for message in messages]

    async def find_claim(self, user_id: int, client_msg_id: str) -> Claim | None:
        self._answer()
        return self.claims.get((user_id, client_msg_id))

    async def claim(self, message: Message) -> Claim | None:
        self._answer()
        assert message.client_msg_id is not None
        own = Claim(message.id, message.body_hash)
        first = self.claims.setdefault((message.from_user_id, message.client_msg_id), own)
        return None if first == own else first

    async def add_alias(self, message_id: int, owner_id: int) -> None:
        self._answer()
        self.aliases[message_id] = owner_id

    async def find_alias(self, message_id: int) -> int | None:
        self._answer()
        return self.aliases.get(message_id)

    async def get(self, message_ids: Sequence[int]) -> dict[int, Message]:
        self._answer()
        return {i: self.details[i] for i in message_ids if i in self.details}

    async def mark_stored(self, messages: Sequence[Message]) -> None:
        self._answer()
        for row in messages:
            if row.seq is None:
                raise ValueError(f"message {row.id} has no seq: it is no row of the store")
            cached = self.details.get(row.id)
            if row.is_recalled:
                self._store_tombstone(row)
            elif cached is not None and cached.persist_status is PersistStatus.PENDING:
                self.details[row.id] = replace(cached, seq=row.seq)
                if not (cached.is_recalled and row.id in self.marks):
                    self.lasting.discard(row.id)
            self.pending_set.remove(row.id)
            self._tail(row.conversation_id).account(row.id, row.seq)
        for row in messages:
            self._tail(row.conversation_id).age()

    async def mark_folded(self, folded: Mapping[int, Message]) -> None:
        self._answer()
        for message_id, first in folded.items():
            self.pending_set.remove(message_id)
            self.marks.pop(message_id, None)
            self.lasting.discard(message_id)
            if (repeat := self.details.pop(message_id, None)) is not None:
                tail = self._tail(repeat.conversation_id)
                if message_id in tail.ids:  # counted, perhaps in the place of one that is missing
                    tail.remove(message_id)
                    tail.forget()
                tail.age_unless_pending()
            assert first.client_msg_id is not None
            claim = Claim(first.id, first.body_hash)
            self.claims[first.from_user_id, first.client_msg_id] = claim

    async def park(self, messages: Sequence[Message]) -> None:
        self._answer()
        for message in messages:
            self.pending_set.remove(message.id)
            self.lasting.discard(message.id)
            tail = self._tail(message.conversation_id)
            tail.remove(message.id)
            tail.forget()
            tail.age_unless_pending()

    async def claim_recall(self, message_id: int, recall_time: int) -> int:
        self._answer()
        cached = self.details.get(message_id)
        if cached is not None and cached.recall_time is not None:
            return cached.recall_time
        return self.marks.setdefault(message_id, recall_time)

    async def release_recall(self, message_id: int, recall_time: int) -> None:
        self._answer()
        cached = self.details.get(message_id)
        if self.marks.get(message_id) == recall_time and not (cached and cached.is_recalled):
            del self.marks[message_id]

    async def confirm_recall(self, tombstone: Message) -> None:
        self._answer()
        if not tombstone.is_recalled:
            raise ValueError(f"message {tombstone.id} is not recalled")
        cached = self.details.get(tombstone.id)
        state = tombstone if cached is None else join(tombstone, cached)
        if cached == state and state.seq is not None and state.id not in self.lasting:
            self.marks.pop(state.id, None)  # an ageing tombstone is in the store
            return
        self.details[state.id] = state
        if tombstone.id in self.marks:
            self.lasting.add(tombstone.id)

    async def recall_marks(self, message_ids: Sequence[int]) -> dict[int, int]:
        self._answer()
        return {i: self.marks[i] for i in message_ids if i in self.marks}

    async def window(
        self, conversation_id: str, *, reader_id: int, before: int | None, limit: int
    ) -> Window:
        seen = await self.listed(conversation_id, reader_id=reader_id, before=before, limit=limit)
        ids, taken_bytes = list(seen.missing), 0
        for place, message_id in enumerate(ids):
            if taken_bytes >= MAX_WINDOW_BYTES:
                seen = dataclasses.replace(seen, end=ids[place - 1])
                del ids[place:]
                break
            if (message := self.details.get(message_id)) is not None:
                taken_bytes += len(encode_message(message))
        return dataclasses.replace(
            seen,
            messages=tuple(self.details[i] for i in ids if i in self.details),
            missing=tuple(i for i in ids if i not in self.details),
        )

    async def listed(
        self, conversation_id: str, *, reader_id: int, before: int | None, limit: int
    ) -> Window:
        self._answer()
        tail = self._tail(conversation_id)
        if not tail.ids and not tail.empty and tail.filling is None:
            tail.forget()
        below = tail.ids[0 if before is None else tail.place(before - 1) :]
        deleted = self.deletes.get(reader_id, set())
        ids: list[int] = []
        end = None
        for looked, message_id in enumerate(below):
            if len(ids) == limit or looked == MOST_LOOKED_AT:
                end = below[looked - 1]
                break
            if message_id not in deleted:
                ids.append(message_id)
        return Window(
            missing=tuple(ids),
            end=end,
            floor=tail.floor,
            total=None if tail.floor is None else tail.base + len(tail.ids),
            deletes_floor=self.deletes_floors.get(reader_id),
            recovering=self.recovering,
        )

    async def waiting(self, conversation_id: str, *, limit: int) -> list[int]:
        self._answer()
        ids = self._tail(conversation_id).ids
        return [i for i in ids if i in self.pending_set.times][:limit]

    async def look(self, message_ids: Sequence[int], *, reader_id: int) -> Look:
        self._answer()
        return Look(
            messages={i: self.details[i] for i in message_ids if i in self.details},
            deleted=frozenset(self.deletes.get(reader_id, set()).intersection(message_ids)),
            deletes_floor=self.deletes_floors.get(reader_id),
            recovering=self.recovering,
        )

    async def begin_fill(self, conversation_id: str) -> str | None:
        self._answer()
        tail, now_s = self._tail(conversation_id), self.clock_s()
        if tail.floor is not None or (tail.filling is not None and now_s < tail.filling.end_s):
            return None
        tail.filling = Filling(secrets.token_hex(8), now_s + FILL_S)
        return tail.filling.token

    async def fill(
        self,
        conversation_id: str,
        token: str,
        messages: Sequence[Message],
        *,
        floor: int,
        base: int,
    ) -> None:
        self._answer()
        tail = self._tail(conversation_id)
        filling = tail.filling
        if filling is None or filling.token != token or self.clock_s() >= filling.end_s:
            return
        if tail.load([message.id for message in messages], floor=floor, base=base):
            self._add_rows(messages)

    async def add_details(self, messages: Sequence[Message]) -> None:
        self._answer()
        self._add_rows(messages)

    async def add_deletes(
        self, user_id: int, message_ids: Sequence[int], *, floor: int | None = None
    ) -> None:
        self._answer()
        self.deletes.setdefault(user_id, set()).update(message_ids)
        if floor is not None:
            self.deletes_floors[user_id] = min(floor, self.deletes_floors.get(user_id, floor))

    async def pending(
        self, *, before_ms: int, limit: int, after: PendingEntry | None = None
    ) -> list[PendingEntry]:
        self._answer()
        return self.pending_set.entries(before_ms=before_ms, after=after)[:limit]

    async def pending_count(self) -> int:
        self._answer()
        return len(self.pending_set.times)

    async def newest_pending(self, *, offset: int, limit: int) -> list[PendingEntry]:
        self._answer()
        return self.pending_set.entries()[::-1][offset : offset + limit]

    async def retry(self, messages: Sequence[Message]) -> dict[int, int]:
        self._answer()
        counts = {m.id: self.pending_set.count_attempt(m.id) for m in messages}
        for message in messages:
            if counts[message.id]:
                self._list(message)
        return counts

    async def attempts(self, message_ids: Sequence[int]) -> dict[int, int]:
        self._answer()
        return {i: self.pending_set.attempts.get(i, 0) for i in message_ids}

    async def take_rates(self, rates: Sequence[SharedRate]) -> float:
        self._answer()
        counted = [
            (self.shared_rates.setdefault((each.kind, each.key), self._counter(each)), each.key)
            for each in rates
        ]
        return take_all(counted)

    async def take_lease(self, name: str, owner: str, ttl_s: float) -> bool:
        self._answer()
        return leases.take(self.leases, name, owner, now_s=self.clock_s(), ttl_s=ttl_s)

    async def is_leased(self, name: str) -> bool:
        self._answer()
        return leases.is_held(self.leases, name, now_s=self.clock_s())

    async def take_worker(
        self, node: int, owner: str, ttl_s: float, *, now_ms: int, until_ms: int
    ) -> int | None:
        self._answer()
        return leases.take_worker(
            self.leases,
            self.used,
            node,
            owner,
            now_s=self.clock_s(),
            ttl_s=ttl_s,
            now_ms=now_ms,
            until_ms=until_ms,
        )

    async def ping(self) -> None:
        self._answer()

    async def probe(self, present: str | None = None) -> CacheRun:
        self._answer()
        now_s, is_settled = self.clock_s(), self.run == self.settled_run
        if present is not None:
            self.present[present] = now_s
        missed = [name for name, seen_s in self.present.items() if seen_s <= now_s - SILENT_S]
        for name in missed:
            del self.present[name]
        if missed and is_settled:
            self.epoch_s = now_s
        return CacheRun(str(self.run), is_settled, now_s < self.held_until_s)

    async def note_held(self, ttl_s: float) -> None:
        self._answer()
        self.held_until_s = self.clock_s() + ttl_s

    async def leave(self, present: str) -> None:
        self._answer()
        self.present.pop(present, None)

    async def begin_epoch(self, run: str, *, returned: bool) -> None:
        self._answer()
        if run != str(self.run):
            raise CacheUnavailable
        if returned or self.settled_run != self.run:
            self.epoch_s, self.settled_run = self.clock_s(), self.run

    async def drop_copies(self) -> list[int]:
        self._answer()
        kept = {
            i: message
            for i, message in self.details.items()
            if i in self.lasting and (i in self.pending_set.times or message.is_recalled)
        }
        self.details = kept
        self.deletes.clear()
        self.deletes_floors.clear()
        for tail in self.tails.values():
            tail.forget()
        return sorted(self.marks)

    @property
    def recovering(self) -> bool:
        return self.run != self.settled_run or self.clock_s() - self.epoch_s < RECOVERS_S

    def file(self) -> Mapping[str, Any]:
        """Return what a restart would find if the cache were killed now."""
        names = [each.name for each in dataclasses.fields(self) if each.name not in NOT_IN_FILE]
        return copy.deepcopy({name: getattr(self, name) for name in names})

    def restart(self, file: Mapping[str, Any]) -> None:
        """Kill the cache and start it again with this file, without what was written later."""
        for name, value in copy.deepcopy(file).items():
            setattr(self, name, value)
        self.run += 1

    async def close(self) -> None:
        pass

    def run_out(self) -> None:
        """Drop all that ages, as after half an hour without a request."""
        self.details = {i: m for i, m in self.details.items() if i in self.lasting}
        self.tails = {name: tail for name, tail in self.tails.items() if not tail.ages}
        self.aliases.clear()
        self.deletes.clear()
        self.deletes_floors.clear()

    def _answer(self) -> None:
        if self.down:
            raise CacheUnavailable

    def _counter(self, shared: SharedRate) -> Rates:
        def clock_us() -> int:
            return int(self.clock_s() * 1e6)

        return Rates(rate=shared.rate, burst=shared.burst, clock_us=clock_us)

    def _judge(self, message: Message, *, limited: bool) -> Verdict:
        wait_s = self.rates.take(message.from_user_id) if limited else 0
        return RateLimited(wait_s) if wait_s else self._accept(message, limited=limited)

    def _accept(self, message: Message, *, limited: bool) -> Claim | PendingFull | None:
        size_bytes = len(encode_message(message))
        if limited and sum(self.pending_set.sizes.values()) + size_bytes > self.most_pending_bytes:
            key = (message.from_user_id, message.client_msg_id or "")
            first = self.claims.get(key)
            return PendingFull.FULL if first is None or first.message_id == message.id else first
        if message.client_msg_id is not None:
            key = (message.from_user_id, message.client_msg_id)
            claim = self.claims.setdefault(key, Claim(message.id, message.body_hash))
            if claim.message_id != message.id:
                return claim
        if self.details.setdefault(message.id, message).persist_status is PersistStatus.PENDING:
            self.lasting.add(message.id)
            self.pending_set.sizes.setdefault(message.id, size_bytes)
            self.pending_set.times[message.id] = message.send_time
            self._list(message)
        return None

    def _list(self, message: Message) -> None:
        tail = self._tail(message.conversation_id)
        tail.add(message.id)
        tail.ages = False

    def _tail(self, conversation_id: str) -> MemoryTail:
        tail = self.tails.get(conversation_id)
        if tail is None:
            tail = self.tails[conversation_id] = MemoryTail(self.pending_set.times, TAIL_CAP)
        return tail

    def _store_tombstone(self, row: Message) -> None:
        cached = self.details.get(row.id)
        self.details[row.id] = row if cached is None else join(row, cached)
        self.lasting.discard(row.id)
        self.marks.pop(row.id, None)

    def _add_rows(self, rows: Iterable[Message]) -> None:
        for row in rows:
            if row.is_recalled:
                self._store_tombstone(row)
            elif row.id not in self.marks:
                self.details.setdefault(row.id, row)
