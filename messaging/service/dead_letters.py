"""Decide about dead letters: replay them into the log, or discard them. For operators."""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Awaitable, Callable, Sequence

from messaging.domain.backend_errors import StoreUnavailable
from messaging.domain.errors import TemporarilyUnavailable
from messaging.domain.message import ID_MAX
from messaging.ports.log import OutgoingRecord
from messaging.ports.store import DeadLetter, DeadLetterState
from messaging.service.access import find_message
from messaging.service.backends import Backends

logger = logging.getLogger(__name__)

Decision = Callable[[Backends, Sequence[DeadLetter]], Awaitable[Sequence[DeadLetter]]]
_MESSAGE_ID = re.compile(rb'"messageId"\s*:\s*"?([0-9]{1,19})')


async def replay(backends: Backends, letters: Sequence[DeadLetter]) -> Sequence[DeadLetter]:
    """Append these records to the topic again, byte for byte; return those that the log confirmed.

    The returned letters are REPLAYED from now on, the others stay as they are. The consumer judges
    each record anew: a record that still cannot be persisted becomes another dead letter, at its
    new position.

    Raises: TemporarilyUnavailable when the store could not note the new state: replay again then.
    Safe to repeat: a message whose record is replayed twice is stored once.
    """
    records = [OutgoingRecord(key=letter.key, value=letter.value) for letter in letters]
    futures = await backends.log.append(backends.settings.topic, records)
    outcomes = await asyncio.gather(*futures, return_exceptions=True)
    appended = [
        letter
        for letter, outcome in zip(letters, outcomes, strict=True)
        if not isinstance(outcome, BaseException)
    ]
    await _settle(backends, appended, DeadLetterState.REPLAYED)
    return appended


async def discard(backends: Backends, letters: Sequence[DeadLetter]) -> Sequence[DeadLetter]:
    """Mark these dead letters as DISCARDED; return them.

    Discarded letters are kept, and can be replayed later.

    Raises: TemporarilyUnavailable. Safe to repeat.
    """
    await _settle(backends, letters, DeadLetterState.DISCARDED)
    return letters


async def shows_recalled(backends: Backends, letter: DeadLetter) -> bool:
    """Tell whether a record holds the content of a recalled message, which nobody may be shown.

    The record need not be readable as a message: message ids are searched in its bytes.

    Raises: TemporarilyUnavailable when the answer cannot be known now.
    """
    named = {letter.message_id or 0, *map(int, _MESSAGE_ID.findall(letter.value))}
    for message_id in sorted(named):
        if 0 < message_id <= ID_MAX:
            message = await find_message(backends, message_id)
            if message is not None and message.is_recalled:
                return True
    return False


async def _settle(
    backends: Backends, letters: Sequence[DeadLetter], state: DeadLetterState
) -> None:
    try:
        await backends.store.settle_dead_letters([letter.source for letter in letters], state)
    except StoreUnavailable as error:
        raise TemporarilyUnavailable from error
    for letter in letters:
        logger.info(
            "dead letter settled",
            extra={
                "action": "dead_letter.settled",
                "state": state.value,
                "partition": letter.partition,
                "position": letter.offset,
                "message_id": letter.message_id,
            },
        )
