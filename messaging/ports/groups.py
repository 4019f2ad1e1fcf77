"""Promise the database of groups, members and participants to the use cases.

A change of a group is one transaction under the lock of the group's row: the store reads what the
change is about, asks a pure function to decide, and writes what the function returns.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from messaging.domain.groups import Group, Member, Notice, OutReason, Role
from messaging.domain.message import Message
from messaging.ports.store import CacheHint


@dataclass(frozen=True, slots=True, kw_only=True)
class Invitee:
    """Hold what decides whether a user may be added to a group by the one who acts.

    `takes_invitations`: False for a user who refuses all of them.
    `has_blocked`: the user has blocked the one who acts.
    """

    takes_invitations: bool = True
    has_blocked: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupFacts:
    """Hold what a change is decided by, read under the lock of the group's row.

    `members`: the members among the one who acts and the users concerned, by id.
    `users`: the users concerned who exist and are active, by id.
    `out`: how those who were in the group before came to be out of it. `mutes`: the end of the mute
    of each of them who was muted when going, whether or not it is past.
    `requests`, `bans`: the users concerned who have asked to join, and who are banned.
    `admins`: the number of administrators, without the owner.
    """

    group: Group
    members: Mapping[int, Member] = field(default_factory=dict)
    users: Mapping[int, Invitee] = field(default_factory=dict)
    out: Mapping[int, OutReason] = field(default_factory=dict)
    mutes: Mapping[int, int] = field(default_factory=dict)
    requests: frozenset[int] = frozenset()
    bans: frozenset[int] = frozenset()
    admins: int = 0

    def mute_of(self, user_id: int) -> int:
        """Return the mute of a member, or the one that a user who is out had when going."""
        member = self.members.get(user_id)
        return self.mutes.get(user_id, 0) if member is None else member.muted_until


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupChange:
    """Hold what is to be written; an empty change writes nothing.

    `group`: the new columns of the group; its `member_count` is counted by the store.
    `joins`: users who become members, each with the role.
    `hides_history`: the joins hide what was sent before (`History.JOINED`).
    `leaves`: members who go, each with the reason.
    `members`: members whose role, mute or nickname changes, as they are to be.
    `asks`, `answered`: new requests to join, each with its text, and requests that are settled.
    `bans`, `unbans`: users to be banned, and users whose ban ends.
    `notices`: what members are told, in order.
    """

    group: Group | None = None
    joins: Mapping[int, Role] = field(default_factory=dict)
    hides_history: bool = True
    leaves: Mapping[int, OutReason] = field(default_factory=dict)
    members: Sequence[Member] = ()
    asks: Mapping[int, str] = field(default_factory=dict)
    answered: frozenset[int] = frozenset()
    bans: frozenset[int] = frozenset()
    unbans: frozenset[int] = frozenset()
    notices: Sequence[Notice] = ()

    def joined(self, facts: GroupFacts, now_ms: int) -> list[Member]:
        """Return the members who join; who was muted when going is muted on coming back."""
        return [
            Member(user_id=i, role=role, join_time=now_ms, muted_until=facts.mute_of(i))
            for i, role in self.joins.items()
        ]

    def members_after(self, facts: GroupFacts, now_ms: int) -> dict[int, Member]:
        """Return the members among those concerned after the change, in order of id."""
        changed = (*self.joined(facts, now_ms), *self.members)
        after = {**facts.members, **{member.user_id: member for member in changed}}
        return {i: after[i] for i in sorted(after) if i not in self.leaves}


Decide = Callable[[GroupFacts], GroupChange]


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupOrder:
    """Order one change of one group.

    `actor_id`: the one who acts, who is the sender of the notices.
    `involved`: the users concerned; the one who acts may be among them.
    `next_id`: gives the id of a notice, under the lock, larger than the given id.
    `floor_id`: the id down from which joins hide messages, at least.
    """

    actor_id: int
    involved: Sequence[int]
    decide: Decide
    next_id: Callable[[int], int]
    now_ms: int
    floor_id: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangedGroup:
    """Hold a group after its change.

    `change`: the decision. `members`: the members among those concerned, as they are now.
    `notices`: the rows of the notices. `hints`: the recorded hints of these rows, to be dropped
    once the cache was shown the rows. `floor_id`: the id down from which the joins hide messages.
    """

    group: Group
    change: GroupChange
    members: Mapping[int, Member] = field(default_factory=dict)
    notices: tuple[Message, ...] = ()
    hints: tuple[CacheHint, ...] = ()
    floor_id: int = 0


@dataclass(frozen=True, slots=True)
class GroupView:
    """Hold a group as one user asks for it; `member` is None for a user who is not in it."""

    group: Group
    member: Member | None
    is_banned: bool


@dataclass(frozen=True, slots=True)
class JoinRequest:
    user_id: int
    text: str
    time: int


class GroupStore(Protocol):
    """Keep groups, members and participants in the database.

    Raises: StoreUnavailable, from every method, when the database cannot take a call now; a change
    may have been done then, and may be repeated.
    """

    async def create_group(
        self, group: Group, order: GroupOrder, *, request_id: str | None
    ) -> ChangedGroup:
        """Create a group with a new id, and change it as `change_group` does.

        The one who acts is its creator. With a `request_id` that this creator has used before, the
        group of that time is returned, with an empty change and nothing written.
        """

    async def change_group(self, group_id: int, order: GroupOrder) -> ChangedGroup:
        """Decide about a change of a group and make it, in one transaction.

        The errors of `order.decide` pass through, and nothing is written then. A join sets the
        floor of its participant: with `hides_history` the greatest of the old floor,
        `order.floor_id` and the newest stored message; without it the old floor stays. The mute of
        a member who goes is kept, and is the member's again after a join. Each notice is stored as
        a message, and a hint of its row is recorded.

        Raises: GroupNotFound; StoreUnavailable.
        """

    async def find_group(self, group_id: int, user_id: int) -> GroupView | None: ...

    async def members(
        self, group_id: int, *, role: Role | None, after: tuple[Role, int] | None, limit: int
    ) -> list[Member]:
        """Return members by role, the owner first, then by user id, behind the member `after`."""

    async def join_requests(
        self, group_id: int, *, after: int | None, limit: int
    ) -> list[JoinRequest]:
        """Return requests to join, by user id, behind the user `after`."""
