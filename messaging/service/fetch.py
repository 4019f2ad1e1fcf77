"""Read one message by its id."""

from __future__ import annotations

from messaging.errors import MessageNotFound, StoreUnavailable, TemporarilyUnavailable
from messaging.events import Message
from messaging.service.access import access_message
from messaging.service.backends import Backends


async def fetch(backends: Backends, message_id: int, *, reader_id: int) -> Message:
    """The message at its latest state, as this reader may see it.

    Raises MessageNotFound, also for what the reader has deleted, and TemporarilyUnavailable.
    """
    message = await access_message(backends, message_id, user_id=reader_id)
    try:
        deleted = await backends.store.deleted_among(reader_id, [message_id])
    except StoreUnavailable as error:
        raise TemporarilyUnavailable from error
    if deleted:
        raise MessageNotFound
    return message
