"""Write new messages to the cache, and find earlier sends by their idempotency records."""

from __future__ import annotations

from collections.abc import Sequence

from messaging.cache import keys
from messaging.cache.client import RedisClient
from messaging.cache.lua import load
from messaging.cache.messages import read_record, record_text
from messaging.conf import Settings
from messaging.domain.backend_errors import LeaseLost
from messaging.domain.events import encode_message
from messaging.domain.ids import WorkerLease
from messaging.domain.message import Message
from messaging.domain.rates import step_us
from messaging.ports.cached import (
    Guarded,
    IdempotencyRecord,
    PendingFull,
    RateLimited,
    Verdict,
)

ACCEPT = load("accept", uses=("rows", "rates", "records", "incarnation", "state", "tail", "guard"))
ADD_IDEMPOTENCY_RECORD = load("add_idempotency_record", uses=("records",))

UNLIMITED = 2**53  # bytes that may be pending; Lua's numbers are exact up to this bound


class RedisAccepting(RedisClient):
    """Implement the accepting part of `RedisMessageCache`.

    `ports.cache.MessageCache` has the contract of each method.
    """

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self._worker_lease_ms = round(settings.worker_lease_s * 1000)
        self._step_us = step_us(settings.send_rate)
        self._burst = settings.send_burst
        self._pending_bytes = settings.pending_bytes

    async def accept(
        self,
        messages: Sequence[Message],
        lease: WorkerLease | None,
        *,
        texts: Sequence[bytes] = (),
        limited: bool = True,
        asked_after: Sequence[int | None] = (),
    ) -> list[Verdict]:
        if not messages:
            return []
        texts = texts or [encode_message(message) for message in messages]
        asked_after = asked_after or [None] * len(messages)
        names = [keys.PENDING, keys.PENDING_BYTES]
        owner = ""
        if lease is not None and lease.fenced:
            names.append(keys.worker(lease.node))
            owner = lease.owner
        step_us = self._step_us if limited else 0
        most = self._pending_bytes if limited else UNLIMITED
        arguments: list[str | bytes | int] = [owner, self._worker_lease_ms]
        arguments += (step_us, self._burst, most)
        for message, text, score in zip(messages, texts, asked_after, strict=True):
            client_msg_id, record = message.client_msg_id or "", ""
            if message.client_msg_id is not None:
                record = record_text(message)
            arguments += (message.id, message.conversation_id, message.send_time)
            arguments += (message.from_user_id, client_msg_id, record, text)
            arguments.append("" if score is None else score)
        reply = await self._run(ACCEPT, names, arguments)
        if reply is None:
            raise LeaseLost
        return [None if verdict is None else _read_verdict(verdict) for verdict in reply]

    async def find_idempotency_record(
        self, user_id: int, client_msg_id: str
    ) -> IdempotencyRecord | None:
        record = await self._command("GET", keys.dedupe(user_id, client_msg_id))
        return None if record is None else read_record(record)

    async def add_idempotency_record(self, message: Message) -> IdempotencyRecord | None:
        assert message.client_msg_id is not None
        name = keys.dedupe(message.from_user_id, message.client_msg_id)
        first = await self._run(ADD_IDEMPOTENCY_RECORD, [name], [record_text(message)])
        return None if first is None else read_record(first)

    async def add_alias(self, message_id: int, owner_id: int) -> None:
        await self._command("SET", keys.alias(message_id), owner_id, "EX", keys.DETAIL_TTL_S)

    async def find_alias(self, message_id: int) -> int | None:
        owner_id = await self._command("GET", keys.alias(message_id))
        return None if owner_id is None else int(owner_id)


def _read_verdict(verdict: bytes | int | list[int]) -> Verdict:
    """Decode the verdict on a message that is not accepted, from a reply of `accept.lua`.

    A text is an earlier idempotency record. A number is the time to wait (µs), or -1 where too much
    is pending. Two numbers are the guard's.
    """
    if isinstance(verdict, list):
        return Guarded(*verdict)
    if isinstance(verdict, int):
        return PendingFull.FULL if verdict < 0 else RateLimited(verdict / 1e6)
    return read_record(verdict)
