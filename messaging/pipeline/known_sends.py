"""Find earlier sends without the cache's claims. Used by `accept` alone.

The store has the keys of its rows, and the keys that a process reserved before the process gave a
message to the log. A reserved key without a row says nothing about its message, which may be under
way or have failed. So a repeat of such a send is accepted under the reserved id, as the same
message. Whichever of the two is stored, the client has only one id, and the id leads to a message.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Sequence
from dataclasses import dataclass

from messaging.domain.errors import BadData, StoreUnavailable
from messaging.domain.events import Message
from messaging.pipeline.arrears import Arrears
from messaging.pipeline.waiting import Waiting, share_of_time
from messaging.ports.cached import Claim
from messaging.ports.store import MessageStore

SHARE = 1 / 4  # of the time that is left; past it the sends go on without the store's answer


@dataclass(frozen=True, slots=True)
class KnownSends:
    """Find the claims of earlier sends that a group repeats, by the ids of the group's messages.

    A repeat of an attempt that may have failed has no claim here: it takes that attempt's id.
    """

    store: MessageStore
    arrears: Arrears

    async def reserve(self, group: Sequence[Waiting]) -> dict[int, Claim]:
        """Return the group's claims, and reserve the keys of its other messages in the store.

        For while the cache is away: a retry may come to another process, which finds the key.
        """
        claims, unknown = self._of_process(group)
        if unknown:
            claims |= await _in_time(group, self.store.reserve([w.message for w in unknown]))
        return _without_failed(unknown, claims)

    async def look_up(self, group: Sequence[Waiting]) -> dict[int, Claim]:
        """Return the group's claims, without reserving any key.

        For a cache that may have lost claims: the cache itself claims the keys of new messages.
        """
        claims, unknown = self._of_process(group)
        if unknown:
            claims |= await _in_time(group, self._look_up([w.message for w in unknown]))
        return _without_failed(unknown, claims)

    def _of_process(self, group: Sequence[Waiting]) -> tuple[dict[int, Claim], list[Waiting]]:
        """Return the claims of this process's late sends, and the keyed messages without one."""
        claims: dict[int, Claim] = {}
        unknown: list[Waiting] = []
        for waiting in group:
            if (key := waiting.message.key) is None:
                continue
            if (claim := self.arrears.claim_of(*key)) is not None:
                claims[waiting.message.id] = claim
            else:
                unknown.append(waiting)
        return claims, unknown

    async def _look_up(self, messages: Sequence[Message]) -> dict[int, Claim]:
        keys = {m.id: key for m in messages if (key := m.send_key) is not None}
        found = await self.store.find_claims(list(dict.fromkeys(keys.values())))
        claims = {i: found[key] for i, key in keys.items() if key in found}
        return {i: claim for i, claim in claims.items() if claim.message_id != i}


async def _in_time(
    group: Sequence[Waiting], asked: Awaitable[dict[int, Claim]]
) -> dict[int, Claim]:
    """Return the store's claims; none when the store fails, or is slower than its share of time."""
    with contextlib.suppress(StoreUnavailable, BadData, TimeoutError):
        async with asyncio.timeout_at(share_of_time(group, SHARE)):
            return await asked
    return {}


def _without_failed(group: Sequence[Waiting], claims: dict[int, Claim]) -> dict[int, Claim]:
    for waiting in group:
        claim = claims.get(waiting.message.id)
        if claim is not None and not claim.is_stored:
            del claims[waiting.message.id]
            waiting.adopt(claim.message_id)
    return claims
