"""Recall a message for everyone: nobody reads its content again once this has returned.

The recall mark is set first, so that the consumer writes a tombstone in place of the content; then
the tombstone is made durable, in the store and in the log, of which one is enough; then the cached
content is blanked. When it could be made durable nowhere, the mark is taken back and readers have
seen nothing.

While the cache is away readers are given what the store has, so then the store has to know, and the
log is not enough.
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
from messaging.ports import Arrear, OutgoingRecord
from messaging.service.access import access_message
from messaging.service.backends import Backends

logger = logging.getLogger(__name__)

STORE_S = 1.5  # a row may be locked, and the log is enough


async def recall(backends: Backends, message_id: int, *, user_id: int) -> Message:
    """Recall one's own message within the window; returns the tombstone.

    Raises MessageNotFound, NotTheSender, AlreadyRecalled, RecallWindowPassed, and
    TemporarilyUnavailable, after which the message may or may not be recalled: ask again. Raises
    TooManyRequests at once for one who changes too much.
    """
    backends.rates.changes.spend(user_id)
    message = await access_message(backends, message_id, user_id=user_id)
    now_ms = backends.clock_ms()
    try:
        _check(message, user_id=user_id, now_ms=now_ms, window_s=backends.settings.recall_window_s)
    except AlreadyRecalled:
        if not backends.arrears.breaker.is_closed:
            await _note(backends, message)  # the store says so, and the cache may not know
        raise
    try:
        tombstone = message.recalled(await backends.cache.claim_recall(message.id, now_ms))
    except CacheUnavailable:
        return await _recall_past_cache(backends, message.recalled(now_ms))
    stored = await _make_durable(backends, tombstone)
    try:
        await backends.cache.confirm_recall(tombstone)
    except CacheUnavailable as error:
        if not stored:
            raise TemporarilyUnavailable from error
        await _note(backends, tombstone)
    if not stored:
        backends.arrears.remember([tombstone])
    return tombstone


def _check(message: Message, *, user_id: int, now_ms: int, window_s: int) -> None:
    if message.from_user_id != user_id:
        raise NotTheSender
    if message.is_recalled:
        raise AlreadyRecalled
    if now_ms - message.send_time > window_s * 1000:
        raise RecallWindowPassed


async def _make_durable(backends: Backends, tombstone: Message) -> bool:
    """Whether the store has it. Raises TemporarilyUnavailable when neither it nor the log has."""
    stored = await _store(backends, tombstone) is not None
    record = OutgoingRecord(key=tombstone.conversation_id.encode(), value=encode_event(tombstone))
    (confirmation,) = await backends.log.append(backends.settings.topic, [record])
    if not stored:
        try:
            await confirmation
        except BackendError as error:
            await _release(backends, tombstone)
            raise TemporarilyUnavailable from error
    return stored


async def _recall_past_cache(backends: Backends, tombstone: Message) -> Message:
    row = await _store(backends, tombstone, owed=True)
    if row is None:
        raise TemporarilyUnavailable
    await backends.arrears.tell(row)
    return row


async def _note(backends: Backends, tombstone: Message) -> None:
    try:
        await backends.arrears.note([Arrear(tombstone.id)], tombstone)
    except StoreUnavailable as error:
        raise TemporarilyUnavailable from error


async def _store(backends: Backends, tombstone: Message, *, owed: bool = False) -> Message | None:
    """The row, recalled; None where the store did not take it in a short time."""
    try:
        async with asyncio.timeout(STORE_S):
            result = await backends.store.apply([tombstone], owed=owed)
    except (StoreUnavailable, BadData, TimeoutError):
        return None
    try:
        await backends.cache.mark_stored(result.rows)
    except CacheUnavailable:
        logger.info("recall not marked", extra={"action": "recall.not_marked"})
    return next((row for row in result.rows if row.id == tombstone.id), None)


async def _release(backends: Backends, tombstone: Message) -> None:
    assert tombstone.recall_time is not None
    try:
        await backends.cache.release_recall(tombstone.id, tombstone.recall_time)
    except CacheUnavailable:
        logger.warning(
            "a recall mark may be left of a refused recall",
            extra={"action": "recall.mark_left", "message_id": tombstone.id},
        )
