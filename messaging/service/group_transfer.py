"""Hand a group over to another owner.

After the transfer the one who has acted is the owner no more. So a repeat is known by the notice of
the transfer, which is among the newest messages of the group soon after.
"""

from __future__ import annotations

from messaging.domain.backend_errors import StoreUnavailable
from messaging.domain.errors import RoleTooLow, TemporarilyUnavailable
from messaging.domain.groups import Event, Role
from messaging.domain.ids import group_conversation
from messaging.service import group_rules
from messaging.service.backends import Backends
from messaging.service.group_changes import FORGOTTEN_AFTER_S, GroupCall, change, tell
from messaging.service.group_rules import Actor

MESSAGES_SEARCHED = 500


async def transfer(backends: Backends, group_id: int, user_id: int, *, actor: Actor) -> None:
    """Make a member the owner; the old owner, an administrator then, may repeat this.

    Raises: UserNotFound for a user who is no member; TooMany administrators; the errors of every
    use case of `groups`.
    """
    owner_id = await _owner_of(backends, group_id) if actor.is_site else actor.user_id
    call = GroupCall(
        actor=actor,
        decide=lambda facts: group_rules.transfer(facts, actor, user_id),
        involved=[user_id, owner_id],
        narrows=frozenset([owner_id]),
    )
    try:
        await change(backends, group_id, call)
    except RoleTooLow:
        if not await _has_handed_over(backends, group_id, user_id, actor=actor):
            raise
        async with backends.narrowings.place():
            if not await tell(backends, call, group_id):
                await backends.narrowings.stay(FORGOTTEN_AFTER_S)


async def _owner_of(backends: Backends, group_id: int) -> int:
    """Return the owner of a group; 0 where there is none.

    Raises: TemporarilyUnavailable.
    """
    try:
        owners = await backends.groups.members(group_id, role=Role.OWNER, after=None, limit=1)
    except StoreUnavailable as error:
        raise TemporarilyUnavailable from error
    return owners[0].user_id if owners else 0


async def _has_handed_over(
    backends: Backends, group_id: int, user_id: int, *, actor: Actor
) -> bool:
    """Tell whether the last transfer of the group was this one.

    Raises: TemporarilyUnavailable.
    """
    try:
        view = await backends.groups.find_group(group_id, user_id)
        if view is None or view.member is None or view.member.role is not Role.OWNER:
            return False
        rows = await backends.store.page(
            group_conversation(group_id), before=None, limit=MESSAGES_SEARCHED
        )
    except StoreUnavailable as error:
        raise TemporarilyUnavailable from error
    for row in rows:
        if row.notice is not None and row.notice.event is Event.TRANSFERRED:
            return (row.from_user_id, row.notice.user_ids) == (actor.user_id, (user_id,))
    return False
