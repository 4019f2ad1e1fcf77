"""Test who may do what to whom in a group: each verb, by each role, to each role.

A refusal raises, or names the refused user, and changes nothing.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable

import pytest

from messaging.domain.errors import (
    ApiError,
    NotAdmitted,
    NotAMember,
    OwnerMustHandOver,
    RoleTooLow,
    UserNotFound,
)
from messaging.domain.groups import Group, Member, PermittedRole, Role
from messaging.ports.groups import GroupChange, GroupFacts, Invitee
from messaging.service import group_rules, membership_rules
from messaging.service.group_rules import Actor
from messaging.service.membership_rules import Refusals, Sizes

NOW_MS = 1_000_000
SIZES = Sizes(members=100, notice_members=50)
OUTSIDER = "outsider"
WHO = {"owner": 1, "admin": 2, "member": 3, OUTSIDER: 4}
OTHERS = {"owner": 1, "admin": 12, "member": 13, OUTSIDER: 14}  # the targets beside the actors
MEMBERS = {
    1: Member(user_id=1, role=Role.OWNER),
    2: Member(user_id=2, role=Role.ADMIN),
    3: Member(user_id=3, role=Role.MEMBER),
    12: Member(user_id=12, role=Role.ADMIN),
    13: Member(user_id=13, role=Role.MEMBER),
}
Verb = Callable[[GroupFacts, Actor, int], GroupChange | tuple[GroupChange, Refusals]]
VERBS: dict[str, Verb] = {
    "update": lambda facts, actor, _: group_rules.update(facts, actor, {"name": "new"}),
    "updateHistory": lambda facts, actor, _: group_rules.update(facts, actor, {"history": "all"}),
    "join": lambda facts, actor, _: membership_rules.join(facts, actor, "", sizes=SIZES),
    "answer": lambda facts, actor, target: membership_rules.answer(
        facts, actor, target, accepts=True, sizes=SIZES
    ),
    "invite": lambda facts, actor, target: membership_rules.invite(
        facts, actor, [target], sizes=SIZES
    ),
    "leave": lambda facts, actor, _: membership_rules.leave(facts, actor, sizes=SIZES),
    "remove": lambda facts, actor, target: membership_rules.remove(
        facts, actor, [target], bans=False
    ),
    "ban": lambda facts, actor, target: membership_rules.remove(facts, actor, [target], bans=True),
    "unban": lambda facts, actor, target: membership_rules.unban(facts, actor, [target]),
    "makeAdmin": lambda facts, actor, target: group_rules.set_role(
        facts, actor, target, Role.ADMIN
    ),
    "makeMember": lambda facts, actor, target: group_rules.set_role(
        facts, actor, target, Role.MEMBER
    ),
    "transfer": group_rules.transfer,
    "mute": lambda facts, actor, target: group_rules.mute(facts, actor, target, -1, now_ms=NOW_MS),
    "unmute": lambda facts, actor, target: group_rules.mute(facts, actor, target, 0, now_ms=NOW_MS),
    "nickname": lambda facts, actor, _: group_rules.set_nickname(facts, actor, "Al"),
    "dissolve": lambda facts, actor, _: group_rules.dissolve(facts, actor),
}
ALL = tuple(WHO)
INSIDE = ("owner", "admin", "member")
LEAD = ("owner", "admin")
# The roles of an actor that may call each verb at all; others get 4002 from outside, else 4003.
CALLERS = {
    "update": LEAD,
    "updateHistory": ("owner",),
    "join": ALL,
    "answer": LEAD,
    "invite": INSIDE,
    "leave": INSIDE,
    "remove": LEAD,
    "ban": LEAD,
    "unban": LEAD,
    "makeAdmin": ("owner",),
    "makeMember": ("owner",),
    "transfer": ("owner",),
    "mute": LEAD,
    "unmute": LEAD,
    "nickname": INSIDE,
    "dissolve": ("owner",),
}
ABOVE = {("owner", "admin"), ("owner", "member"), ("admin", "member")}


def facts(**changes: object) -> GroupFacts:
    group = Group(id=5, name="old", member_count=len(MEMBERS))
    ids = {*WHO.values(), *OTHERS.values()}
    return GroupFacts(
        group=group,
        members=MEMBERS,
        users={user_id: Invitee() for user_id in ids},
        requests=frozenset([OTHERS[OUTSIDER]]),
        admins=2,
        **changes,  # type: ignore[arg-type]
    )


def refusal_of_target(verb: str, actor: str, target: str) -> type[ApiError] | None:
    """Return why a caller with the right to the verb cannot do it to this target."""
    if verb in ("remove", "ban"):
        if target == OUTSIDER:
            return UserNotFound if verb == "remove" else None
        return None if (actor, target) in ABOVE else RoleTooLow
    if verb in ("mute", "unmute", "makeAdmin", "makeMember"):
        if target == OUTSIDER:
            return UserNotFound
        return None if (actor, target) in ABOVE else RoleTooLow
    if verb == "transfer":
        return UserNotFound if target == OUTSIDER else None
    return None


def expected(verb: str, actor: str, target: str) -> type[ApiError] | None:
    if actor not in CALLERS[verb]:
        return NotAMember if actor == OUTSIDER else RoleTooLow
    if verb == "join":
        return NotAdmitted if actor == OUTSIDER else None
    if verb == "leave":
        return OwnerMustHandOver if actor == "owner" else None
    return refusal_of_target(verb, actor, target)


def outcome(verb: str, actor: str, target: str) -> tuple[type[ApiError] | None, GroupChange]:
    try:
        result = VERBS[verb](facts(), Actor(user_id=WHO[actor]), OTHERS[target])
    except ApiError as error:
        return type(error), GroupChange()
    if isinstance(result, GroupChange):
        return None, result
    change, refused = result
    return refused.get(OTHERS[target]), change


@pytest.mark.parametrize(
    ("verb", "actor", "target"), list(itertools.product(VERBS, WHO, OTHERS)), ids="-".join
)
def test_each_role_does_what_it_may_and_nothing_else(verb: str, actor: str, target: str) -> None:
    refusal, change = outcome(verb, actor, target)
    assert refusal is expected(verb, actor, target)
    if refusal is not None:
        assert change == GroupChange()


CHANGING = [
    ("update", "admin", "member"),
    ("updateHistory", "owner", "member"),
    ("answer", "admin", OUTSIDER),
    ("invite", "member", OUTSIDER),
    ("leave", "member", "member"),
    ("remove", "admin", "member"),
    ("ban", "owner", OUTSIDER),
    ("makeAdmin", "owner", "member"),
    ("makeMember", "owner", "admin"),
    ("transfer", "owner", "member"),
    ("mute", "admin", "member"),
    ("nickname", "member", "member"),
    ("dissolve", "owner", "member"),
]


@pytest.mark.parametrize(("verb", "actor", "target"), CHANGING, ids="-".join)
def test_a_permitted_change_is_made_and_told_but_for_a_nickname(
    verb: str, actor: str, target: str
) -> None:
    _, change = outcome(verb, actor, target)
    assert change != GroupChange()
    assert len(change.notices) == (0 if verb == "nickname" else 1)


def test_members_invite_only_where_the_group_lets_them() -> None:
    lead_only = facts()
    closed = GroupFacts(
        group=Group(id=5, name="old", invite_by=PermittedRole.ADMINS, member_count=5),
        members=lead_only.members,
        users=lead_only.users,
    )
    with pytest.raises(RoleTooLow):
        membership_rules.invite(closed, Actor(user_id=3), [14], sizes=SIZES)
    change, _ = membership_rules.invite(closed, Actor(user_id=2), [14], sizes=SIZES)
    assert change.joins == {14: Role.MEMBER}


@pytest.mark.parametrize("verb", sorted(VERBS.keys() - {"join", "leave", "nickname"}))
def test_the_staff_of_the_site_stand_above_the_owner(verb: str) -> None:
    site = Actor(user_id=99, is_site=True)
    result = VERBS[verb](facts(), site, OTHERS["admin"])
    change = result if isinstance(result, GroupChange) else result[0]
    unchanged = verb in ("answer", "invite", "unban", "makeAdmin", "unmute")
    assert (change == GroupChange()) is unchanged


def test_nobody_takes_the_owner_from_a_group() -> None:
    site = Actor(user_id=99, is_site=True)
    change, refused = membership_rules.remove(facts(), site, [1, 3], bans=True)
    assert refused == {1: OwnerMustHandOver}
    assert set(change.leaves) == {3}
    with pytest.raises(RoleTooLow):
        group_rules.set_role(facts(), site, 1, Role.MEMBER)
