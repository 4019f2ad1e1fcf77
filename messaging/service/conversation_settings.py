"""Change what a user has set in a conversation, and clear the conversation for the user.

Nobody else sees any of it. A repeat of a call completes what an earlier one has left.
"""

from __future__ import annotations

import asyncio
import contextlib

from messaging.domain.backend_errors import CacheUnavailable, StoreUnavailable
from messaging.domain.conversation_requests import SetRequest
from messaging.domain.conversations import Entry, Listed, Participant
from messaging.domain.errors import TemporarilyUnavailable
from messaging.domain.ids import first_id_at, time_of_id
from messaging.ports.conversations import ParticipantFacts
from messaging.service import participant_rules
from messaging.service.backends import Backends
from messaging.service.group_changes import CLOCK_DIFFERENCE_MS

LONGEST_WAIT_MS = 5_000  # ids run no further ahead of a clock


async def set_state(backends: Backends, wanted: SetRequest, *, user_id: int) -> Entry:
    """Change settings of a conversation, and return the conversation with them.

    Raises: ConversationNotFound; TooMany; TemporarilyUnavailable; TooManyRequests, at once, for a
    user who changes too much. Leaves: perhaps the change made after TemporarilyUnavailable.
    """
    backends.rates.changes.spend(user_id)
    newest_id = await _newest_listed(backends, wanted.conversation_id)
    now_ms = backends.clock_ms()
    decided: list[ParticipantFacts] = []

    def decide(facts: ParticipantFacts) -> Participant:
        decided.append(facts)
        return participant_rules.set_state(facts, wanted, newest_id=newest_id, now_ms=now_ms)

    try:
        participant = await backends.conversations.change_participant(
            user_id, wanted.conversation_id, decide
        )
    except StoreUnavailable as error:
        raise TemporarilyUnavailable from error
    await _tell_list(backends, participant)
    return Entry(participant=participant, head=decided[-1].head, listed=Listed(newest_id))


async def clear(backends: Backends, conversation_id: str, *, user_id: int) -> Participant:
    """Hide from a user all that a conversation has had until now, for ever.

    The floor lies ahead of all clocks, because an id that is given later by another clock may be
    smaller. The answer waits until every clock has passed the floor: whatever is acknowledged after
    the answer is shown.

    Order: the floor reaches the readings of messages before the list, so that no list tells a floor
    that a page does not have.

    Raises: ConversationNotFound; TemporarilyUnavailable; TooManyRequests, at once, for a user who
    changes too much. Leaves: perhaps the floor raised after TemporarilyUnavailable.
    """
    backends.rates.changes.spend(user_id)
    now_ms = backends.clock_ms()
    ahead_id = first_id_at(now_ms + CLOCK_DIFFERENCE_MS + 1) - 1
    floor_id = max(ahead_id, await _newest_listed(backends, conversation_id))
    try:
        participant, hint = await backends.conversations.change_hinted(
            user_id,
            conversation_id,
            lambda facts: participant_rules.clear(facts, floor_id=floor_id, now_ms=now_ms),
        )
    except StoreUnavailable as error:
        raise TemporarilyUnavailable from error
    await backends.writes.raise_floor(participant, hint)
    await _tell_list(backends, participant)
    wait_ms = time_of_id(participant.floor_id) + CLOCK_DIFFERENCE_MS - now_ms
    await asyncio.sleep(min(wait_ms, LONGEST_WAIT_MS) / 1000)
    return participant


async def _tell_list(backends: Backends, participant: Participant) -> None:
    """Tell the user's cached list of a change."""
    with contextlib.suppress(CacheUnavailable):  # a list from before an outage does not count
        await backends.cache.raise_participants([participant])


async def _newest_listed(backends: Backends, conversation_id: str) -> int:
    """Return the largest id that the cache lists; 0 where it lists none, or is away."""
    try:
        newest = await backends.cache.newest_ids([conversation_id])
    except CacheUnavailable:
        return 0
    return newest.get(conversation_id, Listed()).newest_id
