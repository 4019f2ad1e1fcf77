"""Mark how far users have read their conversations, and have got them.

Marks of many clients are written together (`pipeline.gather`): the database first, then the cache.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from messaging.domain.backend_errors import CacheUnavailable, StoreUnavailable
from messaging.domain.conversations import Mark, Participant
from messaging.domain.errors import (
    ApiError,
    ConversationNotFound,
    TemporarilyUnavailable,
    TooManyRequests,
)
from messaging.ports.cache import MessageCache
from messaging.ports.conversations import ConversationStore
from messaging.service.backends import Backends

MARKS_A_CHANGE = 10  # so many marks of one call count as one change


@dataclass(frozen=True, slots=True)
class Marked:
    """Hold the participants after a call, and why marks were refused, by conversation."""

    participants: Sequence[Participant]
    refused: Mapping[str, ApiError] = field(default_factory=dict)


async def mark(backends: Backends, marks: Sequence[Mark], *, user_id: int) -> Marked:
    """Raise the user's positions, and return what counts from now on.

    A position never sinks, and none passes the conversation's last `seq`. A mark of a conversation
    that the user has no part in, or is out of, is refused, and the others count.

    Raises: ConversationNotFound where the only mark is refused; TooManyRequests, at once, for a
    user who changes too much; TemporarilyUnavailable.
    Leaves: perhaps some marks written after TemporarilyUnavailable. Safe to repeat.
    """
    backends.rates.changes.spend(user_id)
    backends.rates.changes.charge(user_id, (len(marks) - 1) // MARKS_A_CHANGE)
    try:
        found = await backends.marks.submit(marks)
    except StoreUnavailable as error:
        raise TemporarilyUnavailable from error
    refused = {
        each.conversation_id: ConversationNotFound()
        for each, participant in zip(marks, found, strict=True)
        if participant is None
    }
    if refused and len(marks) == 1:
        raise ConversationNotFound
    return Marked([each for each in found if each is not None], refused)


def mark_later(backends: Backends, marks: Sequence[Mark]) -> None:
    """Raise positions in the background; marks that find no room or no database are dropped."""
    with contextlib.suppress(TooManyRequests):
        backends.marks.submit_later(marks)


async def write_marks(
    conversations: ConversationStore,
    cache: MessageCache,
    clock_ms: Callable[[], int],
    marks: Sequence[Mark],
) -> dict[tuple[int, str], Participant]:
    """Write marks of distinct participants, and tell the cache.

    Raises: StoreUnavailable.
    """
    participants = await conversations.mark(marks, now_ms=clock_ms())
    with contextlib.suppress(CacheUnavailable):  # its copies count no more once it comes back
        await cache.raise_participants(list(participants.values()))
    return participants
