"""Know groups as a process of the service does: in its memory, for seconds, past the faults."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any, TypeVar

from messaging.database.group_rows import to_group_row
from messaging.directory import queries
from messaging.directory.known_groups import KnownGroups, Run
from messaging.domain.changes import Change, GroupChanged, MemberChanged
from messaging.domain.groups import Group, Member
from messaging.ports.directory import GroupAccess
from messaging.testing.directory import MemoryDirectory
from messaging.testing.groups import MemoryGroups

Result = TypeVar("Result")
NO_MEMBER = (None,) * 5


class GroupRows:
    """Answer the directory's statements on groups from the tables in memory, as one cursor."""

    def __init__(self, tables: MemoryGroups) -> None:
        self._tables = tables
        self._found: list[tuple[Any, ...]] = []

    async def run(self, job: Callable[[Any], Result]) -> Result:
        return job(self)

    def cursor(self) -> GroupRows:
        return self

    def __enter__(self) -> GroupRows:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def execute(self, statement: str, values: Sequence[Any]) -> None:
        tables = self._tables
        if statement == queries.GROUP:
            group_id, conversation, _, limit = values
            members = [m for (g, _), m in tables.group_members.items() if g == group_id]
        else:
            assert statement == queries.ACCESS
            user_id, conversation, group_id = values
            members = [m for key, m in tables.group_members.items() if key == (group_id, user_id)]
        if (group := tables.groups.get(group_id)) is None:
            self._found = []
            return
        head, rows = self._head(group), [self._row(member, conversation) for member in members]
        if statement == queries.GROUP:
            no_group = (None,) * len(head)
            self._found = [(*head, *NO_MEMBER), *((*no_group, *row) for row in rows[:limit])]
        else:
            self._found = [(*head, *row) for row in rows or [NO_MEMBER]]

    def fetchall(self) -> list[tuple[Any, ...]]:
        return self._found

    def _head(self, group: Group) -> tuple[Any, ...]:
        *columns, created = to_group_row(group)
        return (*columns, datetime.fromisoformat(created))

    def _row(self, member: Member, conversation: str) -> tuple[Any, ...]:
        place = self._tables.store.participants.get((member.user_id, conversation))
        floors = (None, None) if place is None else (place.floor_id, place.floor_seq)
        return (member.user_id, member.role.value, member.muted_until, *floors)


class ProcessDirectory(MemoryDirectory):
    """Know groups by the service's own memory of them, and users and blocks at once.

    `run`: asks the database, through the faults of the schedule.
    """

    def __init__(
        self,
        users: Sequence[int],
        run: Run,
        monotonic_s: Callable[[], float],
    ) -> None:
        super().__init__(users)
        self._known = KnownGroups(run, monotonic_s=monotonic_s)

    def known_access(self, group_id: int, user_id: int) -> GroupAccess | None:
        return self._known.known(group_id, user_id)

    async def group_access(self, group_id: int, user_id: int) -> GroupAccess | None:
        return await self._known.find(group_id, user_id)

    async def ask_access(self, group_id: int, user_id: int, *, after: int) -> GroupAccess | None:
        return await self._known.ask(group_id, user_id, after=after)

    def take(self, changes: Sequence[Change]) -> None:
        """Forget what has changed, as after a notice of another process."""
        for change in changes:
            if isinstance(change, MemberChanged):
                self._known.forget_member(change.group_id, change.user_id)
            elif isinstance(change, GroupChanged):
                self._known.forget_group(change.group_id)

    def forget_groups(self) -> None:
        self._known.forget_all()
