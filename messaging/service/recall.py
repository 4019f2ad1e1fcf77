"""Recall a message for everyone: no reader gets its content again once `recall` has returned.

Order:

1. Set the recall mark, so that the consumer writes a tombstone in place of the content.
2. Make the tombstone durable in the store and in the log, of which one is enough.
3. Blank the cached content.

When the tombstone could be made durable nowhere, the mark is taken back, and readers have seen no
change. While the cache is away readers get the store's rows: then the tombstone has to be in the
store, and the log is not enough.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence

from messaging.domain.backend_errors import BackendError, CacheUnavailable, StoreUnavailable
from messaging.domain.errors import (
    AlreadyRecalled,
    GroupDissolved,
    NotTheSender,
    RecallWindowPassed,
    TemporarilyUnavailable,
)
from messaging.domain.groups import Role
from messaging.domain.message import Message, MsgType, Recall
from messaging.pipeline.write_through import Persisted
from messaging.ports.log import OutgoingRecord, Position
from messaging.service.access import access_message
from messaging.service.attempts import other_attempts
from messaging.service.backends import Backends
from messaging.service.visibility import Reader

logger = logging.getLogger(__name__)

TOMBSTONE_TIMEOUT_S = 1.5  # no longer, because a row may be locked and the log is enough


async def recall(backends: Backends, message_id: int, *, user_id: int) -> Message:
    """Recall the user's own message, or that of a lower role in the group; return the tombstone.

    One's own message may be recalled within the recall window, that of a lower role at any time.

    `message_id` may be any id of the message's send: each attempt of the send is recalled, and the
    message that the attempts are deduplicated into.

    Raises: MessageNotFound; NotTheSender; AlreadyRecalled; GroupDissolved; RecallWindowPassed;
    TemporarilyUnavailable; TooManyRequests, at once, for a user who changes too much.
    Leaves: the message perhaps recalled after TemporarilyUnavailable: ask again.
    """
    backends.rates.changes.spend(user_id)
    message, reader = await access_message(backends, message_id, user_id=user_id)
    now_ms = backends.clock_ms()
    try:
        await _check(backends, message, reader, now_ms=now_ms)
    except AlreadyRecalled:
        await _show(backends, message)
        raise
    others = await other_attempts(backends, message, asked_id=message_id)
    own = Recall(now_ms, by=None if user_id == message.from_user_id else user_id)
    try:
        recall_that_counts = await backends.cache.set_recall_mark(message.id, own)
        tombstones = [message.under(recall_that_counts)]
        for other in others:
            others_recall = await backends.cache.set_recall_mark(other.id, recall_that_counts)
            tombstones.append(other.under(others_recall))
    except CacheUnavailable:
        return await _recall_past_cache(backends, [each.under(own) for each in (message, *others)])
    done = await _store(backends, tombstones)
    confirmations = await _append(backends, tombstones)
    if done is not None:
        return done.row_of(message.id)
    await _rest_on_log(backends, tombstones, confirmations)
    return tombstones[0]


async def _check(backends: Backends, message: Message, reader: Reader, *, now_ms: int) -> None:
    is_own = message.from_user_id == reader.user_id
    if message.msg_type is MsgType.NOTICE or not (
        is_own or await _is_above_sender(backends, message, reader)
    ):
        raise NotTheSender
    if message.is_recalled:
        raise AlreadyRecalled
    if reader.access is not None and reader.access.group.is_dissolved:
        raise GroupDissolved
    if is_own and now_ms - message.send_time > backends.settings.recall_window_s * 1000:
        raise RecallWindowPassed


async def _is_above_sender(backends: Backends, message: Message, reader: Reader) -> bool:
    """Tell whether a user's role in a group is above that of a message's sender.

    A sender who has left the group counts as a member of it. The database is asked for the role of
    the sender: a process may remember an older one.

    Raises: TemporarilyUnavailable without the database.
    """
    own = None if reader.access is None else reader.access.member
    if own is None or own.role is Role.MEMBER:
        return False
    try:
        sender = await backends.directory.ask_access(message.to_id, message.from_user_id, after=0)
    except StoreUnavailable as error:
        raise TemporarilyUnavailable from error
    member = None if sender is None else sender.member
    return own.role.is_above(Role.MEMBER if member is None else member.role)


async def _store(backends: Backends, tombstones: Sequence[Message]) -> Persisted | None:
    """Store the tombstones; return None past `TOMBSTONE_TIMEOUT_S`, or if one is refused."""
    try:
        done = await backends.writes.recall(tombstones, within_s=TOMBSTONE_TIMEOUT_S)
    except StoreUnavailable:
        return None
    return None if done.refused else done


async def _append(
    backends: Backends, tombstones: Sequence[Message]
) -> list[asyncio.Future[Position]]:
    records = [OutgoingRecord.of(tombstone) for tombstone in tombstones]
    return await backends.log.append(backends.settings.topic, records)


async def _rest_on_log(
    backends: Backends,
    tombstones: Sequence[Message],
    confirmations: Sequence[asyncio.Future[Position]],
) -> None:
    """Wait until the log has the tombstones, and show them to the cache.

    Raises: TemporarilyUnavailable. Leaves: no recall mark, when the log did not take the
    tombstones and the cache still answers.
    """
    outcomes = await asyncio.gather(*confirmations, return_exceptions=True)
    failed = [each for each in outcomes if isinstance(each, BaseException)]
    for error in failed:
        if not isinstance(error, BackendError):
            raise error
    if failed:
        await _clear_marks(backends, tombstones)
        raise TemporarilyUnavailable from failed[0]
    try:
        for tombstone in tombstones:
            await backends.cache.confirm_recall(tombstone)
    except CacheUnavailable as error:
        raise TemporarilyUnavailable from error
    backends.hints.keep_until_written(tombstones)


async def _recall_past_cache(backends: Backends, tombstones: Sequence[Message]) -> Message:
    done = await _store(backends, tombstones)
    if done is None:
        raise TemporarilyUnavailable
    return done.row_of(tombstones[0].id)


async def _show(backends: Backends, tombstone: Message) -> None:
    """Blank a cached copy that an earlier attempt of this recall has stored but not shown.

    Raises: TemporarilyUnavailable.
    """
    try:
        cached = (await backends.cache.get([tombstone.id])).get(tombstone.id)
        if cached is not None and not cached.is_recalled:  # so the tombstone is the store's
            await backends.cache.mark_stored([tombstone])
    except CacheUnavailable:
        try:
            await backends.writes.leave_hints(tombstone)
        except StoreUnavailable as error:
            raise TemporarilyUnavailable from error


async def _clear_marks(backends: Backends, tombstones: Sequence[Message]) -> None:
    try:
        for tombstone in tombstones:
            assert tombstone.recall is not None
            await backends.cache.clear_recall_mark(tombstone.id, tombstone.recall)
    except CacheUnavailable:
        logger.warning(
            "a refused recall may have left its mark in Redis",
            extra={"action": "recall.mark_left", "message_id": tombstones[0].id},
        )
