"""Delete a message for one user: the store first, then the cache."""

from __future__ import annotations

from messaging.domain.backend_errors import StoreUnavailable
from messaging.domain.errors import TemporarilyUnavailable
from messaging.service.access import access_message
from messaging.service.attempts import other_attempts
from messaging.service.backends import Backends


async def delete(backends: Backends, message_id: int, *, user_id: int) -> None:
    """Hide a message, pending or persisted, from this user for ever.

    `message_id` may be any id of the message's send: each attempt of the send is hidden, and the
    message that the attempts are deduplicated into. The call succeeds once the store has the
    delete, and either the cache has the delete or no process reads the cache: a cached set of
    deletes that lacks this one would show the message again.

    Raises: MessageNotFound; TemporarilyUnavailable; TooManyRequests, at once, for a user who
    changes too much.
    Leaves: perhaps a part hidden after TemporarilyUnavailable; a retry completes the delete.
    Safe to repeat.
    """
    backends.rates.changes.spend(user_id)
    message, _ = await access_message(backends, message_id, user_id=user_id)
    try:
        others = await other_attempts(backends, message, asked_id=message_id)
        await backends.writes.hide(user_id, message, others)
    except StoreUnavailable as error:
        raise TemporarilyUnavailable from error
