"""Change the group of a schedule as its users, and have those concerned ask at once afterwards."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any

from messaging.domain.errors import ApiError
from messaging.domain.message import ChatType
from messaging.service.backends import Backends
from tests.simulation.clients import RETRIABLE, NoAnswer, SimulatedClient
from tests.simulation.group_acts import GroupAct, Outcome, Verb
from tests.simulation.group_verbs import GROUP, OWNER, call_of

if TYPE_CHECKING:
    from random import Random

    from tests.simulation.world import World

ABOUT_ALL = frozenset({Verb.MUTE_ALL, Verb.UNMUTE_ALL, Verb.DISSOLVE})
ABOUT_ONESELF = frozenset({Verb.JOIN, Verb.LEAVE})
NARROWING = frozenset({Verb.LEAVE, Verb.REMOVE, Verb.MUTE, Verb.MUTE_ALL, Verb.DISSOLVE})
WEIGHTS: Mapping[Verb, tuple[int, int]] = {  # of the owner at the start, and of the others
    Verb.JOIN: (0, 8),
    Verb.INVITE: (8, 2),
    Verb.LEAVE: (1, 5),
    Verb.REMOVE: (8, 1),
    Verb.MUTE: (4, 1),
    Verb.UNMUTE: (4, 1),
    Verb.MUTE_ALL: (2, 1),
    Verb.UNMUTE_ALL: (2, 1),
    Verb.PROMOTE: (2, 1),
    Verb.TRANSFER: (1, 1),
    Verb.DISSOLVE: (1, 0),
}


class GroupMember(SimulatedClient):
    """Change the group as one user.

    All draws come from a stream of the group's own, so that the other clients keep theirs.
    """

    def __init__(self, world: World, user: int, random: Random) -> None:
        super().__init__(world, user, random)
        self.fellows: Mapping[int, GroupMember] = {}

    async def change(self, acts: int) -> None:
        verbs, is_owner = list(WEIGHTS), self._user == OWNER
        weights = [owners if is_owner else others for owners, others in WEIGHTS.values()]
        for _ in range(acts):
            await asyncio.sleep(self._random.choice((0.0, 0.1, 1.0)) * self._random.random())
            (verb,) = self._random.choices(verbs, weights)
            act = GroupAct(verb, self._user, self._meant(verb), self._record.tick())
            self._record.acts.append(act)
            outcome = await self._outcome(call_of(act, GROUP))
            act.end(outcome, self._record.tick())
            self._world.trace("", f"user {self._user}: {verb} {act.user}: {outcome}")
            if outcome is Outcome.DONE and verb in NARROWING:
                await self._have_asked(act.user)

    def _meant(self, verb: Verb) -> int | None:
        if verb in ABOUT_ALL:
            return None
        if verb in ABOUT_ONESELF:
            return self._user
        return self._random.choice([user for user in self.fellows if user != self._user])

    async def _outcome(self, use_case: Callable[[Backends], Awaitable[bool]]) -> Outcome:
        try:
            taken = await self._asked(use_case, self._random.choice(self._world.webs))
        except NoAnswer:
            return Outcome.UNKNOWN
        except ApiError as error:
            is_unknown = error.http_status in RETRIABLE
            return Outcome.UNKNOWN if is_unknown else Outcome.REFUSED
        return Outcome.DONE if taken else Outcome.REFUSED

    async def _have_asked(self, user: int | None) -> None:
        """Have whoever has lost a right use the right at once, in any process."""
        meant = self._random.choice(list(self.fellows)) if user is None else user
        await self.fellows[meant].use_rights()

    async def use_rights(self) -> None:
        """Send to the group and read it, in either order."""
        target = ChatType.GROUP, GROUP
        deeds: list[Callable[[], Awaitable[Any]]] = [
            lambda: self._send(target),
            lambda: self.read(*target),
            self._fetch,
        ]
        self._random.shuffle(deeds)
        for deed in deeds:
            await deed()
