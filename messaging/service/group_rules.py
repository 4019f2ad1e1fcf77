"""Decide who may change a group and its members' roles, and what the change is.

Pure. Each function judges the facts that a store has read under the lock of the group, and returns
the change to be written, with its notices. A change whose wish is fulfilled already is empty.
`membership_rules` decides who comes into a group and who goes.

Raises: NotAMember for one who acts from outside; GroupDissolved; RoleTooLow; from every function.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from msgspec.structs import replace

from messaging.domain.errors import (
    GroupDissolved,
    NotAMember,
    RoleTooLow,
    TemporarilyUnavailable,
    TooMany,
    UserNotFound,
)
from messaging.domain.groups import (
    FOR_GOOD,
    Event,
    Group,
    GroupState,
    Member,
    Membership,
    Notice,
    Role,
)
from messaging.limits import MAX_ADMINS, MAX_NOTICE_USERS
from messaging.ports.groups import GroupChange, GroupFacts

REPEAT_MS = 10_000  # a mute so little longer than the present one is a repeat of it
OWNERS_FIELDS = frozenset({"join_mode", "history"})
NOTICED_FIELDS = {
    "name": "name",
    "avatar": "avatar",
    "announcement": "announcement",
    "join_mode": "joinMode",
    "history": "history",
    "invite_by": "inviteBy",
    "at_all_by": "atAllBy",
}
NOTHING = GroupChange()


@dataclass(frozen=True, slots=True, kw_only=True)
class Actor:
    """Hold the one who acts. `is_site`: the staff of the site, who stand above the owner."""

    user_id: int
    is_site: bool = False


def check_right(facts: GroupFacts, actor: Actor, *, least: Role = Role.MEMBER) -> None:
    """Check that the one who acts has at least this role in a group that is not dissolved."""
    member = facts.members.get(actor.user_id)
    if member is None and not actor.is_site:
        raise NotAMember
    if facts.group.is_dissolved:
        raise GroupDissolved
    if not actor.is_site and member is not None and least.is_above(member.role):
        raise RoleTooLow


def is_above(facts: GroupFacts, actor: Actor, target: Member) -> bool:
    """Tell whether the one who acts stands above a member."""
    if actor.is_site:  # a group keeps its owner until the group is handed over
        return target.role is not Role.OWNER
    return facts.members[actor.user_id].role.is_above(target.role)


def notice(event: Event, user_ids: Sequence[int] = ()) -> Notice:
    return Notice(event=event, user_ids=tuple(user_ids[:MAX_NOTICE_USERS]), count=len(user_ids))


def update(facts: GroupFacts, actor: Actor, fields: Mapping[str, object]) -> GroupChange:
    """Set these fields of the group; how users join, and what they see, is the owner's to set."""
    is_owners = not OWNERS_FIELDS.isdisjoint(fields)
    check_right(facts, actor, least=Role.OWNER if is_owners else Role.ADMIN)
    group = facts.group
    updated: Group = replace(group, **fields)
    changed = [name for name in fields if getattr(group, name) != getattr(updated, name)]
    if not changed:
        return NOTHING
    notices = []
    if told := tuple(shown for name, shown in NOTICED_FIELDS.items() if name in changed):
        notices.append(Notice(event=Event.UPDATED, changed=told))
    if "is_all_muted" in changed:
        notices.append(notice(Event.ALL_MUTED if updated.is_all_muted else Event.ALL_UNMUTED))
    return GroupChange(group=updated, notices=notices)


def set_role(facts: GroupFacts, actor: Actor, user_id: int, role: Role) -> GroupChange:
    """Make a member an administrator, or an administrator a member.

    Raises: UserNotFound for a user who is no member; TooMany administrators.
    """
    check_right(facts, actor, least=Role.OWNER)
    target = _target(facts, actor, user_id)
    if target.role is role:
        return NOTHING
    if role is Role.ADMIN:
        _check_admins(facts)
    told = replace(notice(Event.ROLE, [user_id]), role=role)
    return GroupChange(members=[replace(target, role=role)], notices=[told])


def transfer(facts: GroupFacts, actor: Actor, user_id: int) -> GroupChange:
    """Make a member the owner, and the owner an administrator.

    For the site the owner must be among the users concerned.

    Raises: UserNotFound for a user who is no member, or may not act; TooMany administrators;
    TemporarilyUnavailable where another owner has taken over meanwhile.
    """
    check_right(facts, actor, least=Role.OWNER)
    target = facts.members.get(user_id)
    if target is None or user_id not in facts.users:
        raise UserNotFound
    if target.role is Role.OWNER:
        return NOTHING
    owner = next((each for each in facts.members.values() if each.role is Role.OWNER), None)
    if owner is None:
        raise TemporarilyUnavailable
    if target.role is not Role.ADMIN:
        _check_admins(facts)
    new = replace(target, role=Role.OWNER, muted_until=0)
    return GroupChange(
        members=[replace(owner, role=Role.ADMIN), new],
        notices=[notice(Event.TRANSFERRED, [user_id])],
    )


def mute(facts: GroupFacts, actor: Actor, user_id: int, until: int, *, now_ms: int) -> GroupChange:
    """Mute a member until a time, for good (FOR_GOOD), or no longer (0).

    A repeat comes a little later, and its end with it: so an end that is hardly later than the
    present one changes nothing.

    Raises: UserNotFound for a user who is no member.
    """
    check_right(facts, actor, least=Role.ADMIN)
    target = _target(facts, actor, user_id)
    present = muted_until(target, now_ms)
    if present == until or (
        present > 0 and 0 <= until - present <= min(REPEAT_MS, (until - now_ms) // 10)
    ):
        return NOTHING
    told = replace(notice(Event.MUTED if until else Event.UNMUTED, [user_id]), muted_until=until)
    return GroupChange(members=[replace(target, muted_until=until)], notices=[told])


def set_nickname(facts: GroupFacts, actor: Actor, nickname: str) -> GroupChange:
    check_right(facts, actor)
    member = facts.members[actor.user_id]
    if member.nickname == nickname:
        return NOTHING
    return GroupChange(members=[replace(member, nickname=nickname)])


def dissolve(facts: GroupFacts, actor: Actor) -> GroupChange:
    """Dissolve the group; its owner may repeat this."""
    member = facts.members.get(actor.user_id)
    is_owner = actor.is_site or (member is not None and member.role is Role.OWNER)
    if is_owner and facts.group.is_dissolved:
        return NOTHING
    check_right(facts, actor, least=Role.OWNER)
    return GroupChange(group=dissolved(facts.group), notices=[notice(Event.DISSOLVED)])


def dissolved(group: Group) -> Group:
    return replace(group, state=GroupState.DISSOLVED)


def muted_until(member: Member | Membership, now_ms: int) -> int:
    """Return the end of the mute that is in force: FOR_GOOD, a later time, or 0 for none."""
    is_muted = member.muted_until == FOR_GOOD or member.muted_until > now_ms
    return member.muted_until if is_muted else 0


def _target(facts: GroupFacts, actor: Actor, user_id: int) -> Member:
    """Return the member that the one who acts stands above.

    Raises: UserNotFound, RoleTooLow.
    """
    target = facts.members.get(user_id)
    if target is None:
        raise UserNotFound
    if not is_above(facts, actor, target):
        raise RoleTooLow
    return target


def _check_admins(facts: GroupFacts) -> None:
    if facts.admins >= MAX_ADMINS:
        raise TooMany(MAX_ADMINS)
