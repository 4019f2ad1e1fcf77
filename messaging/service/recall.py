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
from collections.abc import Sequence

from messaging.domain.errors import (
    AlreadyRecalled,
    BackendError,
    CacheUnavailable,
    NotTheSender,
    RecallWindowPassed,
    StoreUnavailable,
    TemporarilyUnavailable,
)
from messaging.domain.events import Message, encode_event
from messaging.pipeline.write_through import Persisted
from messaging.ports.log import OutgoingRecord, Position
from messaging.service.access import access_message
from messaging.service.attempts import other_attempts
from messaging.service.backends import Backends

logger = logging.getLogger(__name__)

STORE_S = 1.5  # a row may be locked, and the log is enough


async def recall(backends: Backends, message_id: int, *, user_id: int) -> Message:
    """Recall one's own message within the window; returns the tombstone.

    By whichever id of its send: each attempt is recalled, and what they are folded into. Raises
    MessageNotFound, NotTheSender, AlreadyRecalled, RecallWindowPassed, and TemporarilyUnavailable,
    after which the message may or may not be recalled: ask again. Raises TooManyRequests at once
    for one who changes too much.
    """
    backends.rates.changes.spend(user_id)
    message = await access_message(backends, message_id, user_id=user_id)
    now_ms = backends.clock_ms()
    try:
        _check(message, user_id=user_id, now_ms=now_ms, window_s=backends.settings.recall_window_s)
    except AlreadyRecalled:
        if not backends.arrears.breaker.is_closed:
            await _owe(backends, message)  # the store says so, and the cache may not know
        raise
    others = await other_attempts(backends, message)
    try:
        recall_time = await backends.cache.claim_recall(message.id, now_ms)
        tombstones = [message.recalled(recall_time)]
        for other in others:
            time = await backends.cache.claim_recall(other.id, recall_time)
            tombstones.append(other.recalled(time))
    except CacheUnavailable:
        return await _recall_past_cache(
            backends, [each.recalled(now_ms) for each in (message, *others)]
        )
    done = await _store(backends, tombstones)
    confirmations = await _append(backends, tombstones)
    if done is not None:
        return done.row_of(message.id)
    await _rest_on_log(backends, tombstones, confirmations)
    return tombstones[0]


def _check(message: Message, *, user_id: int, now_ms: int, window_s: int) -> None:
    if message.from_user_id != user_id:
        raise NotTheSender
    if message.is_recalled:
        raise AlreadyRecalled
    if now_ms - message.send_time > window_s * 1000:
        raise RecallWindowPassed


async def _store(backends: Backends, tombstones: Sequence[Message]) -> Persisted | None:
    """Return what became of them, None where the store did not take them in a short time."""
    try:
        done = await backends.writes.recall(tombstones, within_s=STORE_S)
    except StoreUnavailable:
        return None
    return None if done.refused else done


async def _append(
    backends: Backends, tombstones: Sequence[Message]
) -> list[asyncio.Future[Position]]:
    records = [
        OutgoingRecord(key=each.conversation_id.encode(), value=encode_event(each))
        for each in tombstones
    ]
    return await backends.log.append(backends.settings.topic, records)


async def _rest_on_log(
    backends: Backends,
    tombstones: Sequence[Message],
    confirmations: Sequence[asyncio.Future[Position]],
) -> None:
    """Wait until the log has the tombstones, and show them to the cache.

    Raises: TemporarilyUnavailable. Leaves: no recall mark, when the log did not take them.
    """
    outcomes = await asyncio.gather(*confirmations, return_exceptions=True)
    failed = [each for each in outcomes if isinstance(each, BaseException)]
    for error in failed:
        if not isinstance(error, BackendError):
            raise error
    if failed:
        await _release(backends, tombstones)
        raise TemporarilyUnavailable from failed[0]
    try:
        for tombstone in tombstones:
            await backends.cache.confirm_recall(tombstone)
    except CacheUnavailable as error:
        raise TemporarilyUnavailable from error
    backends.arrears.remember(tombstones)


async def _recall_past_cache(backends: Backends, tombstones: Sequence[Message]) -> Message:
    done = await _store(backends, tombstones)
    if done is None:
        raise TemporarilyUnavailable
    return done.row_of(tombstones[0].id)


async def _owe(backends: Backends, tombstone: Message) -> None:
    try:
        await backends.writes.owe(tombstone)
    except StoreUnavailable as error:
        raise TemporarilyUnavailable from error


async def _release(backends: Backends, tombstones: Sequence[Message]) -> None:
    try:
        for tombstone in tombstones:
            assert tombstone.recall_time is not None
            await backends.cache.release_recall(tombstone.id, tombstone.recall_time)
    except CacheUnavailable:
        logger.warning(
            "a recall mark may be left of a refused recall",
            extra={"action": "recall.mark_left", "message_id": tombstones[0].id},
        )
