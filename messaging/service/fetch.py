"""Read one message by its id."""

from __future__ import annotations

from messaging.domain.backend_errors import CacheUnavailable
from messaging.domain.errors import MessageNotFound, TemporarilyUnavailable
from messaging.domain.message import Message
from messaging.ports.cached import ReaderView
from messaging.service.access import access_message, check_reader
from messaging.service.backends import Backends
from messaging.service.hidden_messages import find_hidden


async def fetch(backends: Backends, message_id: int, *, reader_id: int) -> Message:
    """Return the message at its latest state, as this reader may see it.

    The returned message has another id where the message of this id was deduplicated into it; the
    reader's deletes of that other message count then. A message that the cache knows completely
    costs one round trip and no query.

    Raises: MessageNotFound, also for a message that the reader may not see or has deleted;
    TemporarilyUnavailable; TooManyRequests, at once, for a reader who reads too fast.
    """
    backends.rates.reads.spend(reader_id)
    seen = await _reader_view(backends, message_id, reader_id)
    if seen.recovering and backends.catch_up.is_behind:
        raise TemporarilyUnavailable
    message = seen.messages.get(message_id)
    if message is None:
        try:
            message, reader = await access_message(backends, message_id, user_id=reader_id)
        except MessageNotFound as error:
            if seen.recovering:
                raise TemporarilyUnavailable from error
            raise
        if message.id != message_id:
            return await fetch(backends, message.id, reader_id=reader_id)
    else:
        reader = await check_reader(
            backends,
            message,
            user_id=reader_id,
            guard=seen.guards.get(message_id, 0),
            cleared=seen.cleared(message_id),
        )
    if seen.deleted:
        raise MessageNotFound
    reader, deleted = await find_hidden(
        backends,
        message.conversation_id,
        [message_id],
        reader=reader,
        deletes_floor=seen.deletes_floor,
    )
    if not reader.may_see(message_id, deleted):
        raise MessageNotFound
    return message


async def _reader_view(backends: Backends, message_id: int, reader_id: int) -> ReaderView:
    try:
        return await backends.cache.reader_view([message_id], reader_id=reader_id)
    except CacheUnavailable:
        return ReaderView()
