"""Keep the directory in memory, under the same contract as the database."""

from __future__ import annotations

from collections.abc import Iterable

from messaging.domain.backend_errors import StoreUnavailable
from messaging.domain.conversations import NEVER
from messaging.domain.groups import Group, Membership, Role
from messaging.ports.directory import GroupAccess, TokenMark

MemberKey = tuple[int, int]  # group, user


class MemoryDirectory:
    """Implement `ports.Directory`: users in `users` are known, those in `inactive` locked out.

    `shown_from`: the answers of `receipts_from` that are not 0.

    `blocks`: pairs of a blocker and a blocked user.
    `ended`: pairs of a user and a session.
    `groups`: the members by group. `records`: groups that are not as a new group is. `roles`,
    `mutes`, `floors` (id and seq): of members who are not as a new member is.
    `known`: the answers about groups that the directory keeps; None: it keeps none, so nothing is
    known at once. No change reaches a kept answer.
    """

    def __init__(
        self, users: Iterable[int] = (), groups: dict[int, set[int]] | None = None
    ) -> None:
        self.down = False
        self.users = set(users)
        self.inactive: set[int] = set()
        self.shown_from: dict[int, int] = {}
        self.groups = groups if groups is not None else {}
        self.records: dict[int, Group] = {}
        self.roles: dict[MemberKey, Role] = {}
        self.mutes: dict[MemberKey, int] = {}
        self.floors: dict[MemberKey, tuple[int, int]] = {}
        self.known: dict[MemberKey, GroupAccess] | None = None
        self.blocks: set[tuple[int, int]] = set()
        self.generations: dict[int, int] = {}
        self.ended: set[tuple[int, str]] = set()

    def known_active(self, user_id: int, mark: TokenMark | None = None) -> bool | None:
        return None

    def known_access(self, group_id: int, user_id: int) -> GroupAccess | None:
        return (self.known or {}).get((group_id, user_id))

    def forget_groups(self) -> None:
        if self.known is not None:
            self.known.clear()

    def known_blocked(self, blocker_id: int, blocked_id: int) -> bool | None:
        return None

    def known_receipts_from(self, user_id: int) -> int | None:
        return None

    async def user_exists(self, user_id: int) -> bool:
        return self.down or user_id in self.users

    async def user_is_active(self, user_id: int, mark: TokenMark | None = None) -> bool:
        is_active = user_id in self.users and user_id not in self.inactive
        return self.down or (is_active and not self._has_ended(user_id, mark))

    async def group_access(self, group_id: int, user_id: int) -> GroupAccess | None:
        known = self.known_access(group_id, user_id)
        return known or await self.ask_access(group_id, user_id, after=0)

    async def ask_access(self, group_id: int, user_id: int, *, after: int) -> GroupAccess | None:
        known = self.known_access(group_id, user_id)
        if known is not None and 0 < after <= known.asked_after:
            return known
        if self.down:
            raise StoreUnavailable
        if group_id not in self.groups:
            return None
        record = self.records.get(group_id, Group(id=group_id, name="group"))
        access = GroupAccess(record, self._member(group_id, user_id), after)
        if self.known is not None:
            self.known[group_id, user_id] = access
        return access

    async def is_blocked(self, blocker_id: int, blocked_id: int) -> bool:
        return not self.down and (blocker_id, blocked_id) in self.blocks

    async def receipts_from(self, user_id: int) -> int:
        if self.down:
            raise StoreUnavailable
        return self.shown_from.get(user_id, 0) if user_id in self.users else NEVER

    async def close(self) -> None:
        pass

    def _member(self, group_id: int, user_id: int) -> Membership | None:
        if user_id not in self.groups[group_id]:
            return None
        key = (group_id, user_id)
        floor_id, floor_seq = self.floors.get(key, (0, 0))
        return Membership(
            self.roles.get(key, Role.MEMBER), self.mutes.get(key, 0), floor_id, floor_seq
        )

    def _has_ended(self, user_id: int, mark: TokenMark | None) -> bool:
        return mark is not None and (
            mark.generation < self.generations.get(user_id, 0)
            or (user_id, mark.session) in self.ended
        )
