"""Find the message that a clientMsgId stands for, in the cache or in the store."""

from __future__ import annotations

import asyncio
import contextlib

from messaging.domain.errors import CacheUnavailable, StoreUnavailable
from messaging.domain.events import Message
from messaging.ports.cached import Claim
from messaging.service.backends import Backends

STORE_S = 0.3


async def find_claim(backends: Backends, message: Message) -> Claim | None:
    """Return the claim that the cache has under this message's clientMsgId.

    While the cache is away, return the claim that this process or the store has.
    """
    if (key := message.key) is None:
        return None
    try:
        return await backends.cache.find_claim(*key)
    except CacheUnavailable:
        claim = backends.arrears.claim_of(*key)
        return claim or await find_stored_claim(backends, message)


async def find_stored_claim(backends: Backends, message: Message) -> Claim | None:
    """Return the stored message that the store knows under this message's clientMsgId.

    Return None also when the store does not answer within `STORE_S`. A key that is only reserved
    is left out: its message may never arrive.
    """
    if (key := message.send_key) is None:
        return None
    with contextlib.suppress(StoreUnavailable, TimeoutError):
        async with asyncio.timeout(STORE_S):
            claim = (await backends.store.find_claims([key])).get(key)
            return claim if claim is not None and claim.is_stored else None
    return None
