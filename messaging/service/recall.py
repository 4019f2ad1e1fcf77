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

from messaging.errors import (
    AlreadyRecalled,
    BackendError,
    CacheUnavailable,
    NotTheSender,
    RecallWindowPassed,
    StoreUnavailable,
    TemporarilyUnavailable,
)
from messaging.events import Message, encode_event
from messaging.pipeline.persist import Persisted, mark, persist
from messaging.ports import Arrear, OutgoingRecord
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
            await _note(backends, message)  # the store says so, and the cache may not know
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
    done = await _make_durable(backends, tombstones)
    try:
        for tombstone in tombstones:
            if done is None or tombstone.id not in done.folded:
                await backends.cache.confirm_recall(tombstone)
    except CacheUnavailable as error:
        if done is None:
            raise TemporarilyUnavailable from error
        await _note(backends, *tombstones)
    if done is None:
        backends.arrears.remember(tombstones)
    return tombstones[0] if done is None else _survivor(done, tombstones[0])


def _check(message: Message, *, user_id: int, now_ms: int, window_s: int) -> None:
    if message.from_user_id != user_id:
        raise NotTheSender
    if message.is_recalled:
        raise AlreadyRecalled
    if now_ms - message.send_time > window_s * 1000:
        raise RecallWindowPassed


async def _make_durable(backends: Backends, tombstones: Sequence[Message]) -> Persisted | None:
    """Return what the store has made of them, None where only the log has them.

    Raises TemporarilyUnavailable when neither it nor the log has.
    """
    done = await _store(backends, tombstones)
    records = [
        OutgoingRecord(key=each.conversation_id.encode(), value=encode_event(each))
        for each in tombstones
    ]
    confirmations = await backends.log.append(backends.settings.topic, records)
    if done is None:
        outcomes = await asyncio.gather(*confirmations, return_exceptions=True)
        failed = [each for each in outcomes if isinstance(each, BaseException)]
        for error in failed:
            if not isinstance(error, BackendError):
                raise error
        if failed:
            await _release(backends, tombstones)
            raise TemporarilyUnavailable from failed[0]
    return done


def _survivor(done: Persisted, tombstone: Message) -> Message:
    """The row that shows the recall: of the message itself, or of what it was folded into."""
    return done.folded.get(tombstone.id) or next(r for r in done.rows if r.id == tombstone.id)


async def _recall_past_cache(backends: Backends, tombstones: Sequence[Message]) -> Message:
    done = await _store(backends, tombstones, owed=True)
    if done is None:
        raise TemporarilyUnavailable
    row = _survivor(done, tombstones[0])
    await backends.arrears.tell(row)
    return row


async def _note(backends: Backends, *tombstones: Message) -> None:
    try:
        await backends.arrears.note([Arrear(m.id) for m in tombstones], *tombstones)
    except StoreUnavailable as error:
        raise TemporarilyUnavailable from error


async def _store(
    backends: Backends, tombstones: Sequence[Message], *, owed: bool = False
) -> Persisted | None:
    """Return what became of them, None where the store did not take them in a short time."""
    try:
        async with asyncio.timeout(STORE_S):
            done = await persist(backends.store, tombstones, owed=owed)
    except (StoreUnavailable, TimeoutError):
        return None
    if done.refused:
        return None
    try:
        await mark(backends.cache, done)
    except CacheUnavailable:
        logger.info("recall not marked", extra={"action": "recall.not_marked"})
    return done


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
