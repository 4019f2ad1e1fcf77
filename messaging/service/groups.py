"""Create groups and change them, one use case a verb: each passes a rule to `group_changes`.

Raises: GroupNotFound, NotAMember, RoleTooLow, GroupDissolved, TooManyRequests, IdsUnavailable and
TemporarilyUnavailable, from every use case, beside the errors of its rule.
Safe to repeat: every use case; a repeat is answered like the first call, and told to nobody.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from messaging.domain.groups import (
    Group,
    History,
    JoinMode,
    Member,
    PermittedRole,
    Role,
)
from messaging.ports.groups import ChangedGroup, GroupChange, GroupFacts, GroupView
from messaging.service import group_rules, membership_rules
from messaging.service.backends import Backends
from messaging.service.group_changes import GroupCall, change, create
from messaging.service.group_rules import Actor
from messaging.service.membership_rules import Refusals, Sizes

EVERYBODY = None
NARROWED = {
    "is_all_muted": True,
    "at_all_by": PermittedRole.ADMINS,
    "invite_by": PermittedRole.ADMINS,
    "history": History.JOINED,
}


@dataclass(frozen=True, slots=True)
class Judged:
    """Hold a changed group, and why users named by the call were refused."""

    changed: ChangedGroup
    refused: Refusals


def view_of(changed: ChangedGroup, user_id: int) -> GroupView:
    return GroupView(changed.group, changed.members.get(user_id), is_banned=False)


async def create_group(
    backends: Backends,
    fields: Mapping[str, object],
    *,
    actor: Actor,
    user_ids: Sequence[int] = (),
    owner_id: int | None = None,
    request_id: str | None = None,
) -> Judged:
    """Create a group of its owner, who is the one who acts unless named, and of these users."""
    owner = actor.user_id if owner_id is None else owner_id
    judging = _Judging(
        lambda facts: membership_rules.create(
            facts, user_ids, owner_id=owner, sizes=_sizes(backends)
        )
    )
    group = Group(id=0, **fields)  # type: ignore[arg-type]
    call = GroupCall(actor=actor, decide=judging, involved=[owner, *user_ids], changes_group=True)
    changed = await create(backends, call, group, request_id=request_id)
    if not changed.change.joins and user_ids:
        judging.rule = lambda facts: membership_rules.judge_again(
            facts, user_ids, sizes=_sizes(backends)
        )
        again = GroupCall(actor=actor, decide=judging, involved=user_ids)
        await change(backends, changed.group.id, again)
    return Judged(changed, judging.refused)


async def update(
    backends: Backends, group_id: int, fields: Mapping[str, object], *, actor: Actor
) -> ChangedGroup:
    is_narrower = fields.get("join_mode") not in (None, JoinMode.OPEN) or any(
        fields.get(name) == value for name, value in NARROWED.items()
    )
    call = GroupCall(
        actor=actor,
        decide=lambda facts: group_rules.update(facts, actor, fields),
        narrows=EVERYBODY if is_narrower else frozenset(),
        changes_group=True,
    )
    return await change(backends, group_id, call)


async def join(backends: Backends, group_id: int, text: str, *, actor: Actor) -> bool:
    """Join a group, or ask to; return whether the one who acts is a member now."""
    call = GroupCall(
        actor=actor,
        decide=lambda facts: membership_rules.join(facts, actor, text, sizes=_sizes(backends)),
    )
    return actor.user_id in (await change(backends, group_id, call)).members


async def answer(
    backends: Backends, group_id: int, user_id: int, *, accepts: bool, actor: Actor
) -> None:
    call = GroupCall(
        actor=actor,
        decide=lambda facts: membership_rules.answer(
            facts, actor, user_id, accepts=accepts, sizes=_sizes(backends)
        ),
        involved=[user_id],
    )
    await change(backends, group_id, call)


async def invite(
    backends: Backends, group_id: int, user_ids: Sequence[int], *, actor: Actor
) -> Refusals:
    """Add users, and return why the others were refused."""
    judging = _Judging(
        lambda facts: membership_rules.invite(facts, actor, user_ids, sizes=_sizes(backends))
    )
    call = GroupCall(actor=actor, decide=judging, involved=user_ids)
    await change(backends, group_id, call)
    return judging.refused


async def leave(backends: Backends, group_id: int, *, actor: Actor) -> None:
    call = GroupCall(
        actor=actor,
        decide=lambda facts: membership_rules.leave(facts, actor, sizes=_sizes(backends)),
        narrows=frozenset([actor.user_id]),
    )
    await change(backends, group_id, call)


async def remove(
    backends: Backends, group_id: int, user_ids: Sequence[int], *, bans: bool, actor: Actor
) -> Refusals:
    """Remove or ban users, and return why the others were refused."""
    judging = _Judging(lambda facts: membership_rules.remove(facts, actor, user_ids, bans=bans))
    call = GroupCall(actor=actor, decide=judging, involved=user_ids, narrows=frozenset(user_ids))
    await change(backends, group_id, call)
    return judging.refused


async def unban(
    backends: Backends, group_id: int, user_ids: Sequence[int], *, actor: Actor
) -> Refusals:
    judging = _Judging(lambda facts: membership_rules.unban(facts, actor, user_ids))
    await change(backends, group_id, GroupCall(actor=actor, decide=judging, involved=user_ids))
    return judging.refused


async def set_role(
    backends: Backends, group_id: int, user_id: int, role: Role, *, actor: Actor
) -> None:
    call = GroupCall(
        actor=actor,
        decide=lambda facts: group_rules.set_role(facts, actor, user_id, role),
        involved=[user_id],
        narrows=frozenset([user_id] if role is Role.MEMBER else []),
    )
    await change(backends, group_id, call)


async def mute(backends: Backends, group_id: int, user_id: int, for_s: int, *, actor: Actor) -> int:
    """Mute a member for some seconds, for good (FOR_GOOD) or no longer (0); return the end."""
    now_ms = backends.clock_ms()
    until = now_ms + for_s * 1000 if for_s > 0 else for_s
    call = GroupCall(
        actor=actor,
        decide=lambda facts: group_rules.mute(facts, actor, user_id, until, now_ms=now_ms),
        involved=[user_id],
        narrows=frozenset([user_id] if for_s else []),
    )
    member: Member = (await change(backends, group_id, call)).members[user_id]
    return group_rules.muted_until(member, now_ms)


async def set_nickname(backends: Backends, group_id: int, nickname: str, *, actor: Actor) -> None:
    call = GroupCall(
        actor=actor, decide=lambda facts: group_rules.set_nickname(facts, actor, nickname)
    )
    await change(backends, group_id, call)


async def dissolve(backends: Backends, group_id: int, *, actor: Actor) -> None:
    call = GroupCall(
        actor=actor,
        decide=lambda facts: group_rules.dissolve(facts, actor),
        narrows=EVERYBODY,
        changes_group=True,
    )
    await change(backends, group_id, call)


@dataclass(slots=True)
class _Judging:
    """Decide by a rule for several users, and keep its refusals."""

    rule: Callable[[GroupFacts], tuple[GroupChange, Refusals]]
    refused: Refusals = field(default_factory=dict)

    def __call__(self, facts: GroupFacts) -> GroupChange:
        decided, self.refused = self.rule(facts)
        return decided


def _sizes(backends: Backends) -> Sizes:
    settings = backends.settings
    return Sizes(members=settings.group_members, notice_members=settings.notice_members)
