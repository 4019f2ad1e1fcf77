"""Make each act of a group a call of its use case."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping

from messaging.domain.groups import FOR_GOOD, Role
from messaging.service import group_transfer, groups
from messaging.service.backends import Backends
from messaging.service.group_rules import Actor
from tests.simulation.group_acts import GroupAct, Verb

OWNER, GROUP = 1, 7
Call = Callable[[Backends, int, int, Actor], Awaitable[object]]  # group, user


async def _invite(backends: Backends, group: int, user: int, actor: Actor) -> bool:
    return not await groups.invite(backends, group, [user], actor=actor)


async def _remove(backends: Backends, group: int, user: int, actor: Actor) -> bool:
    return not await groups.remove(backends, group, [user], bans=False, actor=actor)


def _mute(for_s: int) -> Call:
    return lambda b, group, user, actor: groups.mute(b, group, user, for_s, actor=actor)


def _mute_all(is_all_muted: bool) -> Call:
    fields = {"is_all_muted": is_all_muted}
    return lambda b, group, _, actor: groups.update(b, group, fields, actor=actor)


_CALLS: Mapping[Verb, Call] = {
    Verb.JOIN: lambda b, group, _, actor: groups.join(b, group, "", actor=actor),
    Verb.INVITE: _invite,
    Verb.LEAVE: lambda b, group, _, actor: groups.leave(b, group, actor=actor),
    Verb.REMOVE: _remove,
    Verb.MUTE: _mute(FOR_GOOD),
    Verb.UNMUTE: _mute(0),
    Verb.MUTE_ALL: _mute_all(True),
    Verb.UNMUTE_ALL: _mute_all(False),
    Verb.PROMOTE: lambda b, group, user, actor: groups.set_role(
        b, group, user, Role.ADMIN, actor=actor
    ),
    Verb.TRANSFER: lambda b, group, user, actor: group_transfer.transfer(
        b, group, user, actor=actor
    ),
    Verb.DISSOLVE: lambda b, group, _, actor: groups.dissolve(b, group, actor=actor),
}


def call_of(act: GroupAct, group: int) -> Callable[[Backends], Awaitable[bool]]:
    """Return the use case of an act: True where it was done, False where the user was refused."""

    async def call(backends: Backends) -> bool:
        done = await _CALLS[act.verb](backends, group, act.user or 0, Actor(user_id=act.actor))
        return done is not False

    return call
