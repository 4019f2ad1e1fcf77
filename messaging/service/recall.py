"""Recall a message for everyone: nobody reads its content again once this has returned.

The recall mark is set first, so that the consumer writes a tombstone in place of the content; then
the tombstone is made durable; then the cached content is blanked. When it could be made durable
nowhere, the mark is taken back and readers have seen nothing.
"""

from __future__ import annotations

import asyncio
import logging

from messaging.errors import (
    AlreadyRecalled,
    BackendError,
    BadData,
    CacheUnavailable,
    NotTheSender,
    RecallWindowPassed,
    StoreUnavailable,
    TemporarilyUnavailable,
)
from messaging.events import Message, encode_event
from messaging.ports import OutgoingRecord
from messaging.service.access import access_message
from messaging.service.backends import Backends

logger = logging.getLogger(__name__)


async def recall(backends: Backends, message_id: int, *, user_id: int) -> Message:
    """Recall one's own message within the window; returns the tombstone.

    Raises MessageNotFound, NotTheSender, AlreadyRecalled, RecallWindowPassed, and
    TemporarilyUnavailable, after which the message may or may not be recalled: ask again.
    """
    message = await access_message(backends, message_id, user_id=user_id)
    now_ms = backends.clock_ms()
    _check(message, user_id=user_id, now_ms=now_ms, window_s=backends.settings.recall_window_s)
    try:
        tombstone = message.recalled(await backends.cache.claim_recall(message.id, now_ms))
    except CacheUnavailable:
        await _recall_without_cache(backends, message.recalled(now_ms))
        return message.recalled(now_ms)
    if not await _append(backends, tombstone) and not await _store(backends, tombstone):
        await _release(backends, tombstone)
        raise TemporarilyUnavailable
    try:
        await backends.cache.confirm_recall(tombstone)
    except CacheUnavailable as error:
        raise TemporarilyUnavailable from error
    return tombstone


def _check(message: Message, *, user_id: int, now_ms: int, window_s: int) -> None:
    if message.from_user_id != user_id:
        raise NotTheSender
    if message.is_recalled:
        raise AlreadyRecalled
    if now_ms - message.send_time > window_s * 1000:
        raise RecallWindowPassed


async def _recall_without_cache(backends: Backends, tombstone: Message) -> None:
    """Readers use the store now, so it must know at once; the log mends the cache later."""
    stored, appended = await asyncio.gather(
        _store(backends, tombstone), _append(backends, tombstone)
    )
    if not stored and not appended:
        raise TemporarilyUnavailable


async def _append(backends: Backends, tombstone: Message) -> bool:
    record = OutgoingRecord(key=tombstone.conversation_id.encode(), value=encode_event(tombstone))
    (future,) = await backends.log.append(backends.settings.topic, [record])
    try:
        await future
    except BackendError:
        return False
    return True


async def _store(backends: Backends, tombstone: Message) -> bool:
    try:
        result = await backends.store.apply([tombstone])
        await backends.cache.mark_stored(result.rows)
    except (StoreUnavailable, BadData):
        return False
    except CacheUnavailable:
        return True
    return True


async def _release(backends: Backends, tombstone: Message) -> None:
    assert tombstone.recall_time is not None
    try:
        await backends.cache.release_recall(tombstone.id, tombstone.recall_time)
    except CacheUnavailable:
        logger.warning(
            "a recall mark may be left of a refused recall",
            extra={"action": "recall.mark_left", "message_id": tombstone.id},
        )
