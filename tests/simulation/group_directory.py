"""Know groups as a process of the service does: in its memory, for seconds, past the faults."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from messaging.directory import queries
from messaging.directory.known_groups import KnownGroups, Run
from messaging.domain.changes import Change, GroupChanged, MemberChanged
from messaging.domain.groups import Member
from messaging.ports.directory import GroupAccess
from messaging.testing.directory import MemoryDirectory
from messaging.testing.groups import MemoryGroups

Result = TypeVar("Result")


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
        if statement == queries.GROUP:
            conversation, group_id, limit = values
            wanted = [m for (g, _), m in self._tables.group_members.items() if g == group_id]
        else:
            assert statement == queries.ACCESS
            (user_id, conversation, group_id), limit = values, 1
            member = self._tables.group_members.get((group_id, user_id))
            wanted = [] if member is None else [member]
        self._found = self._rows(group_id, conversation, wanted or [None])[:limit]

    def fetchall(self) -> list[tuple[Any, ...]]:
        return self._found

    def _rows(
        self, group_id: int, conversation: str, members: Sequence[Member | None]
    ) -> list[tuple[Any, ...]]:
        """Return the rows of an outer join: a row without a member where there is none."""
        if (group := self._tables.groups.get(group_id)) is None:
            return []
        head, rows = (group.state.value, group.is_all_muted, group.mode), []
        for member in members:
            if member is None:
                rows.append((*head, None, None, None, None, None))
                continue
            place = self._tables.store.participants.get((member.user_id, conversation))
            floors = (None, None) if place is None else (place.floor_id, place.floor_seq)
            rows.append((*head, member.user_id, member.role.value, member.muted_until, *floors))
        return rows


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

    def expire_groups(self) -> None:
        self._known.expire_all()
