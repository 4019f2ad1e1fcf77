"""Find the idempotency record of a clientMsgId, in the cache or in the store."""

from __future__ import annotations

import asyncio
import contextlib

from messaging.domain.backend_errors import CacheUnavailable, StoreUnavailable
from messaging.domain.message import Message
from messaging.ports.cached import IdempotencyRecord
from messaging.service.backends import Backends

RECORD_TIMEOUT_S = 0.3


async def find_idempotency_record(backends: Backends, message: Message) -> IdempotencyRecord | None:
    """Return the idempotency record that the cache has under this message's clientMsgId.

    While the cache is away, return the record that this process or the store has.
    """
    if (key := message.key) is None:
        return None
    try:
        return await backends.cache.find_idempotency_record(*key)
    except CacheUnavailable:
        record = backends.hints.idempotency_record(*key)
        return record or await find_stored_idempotency_record(backends, message)


async def find_stored_idempotency_record(
    backends: Backends, message: Message
) -> IdempotencyRecord | None:
    """Return the store's record under this message's clientMsgId, if its message is stored.

    Return None also when the store does not answer within `RECORD_TIMEOUT_S`. A key that is only
    reserved is left out: its message may never arrive.
    """
    if (key := message.send_key) is None:
        return None
    with contextlib.suppress(StoreUnavailable, TimeoutError):
        async with asyncio.timeout(RECORD_TIMEOUT_S):
            record = (await backends.store.find_idempotency_records([key])).get(key)
            return record if record is not None and record.is_stored else None
    return None
