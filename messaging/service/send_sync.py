"""Store a message before its send is answered, in the mode `sync`. Used by `send` alone.

The mode is the baseline that the mode `async` is measured against.
"""

from __future__ import annotations

import asyncio

from messaging.domain.backend_errors import CacheUnavailable, StoreUnavailable
from messaging.domain.errors import IdsUnavailable, SendFailed, TooManyRequests
from messaging.domain.message import Message
from messaging.pipeline.queued_send import Durability
from messaging.ports.cached import IdempotencyRecord
from messaging.service.backends import Backends
from messaging.service.idempotency import find_idempotency_record
from messaging.service.receipts import Receipt, receipt_of, repeat_receipt, show_row
from messaging.service.send_right import SendRight, judge


async def send_sync(
    backends: Backends, message: Message, right: SendRight, deadline_s: float
) -> Receipt | None:
    """Store a message and return its receipt; None when the store is away or too slow.

    The message is to be accepted as in `async` mode then. The store may have taken the message all
    the same, which does no harm: one attempt of a clientMsgId may be stored here and another
    accepted in `async` mode, and the idempotency record in the cache decides between them. The
    sender's rate is counted by this process alone.

    Raises: RightsDoubted; TooManyRequests; ClientMsgIdReused; SendFailed; IdsUnavailable.
    """
    try:
        async with asyncio.timeout_at(deadline_s):
            await judge(backends, message, right)
            if wait_s := backends.acceptor.commit.rates.take(message.from_user_id):
                raise TooManyRequests(wait_s)
            if first := await find_idempotency_record(backends, message):
                return await repeat_receipt(backends, message, first)
            row = await _store(backends, message, deadline_s)
            return None if row is None else await _receipt_of_stored(backends, row)
    except TimeoutError as error:
        raise SendFailed from error


async def _store(backends: Backends, message: Message, deadline_s: float) -> Message | None:
    """Return the row of the message; None when the store is away, or takes half of the time."""
    try:
        now_s = asyncio.get_running_loop().time()
        async with asyncio.timeout_at((now_s + deadline_s) / 2):
            done = await backends.writes.add([message])
    except (StoreUnavailable, TimeoutError):
        return None
    for _, reason, error in done.refused:
        raise IdsUnavailable(error) if reason == "id_conflict" else SendFailed
    return done.row_of(message.id)


async def _receipt_of_stored(backends: Backends, row: Message) -> Receipt:
    first = await _add_idempotency_record(backends, row)
    if first is not None and first.body_hash == row.body_hash:
        return await repeat_receipt(backends, row, first)
    await show_row(backends, row)  # the process that stored it may have ended before
    return receipt_of(row, Durability.STORE)


async def _add_idempotency_record(backends: Backends, row: Message) -> IdempotencyRecord | None:
    """Add the record of a stored message; return that of an earlier accepted attempt.

    The consumer deduplicates that attempt into this row. Return None while the cache is away.
    """
    if row.client_msg_id is None:
        return None
    try:
        return await backends.cache.add_idempotency_record(row)
    except CacheUnavailable:
        return None
