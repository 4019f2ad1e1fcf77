"""Find the other attempts of a message's send, which readers may be shown until they are folded.

Two attempts of one send are accepted when the claim of the first one was lost. Used by recall and
delete, which must hide all attempts.
"""

from __future__ import annotations

import contextlib

from msgspec.structs import replace

from messaging.domain.errors import CacheUnavailable
from messaging.domain.events import Key, Message
from messaging.domain.ids import under_id
from messaging.service.access import NOBODY
from messaging.service.backends import Backends
from messaging.service.claims import find_stored_claim

LISTED = 100  # newest messages of a conversation that are searched for pending attempts


async def other_attempts(backends: Backends, message: Message) -> list[Message]:
    """Return the other attempts of this message's send that the cache or the store knows.

    Each attempt has its own id and time, and no content. Attempts that only a backend that is away
    knows are left out: the store folds them later, and this message's recall or delete then
    applies to them.
    """
    if (key := message.key) is None:
        return []
    ids = await _cached_attempts(backends, message, key)
    if message.seq is None:  # a row holds the store's claim itself
        claims = [
            backends.arrears.claim_of(*key),
            await find_stored_claim(backends, message),
        ]
        ids |= {c.message_id for c in claims if c and c.body_hash == message.body_hash}
    return [
        replace(under_id(message, message_id), seq=None, content="", url=None, at_user_ids=())
        for message_id in sorted(ids - {message.id})
    ]


async def _cached_attempts(backends: Backends, message: Message, key: Key) -> set[int]:
    """Return the ids of the attempts that the cache knows; none while the cache is away.

    The cache's claim names one attempt. For a pending message, the newest messages of its
    conversation are searched as well.
    """
    cache, ids = backends.cache, set()
    with contextlib.suppress(CacheUnavailable):
        claim = await cache.find_claim(*key)
        if claim is not None and claim.body_hash == message.body_hash:
            ids.add(claim.message_id)
        if message.seq is None:
            window = await cache.window(
                message.conversation_id, reader_id=NOBODY, before=None, limit=LISTED
            )
            ids |= {each.id for each in window.messages if each.send_key == message.send_key}
    return ids
