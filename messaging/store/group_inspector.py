"""Read all rows of groups and participants, and mend rows, for an audit.

Used through `ports.group_audit.GroupInspector`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from django.db import transaction
from django.db.backends.base.base import BaseDatabaseWrapper

from messaging.conf import Settings
from messaging.domain.groups import GroupState, OutReason
from messaging.domain.ids import group_conversation, group_of, parties_of
from messaging.ports.group_audit import Headcount, Seat, StoredSeat
from messaging.store.group_tables import GroupTables
from messaging.store.in_threads import InThreads, in_thread
from messaging.store.statements import chunks

PARTICIPANT = (
    "SELECT t.user_id, t.conversation_id, t.is_in, t.floor_id, t.floor_seq,"
    " COALESCE(c.last_seq, 0) FROM participant t{index}"
    " LEFT JOIN conversation c ON c.id = t.conversation_id"
)
SEAT_ORDER = " ORDER BY t.user_id, t.conversation_id LIMIT %s"


class InspectedGroups(GroupTables):
    """Hold the statements that only an audit makes.

    A walk behind a key of two columns takes two ranges of the index, each in a statement of its
    own, because no condition on both is a range for all databases.
    """

    def groups_after(self, group_id: int, *, limit: int) -> list[tuple[int, int]]:
        query = "SELECT id, member_count FROM chat_group WHERE id > %s ORDER BY id LIMIT %s"
        return [(row[0], row[1]) for row in self._read(query, [group_id, limit])]

    def headcounts(self, group_ids: Iterable[int]) -> dict[int, Headcount]:
        query = (
            "SELECT g.id, g.state, g.member_count, COUNT(m.user_id),"
            " COUNT(CASE WHEN m.role = 'owner' THEN 1 END) FROM chat_group g"
            " LEFT JOIN chat_group_member m ON m.group_id = g.id WHERE g.id IN"
        )
        rows = self._read_all(query, group_ids, end=" GROUP BY g.id, g.state, g.member_count")
        return {row[0]: Headcount(row[1] == GroupState.DISSOLVED, *row[2:]) for row in rows}

    def members_after(self, group_id: int, user_id: int, *, limit: int) -> list[Seat]:
        query = "SELECT user_id, group_id FROM chat_group_member WHERE "
        end = " ORDER BY group_id, user_id LIMIT %s"
        rows = self._read(f"{query}group_id = %s AND user_id > %s{end}", [group_id, user_id, limit])
        if len(rows) < limit:
            rows += self._read(f"{query}group_id > %s{end}", [group_id, limit - len(rows)])
        return [(row[0], group_conversation(row[1])) for row in rows]

    def members_among(self, seats: Iterable[Seat]) -> set[Seat]:
        found: set[Seat] = set()
        pairs = {(user, each) for user, name in seats if (each := group_of(name)) is not None}
        for part in chunks(sorted(pairs)):
            either = " OR ".join(["(user_id = %s AND group_id = %s)"] * len(part))
            query = f"SELECT user_id, group_id FROM chat_group_member WHERE {either}"
            rows = self._read(query, [value for pair in part for value in pair])
            found.update((row[0], group_conversation(row[1])) for row in rows)
        return found

    def participants_after(self, seat: Seat, *, limit: int) -> list[tuple[Seat, StoredSeat]]:
        same_user = f"t.user_id = %s AND t.conversation_id > %s{SEAT_ORDER}"
        rows = self._participants(same_user, [*seat, limit])
        if len(rows) < limit:
            rows |= self._participants(f"t.user_id > %s{SEAT_ORDER}", [seat[0], limit - len(rows)])
        return list(rows.items())

    def participants(self, seats: Iterable[Seat]) -> dict[Seat, StoredSeat]:
        found: dict[Seat, StoredSeat] = {}
        for part in chunks(sorted(set(seats))):
            either = " OR ".join(["(t.user_id = %s AND t.conversation_id = %s)"] * len(part))
            found |= self._participants(either, [value for seat in part for value in seat])
        return found

    def _participants(self, condition: str, values: Sequence[int | str]) -> dict[Seat, StoredSeat]:
        query = PARTICIPANT.format(index=self._dialect.by_index("participant", "PRIMARY"))
        rows = self._read(f"{query} WHERE {condition}", values)
        return {(row[0], row[1]): StoredSeat(bool(row[2]), *row[3:]) for row in rows}

    def recount(self, group_id: int) -> None:
        group = self.lock_group(group_id)
        counted = self.headcounts([group_id]).get(group_id)
        if group is not None and counted is not None:
            query = "UPDATE chat_group SET member_count = %s WHERE id = %s"
            self._execute(query, [counted.members, group_id])

    def let_in(self, seat: Seat) -> None:
        user_id, name = seat
        if (group_id := group_of(name)) is None:
            belongs = user_id in parties_of(name)
        else:
            self.lock_group(group_id)
            belongs = seat in self.members_among([seat])
        if belongs:
            last_seq, _ = self.lock_conversation(name)
            self.join_participants(name, [user_id], floor=(0, 0), read_seq=last_seq)

    def let_out(self, seat: Seat) -> None:
        user_id, name = seat
        if (group_id := group_of(name)) is not None:
            self.lock_group(group_id)
            if seat not in self.members_among([seat]):
                self.part_participants(name, {user_id: OutReason.REMOVED})


class DatabaseGroupInspector(InThreads[InspectedGroups]):
    """Implement `ports.group_audit.GroupInspector`, in one thread.

    Each call ends within `store_timeout_s` and one probe of the server.
    Raises: StoreUnavailable, at that bound at the latest.
    """

    def __init__(self, settings: Settings) -> None:
        timeout_s = settings.store_timeout_s
        super().__init__(InspectedGroups, name="group inspector", threads=1, timeout_s=timeout_s)

    groups_after = in_thread(InspectedGroups.groups_after)
    headcounts = in_thread(InspectedGroups.headcounts)
    members_after = in_thread(InspectedGroups.members_after)
    members_among = in_thread(InspectedGroups.members_among)
    participants_after = in_thread(InspectedGroups.participants_after)
    participants = in_thread(InspectedGroups.participants)

    async def recount(self, group_id: int) -> None:
        await self._threads.run(_in_transaction(lambda tables: tables.recount(group_id)))

    async def let_in(self, seat: Seat) -> None:
        await self._threads.run(_in_transaction(lambda tables: tables.let_in(seat)))

    async def let_out(self, seat: Seat) -> None:
        await self._threads.run(_in_transaction(lambda tables: tables.let_out(seat)))


def _in_transaction(
    change: Callable[[InspectedGroups], None],
) -> Callable[[BaseDatabaseWrapper], None]:
    def job(connection: BaseDatabaseWrapper) -> None:
        with transaction.atomic(using=connection.alias):
            change(InspectedGroups(connection))

    return job
