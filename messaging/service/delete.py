"""Delete a message for one user: the store first, then the cache."""

from __future__ import annotations

from messaging.errors import CacheUnavailable, StoreUnavailable, TemporarilyUnavailable
from messaging.ports import Arrear
from messaging.service.access import access_message
from messaging.service.attempts import other_attempts
from messaging.service.backends import Backends


async def delete(backends: Backends, message_id: int, *, user_id: int) -> None:
    """Hide a message, pending or persisted, from this user for ever. Idempotent.

    By whichever id of its send: each attempt is hidden, and what they are folded into. Raises
    MessageNotFound, and TemporarilyUnavailable unless the store knows, and the cache too or nobody
    can read it: a cached set of deletes that lacks one would show the message again. The retry
    completes it. Raises TooManyRequests at once for one who changes too much.
    """
    backends.rates.changes.spend(user_id)
    message = await access_message(backends, message_id, user_id=user_id)
    try:
        others = await other_attempts(backends, message)
        hidden = [message.id, *(other.id for other in others)]
        for each in hidden:
            await backends.store.delete_for_user(user_id, each)
        if message.seq is None:  # it may be a repeat that was folded since it was read
            owner = await backends.store.delete_owner(user_id, message)
            hidden += [owner] if owner is not None else []
        try:
            await backends.cache.add_deletes(user_id, hidden)
        except CacheUnavailable:
            await backends.arrears.note([Arrear(each, user_id) for each in hidden])
    except StoreUnavailable as error:
        raise TemporarilyUnavailable from error
