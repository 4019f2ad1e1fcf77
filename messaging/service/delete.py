"""Delete a message for one user: the store first, then the cache."""

from __future__ import annotations

from messaging.errors import CacheUnavailable, StoreUnavailable, TemporarilyUnavailable
from messaging.ports import Arrear
from messaging.service.access import access_message
from messaging.service.backends import Backends


async def delete(backends: Backends, message_id: int, *, user_id: int) -> None:
    """Hide a message, pending or persisted, from this user for ever. Idempotent.

    Raises MessageNotFound, and TemporarilyUnavailable unless the store knows, and the cache too or
    nobody can read it: a cached set of deletes that lacks one would show the message again. The
    retry completes it.
    """
    await access_message(backends, message_id, user_id=user_id)
    try:
        await backends.store.delete_for_user(user_id, message_id)
        try:
            await backends.cache.add_deletes(user_id, [message_id])
        except CacheUnavailable:
            await backends.arrears.note([Arrear(message_id, user_id)])
    except StoreUnavailable as error:
        raise TemporarilyUnavailable from error
