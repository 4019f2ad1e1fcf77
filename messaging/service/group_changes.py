"""Change a group: decide and write in one transaction, then tell the cache and all processes.

Order of each change:

1. Count the change against the rate of the one who acts. A change that may take a right away holds
   one of a few places from here on, because its answer may have to wait.
2. Decide and write, in one transaction, with a hint of each notice.
3. Where the decision hides the history from users who join, nothing is written: open a floor, below
   which nothing is accepted from then on, then decide and write.
4. Where a stored row of a later clock has set the floor, open the floor there as well.
5. Let every process doubt the rights that may have shrunk, and forget what it knows. Drop the
   cached conversation lists of those concerned.
6. Show the notices to the cache, and drop their hints.

A repeat finds the decision made, and takes the other steps again.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from messaging.domain.backend_errors import CacheUnavailable, StoreUnavailable
from messaging.domain.changes import Change, GroupChanged, MemberChanged
from messaging.domain.errors import TemporarilyUnavailable
from messaging.domain.groups import Group
from messaging.domain.ids import first_id_at, group_conversation, time_of_id
from messaging.ports.groups import ChangedGroup, Decide, GroupChange, GroupFacts, GroupOrder
from messaging.service.backends import Backends
from messaging.service.group_rules import Actor

T = TypeVar("T")

CHANGE_TIMEOUT_S = 3.0
# No process remembers a right for longer, the look-up under way at the change included.
FORGOTTEN_AFTER_S = 5.3
CLOCK_DIFFERENCE_MS = 250  # the largest between the clocks of a site's machines
USERS_A_CHANGE = 10  # so many users named by one call count as one change
TOLD_ONE_BY_ONE = 20  # members; of more, the processes forget the whole group


class _FloorNeeded(Exception):
    """The change lets users in who are to see nothing of before, and no floor was opened."""


@dataclass(slots=True, kw_only=True)
class GroupCall:
    """Hold one wish to change a group, before it is known whether the wish is granted.

    `involved`: the users concerned, beside the one who acts.
    `narrows`: whose rights may shrink; None: those of everybody in the group.
    `changes_group`: the group's own state may change.
    """

    actor: Actor
    decide: Decide
    involved: Sequence[int] = ()
    narrows: frozenset[int] | None = frozenset()
    changes_group: bool = False
    _conversation: str = field(default="", init=False)

    def order(self, backends: Backends, *, floor_ms: int | None = None) -> GroupOrder:
        def decide(facts: GroupFacts) -> GroupChange:
            self._conversation = group_conversation(facts.group.id)
            decided = self.decide(facts)
            if decided.joins and decided.hides_history and floor_ms is None:
                raise _FloorNeeded
            return decided

        def next_id(above: int) -> int:
            backends.ids.go_past(time_of_id(above))
            return backends.ids.next_id(self._conversation)

        return GroupOrder(
            actor_id=self.actor.user_id,
            involved=self.involved,
            decide=decide,
            next_id=next_id,
            now_ms=backends.clock_ms(),
            floor_id=0 if floor_ms is None else first_id_at(floor_ms + 1) - 1,
        )

    @property
    def is_narrowing(self) -> bool:
        """Tell whether rights may shrink by this call."""
        return self.narrows is None or bool(self.narrows)

    @property
    def users(self) -> list[int]:
        """Return the users concerned, the one who acts among them."""
        return list(dict.fromkeys((self.actor.user_id, *self.involved)))

    def changes(self, group_id: int) -> list[Change]:
        """Return what the processes are told to forget."""
        users = self.users
        if self.changes_group or len(users) > TOLD_ONE_BY_ONE:
            return [GroupChanged(group_id)]
        return [MemberChanged(group_id, user_id) for user_id in users]


async def create(
    backends: Backends, call: GroupCall, group: Group, *, request_id: str | None
) -> ChangedGroup:
    """Create a group; with a request id known of this creator, return the first one's group.

    Raises: as `change` does.
    """
    _count(backends, call)
    order = call.order(backends)
    changed = await _in_time(backends.groups.create_group(group, order, request_id=request_id))
    await tell(backends, call, changed.group.id)
    await _show(backends, changed)
    return changed


async def change(backends: Backends, group_id: int, call: GroupCall) -> ChangedGroup:
    """Change a group, and return when no process acts by the old state any more.

    Raises: GroupNotFound; the errors of `call.decide`; IdsUnavailable; TooManyRequests, at once,
    for a user who changes too much; TemporarilyUnavailable.
    Leaves: perhaps the change made after TemporarilyUnavailable. Safe to repeat: a repeat completes
    the change. Nothing is changed where too many answers wait already, while Redis is away.
    """
    _count(backends, call)
    async with backends.narrowings.place() if call.is_narrowing else contextlib.nullcontext():
        return await _change(backends, group_id, call)


async def _change(backends: Backends, group_id: int, call: GroupCall) -> ChangedGroup:
    order = call.order(backends)
    try:
        changed = await _in_time(backends.groups.change_group(group_id, order))
    except _FloorNeeded:
        order = call.order(backends, floor_ms=await _open_floor(backends, group_id))
        changed = await _in_time(backends.groups.change_group(group_id, order))
    if changed.change.joins and changed.floor_id > order.floor_id:
        await _raise_floor(backends, changed)
    is_doubted = await tell(backends, call, group_id)
    await _show(backends, changed)
    if not is_doubted:
        await backends.narrowings.stay(FORGOTTEN_AFTER_S)
    return changed


async def tell(backends: Backends, call: GroupCall, group_id: int) -> bool:
    """Let all processes doubt the rights that may have shrunk, and forget what has changed.

    Return False where the cache could not be told of the doubt: then a process may act by a right
    that was taken away, until `FORGOTTEN_AFTER_S`.

    The lists are dropped whatever was decided now, because an earlier call may have decided and
    come no further. No list counts in a cache that could not be told, once the cache is back.
    """
    is_doubted = True
    if call.is_narrowing:
        try:
            await backends.cache.distrust(group_conversation(group_id), call.narrows)
        except CacheUnavailable:
            is_doubted = False
    with contextlib.suppress(CacheUnavailable):
        await backends.cache.forget_listings(call.users)
    await backends.publish(call.changes(group_id))
    return is_doubted


def _count(backends: Backends, call: GroupCall) -> None:
    """Count the change, once for each ten users that it names; the site's staff have no rate."""
    if call.actor.is_site:
        return
    rates, user_id = backends.rates.changes, call.actor.user_id
    rates.spend(user_id)
    rates.charge(user_id, max(len(call.involved) - 1, 0) // USERS_A_CHANGE)


async def _open_floor(backends: Backends, group_id: int) -> int:
    """Return the time (ms) of a floor, once no message below it can be accepted any more.

    The cache refuses such messages. Without the cache, the clocks of all processes have to pass the
    floor.
    """
    now_ms = backends.ids.now_ms()
    try:
        return await backends.cache.open_floor(group_conversation(group_id), now_ms)
    except CacheUnavailable:
        await asyncio.sleep(2 * CLOCK_DIFFERENCE_MS / 1000)
        return now_ms + CLOCK_DIFFERENCE_MS


async def _raise_floor(backends: Backends, changed: ChangedGroup) -> None:
    """Have the cache refuse messages below a floor that a row of a later clock has set.

    Without the cache a message needs no more: its sender's clock has passed the floor by then.
    """
    with contextlib.suppress(CacheUnavailable):
        await backends.cache.open_floor(
            group_conversation(changed.group.id), time_of_id(changed.floor_id)
        )


async def _in_time(changing: Awaitable[T]) -> T:
    """Return the result of a transaction.

    Raises: TemporarilyUnavailable past `CHANGE_TIMEOUT_S`, and when the database is away.
    """
    try:
        async with asyncio.timeout(CHANGE_TIMEOUT_S):
            return await changing
    except (StoreUnavailable, TimeoutError) as error:
        raise TemporarilyUnavailable from error


async def _show(backends: Backends, changed: ChangedGroup) -> None:
    """Show the notices to the cache; while it is away their hints stay."""
    rows = list(changed.notices)
    if not rows:
        return
    try:
        await backends.cache.mark_stored(rows)
        await backends.cache.add_details(rows)
    except CacheUnavailable:
        await backends.hints.hand_over(rows)
        return
    with contextlib.suppress(StoreUnavailable):  # a hint too many does no harm
        await backends.store.drop_hints(changed.hints)
