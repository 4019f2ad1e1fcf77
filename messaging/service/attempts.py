"""Find the other attempts of a send, which readers may see until they are deduplicated.

Two attempts of one send are accepted when the idempotency record of the first one was lost. Used by
recall and delete, which must hide all attempts.
"""

from __future__ import annotations

import contextlib

from msgspec.structs import replace

from messaging.domain.backend_errors import CacheUnavailable
from messaging.domain.ids import under_id
from messaging.domain.message import Key, Message
from messaging.service.access import NOBODY
from messaging.service.backends import Backends
from messaging.service.idempotency import find_stored_idempotency_record

LISTED = 100  # newest messages of a conversation that are searched for pending attempts


async def other_attempts(backends: Backends, message: Message, *, asked_id: int) -> list[Message]:
    """Return the other attempts of this message's send that the cache or the store knows.

    `asked_id` is the id that led to this message. Where the cache alone leads from that id, the
    store may take that attempt for the first one. Each attempt has its own id and time, and no
    content. Attempts that only a backend that is away knows are left out: the store deduplicates
    them later, and this message's recall or delete then applies to them.
    """
    if (key := message.key) is None:
        return []
    ids = await _cached_attempts(backends, message, key)
    if message.seq is None:  # a row is what the store's record names
        records = [
            backends.hints.idempotency_record(*key),
            await find_stored_idempotency_record(backends, message),
        ]
        ids |= {c.message_id for c in records if c and c.body_hash == message.body_hash}
        ids.add(asked_id)
    return [
        replace(under_id(message, message_id), seq=None, content="", url=None, at_user_ids=())
        for message_id in sorted(ids - {message.id})
    ]


async def _cached_attempts(backends: Backends, message: Message, key: Key) -> set[int]:
    """Return the ids of the attempts that the cache knows; none while the cache is away.

    The cache's idempotency record names one attempt. For a pending message, the newest messages of
    its conversation are searched as well.
    """
    cache, ids = backends.cache, set()
    with contextlib.suppress(CacheUnavailable):
        record = await cache.find_idempotency_record(*key)
        if record is not None and record.body_hash == message.body_hash:
            ids.add(record.message_id)
        if message.seq is None:
            tail = await cache.cached_tail(
                message.conversation_id, reader_id=NOBODY, before=None, limit=LISTED
            )
            ids |= {each.id for each in tail.messages if each.send_key == message.send_key}
    return ids
