"""Run the service in memory with a directory that knows the groups of its tables."""

from __future__ import annotations

from dataclasses import dataclass

from messaging.domain.backend_errors import StoreUnavailable
from messaging.domain.groups import Member, Membership
from messaging.domain.ids import group_conversation
from messaging.ports.directory import GroupAccess
from messaging.testing.directory import MemoryDirectory
from messaging.testing.groups import MemoryGroups
from tests.support.memory import MemoryService


class TableDirectory(MemoryDirectory):
    """Tell of groups what their tables have, and keep no answer."""

    def __init__(self, tables: MemoryGroups) -> None:
        super().__init__(tables.users)
        self._tables = tables
        self.shown_from = tables.store.shown_from

    async def ask_access(self, group_id: int, user_id: int, *, after: int) -> GroupAccess | None:
        if self.down or self._tables.store.down:
            raise StoreUnavailable
        group = self._tables.groups.get(group_id)
        member = self._tables.group_members.get((group_id, user_id))
        return group and GroupAccess(group, member and self._membership(group_id, member), after)

    def _membership(self, group_id: int, member: Member) -> Membership:
        seat = (member.user_id, group_conversation(group_id))
        participant = self._tables.store.participants[seat]
        return Membership(
            member.role, member.muted_until, participant.floor_id, participant.floor_seq
        )


@dataclass
class GroupService(MemoryService):
    """Hold a service whose groups are those of `groups`."""

    def open_directory(self) -> MemoryDirectory:
        return TableDirectory(self.groups)
