"""Hold the answers about groups that the directory keeps, and say how long each one is fresh."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field

from messaging.domain.groups import Group, Membership
from messaging.ports.directory import GroupAccess

MEMBERSHIP_TTL_S = 5.0  # shorter than the guard distrusts
NEGATIVE_TTL_S = 1.0  # a user or member who was just added may be unknown for so long
SIZE_TTL_S = 60.0  # a group that was too large to be known whole counts as too large for so long
MEMBER_BYTES = 200  # of each member of a group that is known whole


@dataclass(frozen=True, slots=True)
class KnownGroup:
    """Hold a group as the database told it.

    `epoch`: the number under which answers about single users are kept. The answers of another
    epoch are forgotten.
    `group`: None where the group was not read yet.
    `members`: None also for a group that is too large to be known whole.
    `apart`: users about whom an answer of their own is kept, or needed.
    """

    epoch: int
    group: Group | None = None
    members: Mapping[int, Membership] | None = None
    apart: set[int] = field(default_factory=set)

    def access_of(self, user_id: int) -> GroupAccess | None:
        """Return the answer about a user; None where an answer of the user's own is needed."""
        if self.group is None or self.members is None or user_id in self.apart:
            return None
        return GroupAccess(self.group, self.members.get(user_id))

    def set_apart(self, user_id: int) -> None:
        if self.members is not None:
            self.apart.add(user_id)


@dataclass(slots=True)
class Asking:
    """Hold a look-up that is asked after a score of the guard.

    `has_begun`: set by the thread that asks, before the statement. Until then the look-up serves
    any later question as well.
    """

    after: int
    has_begun: bool = False
    task: asyncio.Task[GroupAccess | None] | None = None

    def serves(self, after: int) -> bool:
        return not self.has_begun or 0 < after <= self.after


def is_outside(access: GroupAccess | None) -> bool:
    return access is None or access.member is None


def is_unread(group: KnownGroup | None) -> bool:
    return group is None or group.group is None


def access_ttl_s(access: GroupAccess | None) -> float:
    return NEGATIVE_TTL_S if is_outside(access) else MEMBERSHIP_TTL_S


def group_ttl_s(group: KnownGroup | None) -> float:
    if group is None:
        return NEGATIVE_TTL_S
    return SIZE_TTL_S if group.members is None else MEMBERSHIP_TTL_S


def early_s(access: GroupAccess) -> float:
    """Return how much earlier than its group an answer from the whole group ceases to be fresh."""
    return MEMBERSHIP_TTL_S - access_ttl_s(access)


def group_bytes(group: KnownGroup | None) -> int:
    return 0 if group is None or group.members is None else MEMBER_BYTES * len(group.members)
