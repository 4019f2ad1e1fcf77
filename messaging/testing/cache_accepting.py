"""Accept messages in memory, find earlier sends, count requests, and lease names."""

from __future__ import annotations

from collections.abc import Sequence

from messaging.domain.backend_errors import LeaseLost
from messaging.domain.events import encode_message
from messaging.domain.ids import WorkerLease
from messaging.domain.message import Message, PersistStatus
from messaging.domain.rates import Rates, take_all
from messaging.ports.cache_service import LeaseRequest
from messaging.ports.cached import IdempotencyRecord, PendingFull, RateLimited, SharedRate, Verdict
from messaging.testing.cache_guarding import MemoryGuarding


class MemoryAccepting(MemoryGuarding):
    """Implement the accepting part of `MemoryCache`."""

    __slots__ = ()

    async def accept(
        self,
        messages: Sequence[Message],
        lease: WorkerLease | None,
        *,
        texts: Sequence[bytes] = (),
        limited: bool = True,
        asked_after: Sequence[int | None] = (),
    ) -> list[Verdict]:
        self._answer()
        if lease is not None and lease.fenced:
            name, owner = f"worker:{lease.node}", lease.owner
            if self._owner_of(name) != owner and not self._lease(name, owner, self.worker_lease_s):
                raise LeaseLost
        scores = asked_after or [None] * len(messages)
        return [
            self._judge(message, score, limited=limited)
            for message, score in zip(messages, scores, strict=True)
        ]

    async def find_idempotency_record(
        self, user_id: int, client_msg_id: str
    ) -> IdempotencyRecord | None:
        self._answer()
        return self.idempotency_records.get((user_id, client_msg_id))

    async def add_idempotency_record(self, message: Message) -> IdempotencyRecord | None:
        self._answer()
        assert message.key is not None
        own = IdempotencyRecord.of(message)
        first = self.idempotency_records.setdefault(message.key, own)
        return None if first == own else first

    async def add_alias(self, message_id: int, owner_id: int) -> None:
        self._answer()
        self.aliases[message_id] = owner_id

    async def find_alias(self, message_id: int) -> int | None:
        self._answer()
        return self.aliases.get(message_id)

    async def take_rates(self, rates: Sequence[SharedRate]) -> float:
        self._answer()
        return take_all([(self._counter(each), each.key) for each in rates])

    async def take_lease(self, name: str, owner: str, ttl_s: float) -> bool:
        self._answer()
        return self._lease(name, owner, ttl_s)

    async def is_leased(self, name: str) -> bool:
        self._answer()
        return self._owner_of(name) is not None

    async def take_worker(self, request: LeaseRequest) -> int | None:
        self._answer()
        return self._lease_worker(request)

    def _judge(self, message: Message, asked_after: int | None, *, limited: bool) -> Verdict:
        is_repeat = message.key is not None and message.key in self.idempotency_records
        if asked_after is not None and not is_repeat:
            guarded = self._guarded(message, asked_after)
            if guarded is not None:
                return guarded
        wait_s = self.rates.take(message.from_user_id) if limited else 0
        return RateLimited(wait_s) if wait_s else self._accept(message, limited=limited)

    def _accept(self, message: Message, *, limited: bool) -> IdempotencyRecord | PendingFull | None:
        size_bytes = len(encode_message(message))
        if limited and sum(self.pending_set.sizes.values()) + size_bytes > self.most_pending_bytes:
            first = None if message.key is None else self.idempotency_records.get(message.key)
            return PendingFull.FULL if first is None or first.message_id == message.id else first
        if message.key is not None:
            own = IdempotencyRecord.of(message)
            record = self.idempotency_records.setdefault(message.key, own)
            if record.message_id != message.id:
                return record
        if self.details.setdefault(message.id, message).persist_status is PersistStatus.PENDING:
            self.lasting.add(message.id)
            self.pending_set.sizes.setdefault(message.id, size_bytes)
            self.pending_set.times[message.id] = message.send_time
            self._list(message)
        return None

    def _counter(self, shared: SharedRate) -> Rates:
        new = Rates(
            rate=shared.rate, burst=shared.burst, clock_us=lambda: int(self.clock_s() * 1e6)
        )
        return self.shared_rates.setdefault((shared.kind, shared.key), new)
