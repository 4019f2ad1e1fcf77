"""Decide about changes as the verbs of groups do, as far as the tests of the store need it."""

from __future__ import annotations

from msgspec.structs import replace

from messaging.domain.groups import Event, Notice, OutReason, Role
from messaging.ports.groups import Decide, GroupChange, GroupFacts


def deciding(change: GroupChange) -> Decide:
    return lambda facts: change


def creating(creator_id: int, *user_ids: int) -> Decide:
    """Make the creator the owner, and add the users."""
    joins = {creator_id: Role.OWNER} | dict.fromkeys(user_ids, Role.MEMBER)
    return deciding(GroupChange(joins=joins, notices=[Notice(event=Event.CREATED)]))


def joining(user_id: int, *, hides_history: bool = True) -> Decide:
    def decide(facts: GroupFacts) -> GroupChange:
        if user_id in facts.members:
            return GroupChange()
        return GroupChange(
            joins={user_id: Role.MEMBER},
            hides_history=hides_history,
            notices=[Notice(event=Event.JOINED, user_ids=(user_id,), count=1)],
        )

    return decide


def leaving(user_id: int, reason: OutReason = OutReason.LEFT) -> Decide:
    def decide(facts: GroupFacts) -> GroupChange:
        member = facts.members.get(user_id)
        if member is None or member.role is Role.OWNER:
            return GroupChange()
        return GroupChange(
            leaves={user_id: reason},
            notices=[Notice(event=Event.LEFT, user_ids=(user_id,), count=1)],
        )

    return decide


def handing_over(owner_id: int, user_id: int) -> Decide:
    def decide(facts: GroupFacts) -> GroupChange:
        owner, heir = facts.members.get(owner_id), facts.members.get(user_id)
        if owner is None or heir is None or owner.role is not Role.OWNER or owner is heir:
            return GroupChange()
        return GroupChange(
            members=[replace(owner, role=Role.ADMIN), replace(heir, role=Role.OWNER)],
            notices=[Notice(event=Event.TRANSFERRED, user_ids=(user_id,), count=1)],
        )

    return decide
