"""Give an audit its view of the groups in memory, under the same contract as the database's."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from msgspec.structs import replace

from messaging.domain.groups import OutReason, Role
from messaging.domain.ids import group_conversation, group_of, parties_of
from messaging.ports.group_audit import Headcount, Seat, StoredSeat
from messaging.testing.groups import MemoryGroups


@dataclass(eq=False, slots=True)
class MemoryGroupInspector:
    """Implement `ports.group_audit.GroupInspector` over the groups in memory."""

    groups: MemoryGroups

    async def groups_after(self, group_id: int, *, limit: int) -> list[tuple[int, int]]:
        await self.groups.store.ping()
        later = sorted(i for i in self.groups.groups if i > group_id)
        return [(i, self.groups.groups[i].member_count) for i in later[:limit]]

    async def headcounts(self, group_ids: Sequence[int]) -> dict[int, Headcount]:
        await self.groups.store.ping()
        counts = {}
        for group_id in self.groups.groups.keys() & set(group_ids):
            group = self.groups.groups[group_id]
            roles = [m.role for (i, _), m in self.groups.group_members.items() if i == group_id]
            owners = roles.count(Role.OWNER)
            counts[group_id] = Headcount(group.is_dissolved, group.member_count, len(roles), owners)
        return counts

    async def members_after(self, group_id: int, user_id: int, *, limit: int) -> list[Seat]:
        await self.groups.store.ping()
        later = sorted(each for each in self.groups.group_members if each > (group_id, user_id))
        return [(user, group_conversation(group)) for group, user in later[:limit]]

    async def members_among(self, seats: Iterable[Seat]) -> set[Seat]:
        await self.groups.store.ping()
        return {seat for seat in seats if self._is_member(seat)}

    async def participants_after(self, seat: Seat, *, limit: int) -> list[tuple[Seat, StoredSeat]]:
        await self.groups.store.ping()
        later = sorted(each for each in self.groups.participants if each > seat)
        return [(each, self._stored(each)) for each in later[:limit]]

    async def participants(self, seats: Iterable[Seat]) -> dict[Seat, StoredSeat]:
        await self.groups.store.ping()
        return {each: self._stored(each) for each in seats if each in self.groups.participants}

    async def recount(self, group_id: int) -> None:
        counted = (await self.headcounts([group_id]))[group_id]
        group = self.groups.groups[group_id]
        self.groups.groups[group_id] = replace(group, member_count=counted.members)

    async def let_in(self, seat: Seat) -> None:
        await self.groups.store.ping()
        user_id, name = seat
        is_party = group_of(name) is None and user_id in parties_of(name)
        if is_party or self._is_member(seat):
            last_seq = self.groups.store.head(name).last_seq
            self.groups.put_participant(seat, read_seq=last_seq)

    async def let_out(self, seat: Seat) -> None:
        await self.groups.store.ping()
        if group_of(seat[1]) is not None and not self._is_member(seat):
            self.groups.put_participant(seat, OutReason.REMOVED)

    async def close(self) -> None:
        pass

    def _is_member(self, seat: Seat) -> bool:
        user_id, name = seat
        return (group_of(name), user_id) in self.groups.group_members

    def _stored(self, seat: Seat) -> StoredSeat:
        row = self.groups.participants[seat]
        last_seq = self.groups.store.head(seat[1]).last_seq
        return StoredSeat(row.is_in, row.floor_id, row.floor_seq, last_seq)
