"""Find the messages that a reader has deleted, and the reader's floor, where the cache lacks them.

Used by history and fetch.
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterable

from messaging.domain.backend_errors import CacheUnavailable, StoreUnavailable
from messaging.domain.conversations import NO_FLOOR
from messaging.domain.errors import TemporarilyUnavailable
from messaging.ports.cached import CachedTail
from messaging.ports.store import Deletes
from messaging.service.backends import Backends
from messaging.service.visibility import Reader

DELETES_LOADED = 1_000


async def find_hidden(
    backends: Backends,
    conversation_id: str,
    message_ids: Iterable[int],
    *,
    reader: Reader,
    deletes_floor: int | None,
) -> tuple[Reader, set[int]]:
    """Return the reader above a known floor, and which of these ids the store has as deleted.

    Looked up are the ids at or below `deletes_floor`, above which the cache knows all deletes of
    the reader. Without a `deletes_floor` all ids are looked up, and the cache is given the newest
    deletes and all floors for the next reading.

    Raises: TemporarilyUnavailable without the store: a message that may be hidden is never shown.
    """
    unsure = {
        message_id
        for message_id in message_ids
        if reader.may_see(message_id) and (deletes_floor is None or message_id <= deletes_floor)
    }
    if reader.cleared is not None and not unsure:
        return reader, set()
    try:
        if deletes_floor is not None:
            deleted = await _deleted_among(backends, reader, unsure)
            return await find_floor(backends, conversation_id, reader), deleted
        known = await load_deletes(backends, reader.user_id)
        deleted = unsure.intersection(known.message_ids)
        deleted |= await _deleted_among(backends, reader, {i for i in unsure if i <= known.floor})
    except StoreUnavailable as error:
        raise TemporarilyUnavailable from error
    return reader.above(known.floors.get(conversation_id, NO_FLOOR)), deleted


async def load_deletes(backends: Backends, reader_id: int) -> Deletes:
    """Return a reader's newest deletes and all floors, and let the cache know them.

    Order: the token, then the store, then the cache. A change that the store's answer lacks is told
    to the cache after the token was taken.

    Raises: TemporarilyUnavailable without the store.
    """
    token = None
    with contextlib.suppress(CacheUnavailable):
        token = await backends.cache.begin_deletes(reader_id)
    try:
        known = await backends.store.deletes_of(reader_id, limit=DELETES_LOADED)
    except StoreUnavailable as error:
        raise TemporarilyUnavailable from error
    if token is None:
        return known
    with contextlib.suppress(CacheUnavailable):  # the next reading tries again
        await backends.cache.fill_deletes(reader_id, token, known)
    return known


def with_deletes(tail: CachedTail, known: Deletes, conversation_id: str) -> CachedTail:
    """Return a tail as the cache would have told it, had the cache known a reader's deletes."""
    return dataclasses.replace(
        tail,
        messages=tuple(m for m in tail.messages if m.id not in known.message_ids),
        missing=tuple(i for i in tail.missing if i not in known.message_ids),
        deletes_floor=known.floor,
        cleared=known.floors.get(conversation_id, NO_FLOOR),
    )


async def find_floor(backends: Backends, conversation_id: str, reader: Reader) -> Reader:
    """Return the reader above a known floor; the store is asked where none was given.

    Raises: StoreUnavailable.
    """
    if reader.cleared is not None:
        return reader
    floors = await backends.store.floors_of(reader.user_id, conversation_id)
    return reader.above(floors.get(conversation_id, NO_FLOOR))


async def _deleted_among(backends: Backends, reader: Reader, message_ids: set[int]) -> set[int]:
    if not message_ids:
        return set()
    return await backends.store.deleted_among(reader.user_id, sorted(message_ids))
