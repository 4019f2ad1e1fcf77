"""Decide who comes into a group and who goes, and what the change is.

Pure, as `group_rules` is. A function for several users judges each one alone: beside the change it
returns the refusals, the code of the reason by user.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from messaging.domain.errors import (
    ApiError,
    Blocked,
    GroupDissolved,
    GroupFull,
    NotAdmitted,
    NotAMember,
    OwnerMustHandOver,
    RoleTooLow,
    UserNotFound,
)
from messaging.domain.groups import (
    Event,
    History,
    JoinMode,
    Notice,
    OutReason,
    PermittedRole,
    Role,
)
from messaging.ports.groups import GroupChange, GroupFacts
from messaging.service.group_rules import (
    NOTHING,
    Actor,
    check_right,
    dissolved,
    is_above,
    notice,
)

Refusals = Mapping[int, type[ApiError]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sizes:
    """Hold the most members of a group, and those above whom coming and leaving is not told."""

    members: int
    notice_members: int


def create(
    facts: GroupFacts, user_ids: Sequence[int], *, owner_id: int, sizes: Sizes
) -> tuple[GroupChange, Refusals]:
    """Let the owner into a new group, and the users who let themselves be added."""
    added, refused = _judge(facts, user_ids, room=sizes.members - 1)
    notices = [notice(Event.CREATED, [owner_id])]
    if added:
        notices.append(notice(Event.INVITED, added))
    joins = {owner_id: Role.OWNER} | dict.fromkeys(added, Role.MEMBER)
    return GroupChange(joins=joins, hides_history=False, notices=notices), refused


def judge_again(
    facts: GroupFacts, user_ids: Sequence[int], *, sizes: Sizes
) -> tuple[GroupChange, Refusals]:
    """Change nothing, and return why some of these users are not in a group that was created.

    A user who was in the group, and is out since, was not refused.
    """
    refused = [each for each in user_ids if each not in facts.out]
    return NOTHING, _judge(facts, refused, room=sizes.members - facts.group.member_count)[1]


def join(facts: GroupFacts, actor: Actor, text: str, *, sizes: Sizes) -> GroupChange:
    """Let the one who acts into an open group, or note the newest request to be let in.

    Raises: NotAdmitted by a ban or an invite group; GroupDissolved; GroupFull.
    """
    group, user_id = facts.group, actor.user_id
    if user_id in facts.bans:
        raise NotAdmitted("banned")
    if user_id in facts.members:
        return NOTHING
    if group.is_dissolved:
        raise GroupDissolved
    if group.join_mode is JoinMode.INVITE:
        raise NotAdmitted("invite")
    if group.member_count >= sizes.members:
        raise GroupFull
    if group.join_mode is JoinMode.APPROVAL:
        return GroupChange(asks={user_id: text})
    return _joining(facts, [user_id], Event.JOINED, sizes)


def answer(
    facts: GroupFacts, actor: Actor, user_id: int, *, accepts: bool, sizes: Sizes
) -> GroupChange:
    """Settle a request to join.

    Raises: UserNotFound where the user has not asked, or is gone; NotAdmitted; GroupFull.
    """
    check_right(facts, actor, least=Role.ADMIN)
    if accepts and user_id in facts.members:
        return NOTHING
    if user_id not in facts.requests or (accepts and user_id not in facts.users):
        raise UserNotFound
    if not accepts:
        return GroupChange(answered=frozenset([user_id]))
    if user_id in facts.bans:
        raise NotAdmitted("banned")
    return _joining(facts, [user_id], Event.JOINED, sizes)


def invite(
    facts: GroupFacts, actor: Actor, user_ids: Sequence[int], *, sizes: Sizes
) -> tuple[GroupChange, Refusals]:
    """Add users to the group, as far as they let themselves be added."""
    members_may = facts.group.invite_by is PermittedRole.MEMBERS
    check_right(facts, actor, least=Role.MEMBER if members_may else Role.ADMIN)
    added, refused = _judge(facts, user_ids, room=sizes.members - facts.group.member_count)
    return (_joining(facts, added, Event.INVITED, sizes) if added else NOTHING), refused


def leave(facts: GroupFacts, actor: Actor, *, sizes: Sizes) -> GroupChange:
    """Let the one who acts leave; the group is dissolved when its last member leaves.

    Raises: NotAMember for a user who did not leave by an own wish; OwnerMustHandOver to another
    member first.
    """
    group, user_id = facts.group, actor.user_id
    member = facts.members.get(user_id)
    if member is None:
        if facts.out.get(user_id) is OutReason.LEFT:
            return NOTHING
        raise NotAMember
    is_last = group.member_count <= 1
    if member.role is Role.OWNER and not is_last and not group.is_dissolved:
        raise OwnerMustHandOver
    ends = is_last and not group.is_dissolved
    notices = _told(facts, Event.LEFT, [user_id], sizes)
    return GroupChange(
        group=dissolved(group) if ends else None,
        leaves={user_id: OutReason.LEFT},
        notices=[*notices, notice(Event.DISSOLVED)] if ends else notices,
    )


def remove(
    facts: GroupFacts, actor: Actor, user_ids: Sequence[int], *, bans: bool
) -> tuple[GroupChange, Refusals]:
    """Remove members, and with `bans` keep these users out, members or not.

    A user who was in the group and is out counts as removed.
    """
    check_right(facts, actor, least=Role.ADMIN)
    refused = {
        user_id: refusal
        for user_id in user_ids
        if (refusal := _why_not_removed(facts, actor, user_id, bans=bans)) is not None
    }
    kept_out = [each for each in user_ids if each not in refused]
    reason = OutReason.BANNED if bans else OutReason.REMOVED
    leaves = {each: reason for each in kept_out if each in facts.members}
    newly_banned = [each for each in kept_out if bans and each not in facts.bans]
    told = newly_banned if bans else list(leaves)
    if not leaves and not told:
        return NOTHING, refused
    change = GroupChange(
        leaves=leaves,
        bans=frozenset(newly_banned),
        answered=facts.requests.intersection(newly_banned),
        notices=[notice(Event.BANNED if bans else Event.REMOVED, told)] if told else [],
    )
    return change, refused


def unban(facts: GroupFacts, actor: Actor, user_ids: Sequence[int]) -> tuple[GroupChange, Refusals]:
    """End bans; a user without one needs none to end."""
    check_right(facts, actor, least=Role.ADMIN)
    known = facts.bans | facts.users.keys()
    refused = {each: UserNotFound for each in user_ids if each not in known}
    return GroupChange(unbans=facts.bans.intersection(user_ids)), refused


def _judge(
    facts: GroupFacts, user_ids: Sequence[int], *, room: int
) -> tuple[list[int], dict[int, type[ApiError]]]:
    """Return the users to be added, members left out, and why others cannot be added."""
    added: list[int] = []
    refused: dict[int, type[ApiError]] = {}
    for user_id in user_ids:
        if user_id in facts.members:
            continue
        refusal = _why_not_added(facts, user_id)
        if refusal is None and len(added) >= room:
            refusal = GroupFull
        if refusal is None:
            added.append(user_id)
        else:
            refused[user_id] = refusal
    return added, refused


def _why_not_added(facts: GroupFacts, user_id: int) -> type[ApiError] | None:
    user = facts.users.get(user_id)
    if user is None:
        return UserNotFound
    if user.has_blocked:
        return Blocked
    return NotAdmitted if user_id in facts.bans or not user.takes_invitations else None


def _why_not_removed(
    facts: GroupFacts, actor: Actor, user_id: int, *, bans: bool
) -> type[ApiError] | None:
    member = facts.members.get(user_id)
    if member is None:
        is_known = user_id in facts.out or (bans and user_id in facts.users)
        return None if is_known else UserNotFound
    if is_above(facts, actor, member):
        return None
    return OwnerMustHandOver if actor.is_site else RoleTooLow


def _joining(facts: GroupFacts, user_ids: Sequence[int], event: Event, sizes: Sizes) -> GroupChange:
    """Return the change that makes these users members.

    Raises: GroupFull.
    """
    if facts.group.member_count + len(user_ids) > sizes.members:
        raise GroupFull
    return GroupChange(
        joins=dict.fromkeys(user_ids, Role.MEMBER),
        hides_history=facts.group.history is History.JOINED,
        answered=facts.requests.intersection(user_ids),
        notices=_told(facts, event, user_ids, sizes),
    )


def _told(facts: GroupFacts, event: Event, user_ids: Sequence[int], sizes: Sizes) -> list[Notice]:
    """Return the notice of those who come or leave, unless the group is too large for it."""
    is_silent = facts.group.member_count > sizes.notice_members
    return [] if is_silent else [notice(event, user_ids)]
