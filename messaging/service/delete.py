"""Delete a message for one user: the store first, then the cache."""

from __future__ import annotations

from messaging.domain.errors import StoreUnavailable, TemporarilyUnavailable
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
        await backends.writes.hide(user_id, message, others)
    except StoreUnavailable as error:
        raise TemporarilyUnavailable from error
