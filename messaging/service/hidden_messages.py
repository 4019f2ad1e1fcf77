"""Find the messages that a reader has deleted, where the cache does not know them.

Used by history and fetch.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable

from messaging.domain.backend_errors import CacheUnavailable, StoreUnavailable
from messaging.domain.errors import TemporarilyUnavailable
from messaging.service.backends import Backends

DELETES_LOADED = 1_000


async def find_hidden(
    backends: Backends, message_ids: Iterable[int], *, reader_id: int, floor: int | None
) -> set[int]:
    """Return which of these ids, at or below `floor`, the reader has deleted by the store's rows.

    `floor` is the id above which the cache knows all deletes of the reader. Without a floor all
    ids are looked up, and the cache is given the newest deletes and a floor for the next reading.

    Raises: TemporarilyUnavailable without the store: a message that may be deleted is never shown.
    """
    unsure = {i for i in message_ids if floor is None or i <= floor}
    if not unsure:
        return set()
    try:
        if floor is not None:
            return await backends.store.deleted_among(reader_id, sorted(unsure))
        known = await backends.store.deletes_of(reader_id, limit=DELETES_LOADED)
        deleted = unsure.intersection(known.message_ids)
        if older := sorted(i for i in unsure if i <= known.floor):
            deleted |= await backends.store.deleted_among(reader_id, older)
    except StoreUnavailable as error:
        raise TemporarilyUnavailable from error
    with contextlib.suppress(CacheUnavailable):  # the next reading tries again
        await backends.cache.add_deletes(reader_id, known.message_ids, floor=known.floor)
    return deleted
