"""The earlier sends that are known where the cache's claims are not. Used by `accept` alone.

The store knows the keys of what it has, and those that a process has reserved before it gave a
message to the log. A reserved key of which the store has no row says nothing about its message: it
may be under way, or have failed. So a repeat of it is accepted under the same id, as the same
message: whichever arrives, no id is told that leads nowhere, and no second one.
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

SHARE = 1 / 4  # of the time that is left; the sends go on without an answer


@dataclass(frozen=True, slots=True)
class KnownSends:
    """Gives the claims that stand in the way of a group, by the ids of its messages.

    A repeat of an attempt that may have failed has that attempt's id afterwards.
    """

    store: MessageStore
    arrears: Arrears

    async def reserve(self, group: Sequence[Waiting]) -> dict[int, Claim]:
        """With the cache away: reserve the other keys, for processes that retries may come to."""
        claims, unknown = self._of_process(group)
        if unknown:
            claims |= await _in_time(group, self.store.reserve([w.message for w in unknown]))
        return _without_failed(unknown, claims)

    async def look_up(self, group: Sequence[Waiting]) -> dict[int, Claim]:
        """With a cache that may have lost claims: what else is new is for it to claim."""
        claims, unknown = self._of_process(group)
        if unknown:
            claims |= await _in_time(group, self._look_up([w.message for w in unknown]))
        return _without_failed(unknown, claims)

    def _of_process(self, group: Sequence[Waiting]) -> tuple[dict[int, Claim], list[Waiting]]:
        """The claims of sends that the cache is to be told of, and the messages without one."""
        claims: dict[int, Claim] = {}
        unknown: list[Waiting] = []
        for waiting in group:
            if (key := waiting.key) is None:
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
    """The store's answer; none where it has none soon."""
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
