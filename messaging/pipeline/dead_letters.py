"""Set aside records that cannot be persisted.

Such a record goes into the dead-letter topic and into the store, and out of the pending set.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence

from msgspec.structs import replace

from messaging.domain.backend_errors import RecordTooLarge
from messaging.domain.message import Message
from messaging.pipeline.counting import count_letters
from messaging.ports.cache import Marking
from messaging.ports.log import EventLog, OutgoingRecord
from messaging.ports.store import DeadLetter, MessageStore

logger = logging.getLogger(__name__)


async def set_aside(
    letters: Sequence[DeadLetter],
    messages: Sequence[Message],
    *,
    topic: str,
    log: EventLog,
    store: MessageStore,
    cache: Marking,
) -> None:
    """Keep dead letters for people; `messages` are the readable messages among them.

    A letter that is too large for the topic, together with its headers, goes there without the
    record's key and value: the store has them.

    Raises: LogUnavailable, StoreUnavailable, CacheUnavailable. Leaves: the letters perhaps in the
    log, or in the log and the store. Order: the log, the store, the cache. Safe to repeat: the
    topic may get a letter twice, the store keeps it once.
    """
    for letter in letters:
        logger.error(
            "dead letter",
            extra={
                "action": "dead_letter.kept",
                "reason": letter.reason,
                "partition": letter.partition,
                "position": letter.offset,
                "message_id": letter.message_id,
            },
        )
    for letter in await _append(log, topic, letters):
        (future,) = await log.append(topic, [replace(_record(letter), key=b"", value=b"")])
        await future
    await store.save_dead_letters(letters)
    count_letters(letters)
    if messages:
        await cache.dead_letter(messages)


async def _append(log: EventLog, topic: str, letters: Sequence[DeadLetter]) -> list[DeadLetter]:
    """Append the letters to the topic; return those that are too large for it."""
    too_large = []
    futures = await log.append(topic, [_record(letter) for letter in letters])
    for letter, future in zip(letters, futures, strict=True):
        try:
            await future
        except RecordTooLarge:
            too_large.append(letter)
    return too_large


def _record(letter: DeadLetter) -> OutgoingRecord:
    headers = {
        "reason": letter.reason,
        "exception": letter.error,
        "source-topic": letter.topic,
        "source-partition": str(letter.partition),
        "source-offset": letter.offset,
        "attempts": str(letter.attempts),
    }
    return OutgoingRecord(
        key=letter.key,
        value=letter.value,
        headers=tuple((name, text.encode()) for name, text in headers.items()),
    )
