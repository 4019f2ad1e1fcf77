"""Open group stores of each kind, with functions that write and read past the store."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from asgiref.sync import sync_to_async
from django.contrib.auth.models import User
from msgspec.structs import replace

from messaging import models
from messaging.conf import Settings
from messaging.domain.conversations import Participant
from messaging.domain.groups import Allows, Group, Member, OutReason, Role
from messaging.domain.ids import first_id_at, time_of_id
from messaging.ports.group_audit import GroupInspector, Seat
from messaging.ports.groups import ChangedGroup, Decide, GroupOrder, GroupStore
from messaging.ports.store import MessageStore
from messaging.store.database import DatabaseStore
from messaging.store.group_inspector import DatabaseGroupInspector
from messaging.store.groups import DatabaseGroups
from messaging.testing.group_inspector import MemoryGroupInspector
from messaging.testing.groups import MemoryGroups
from messaging.testing.store import MemoryStore

NOW_MS = 1_790_000_000_000
PARTICIPANT = (
    "floor_id",
    "floor_seq",
    "read_seq",
    "delivered_seq",
    "read_time",
    "pin_time",
    "muted_until",
    "hidden_id",
    "is_marked_unread",
    "rev",
)


class Rig(Protocol):
    """Hold a group store with its message store, and write or read the tables past both."""

    @property
    def groups(self) -> GroupStore: ...

    @property
    def store(self) -> MessageStore: ...

    @property
    def inspector(self) -> GroupInspector: ...

    async def add_users(self, *user_ids: int, active: bool = True) -> None: ...

    async def block(self, blocker_id: int, blocked_id: int) -> None: ...

    async def set_profile(self, user_id: int, invites_from: Allows) -> None: ...

    async def add_member(self, group_id: int, user_id: int) -> None:
        """Insert a member's row alone."""

    async def drop_member(self, group_id: int, user_id: int) -> None:
        """Delete a member's row alone."""

    async def drop_participant(self, seat: Seat) -> None: ...

    async def put_participant(self, participant: Participant) -> None:
        """Write what a participant has set, in place of what is there."""

    async def set_count(self, group_id: int, member_count: int) -> None: ...

    async def participants(self, name: str) -> dict[int, Participant]: ...

    async def count_groups(self) -> int: ...

    async def close(self) -> None: ...


class InMemory:
    def __init__(self, settings: Settings) -> None:
        self.store = MemoryStore()
        self.groups = MemoryGroups(self.store)
        self.inspector = MemoryGroupInspector(self.groups)

    async def add_users(self, *user_ids: int, active: bool = True) -> None:
        self.groups.users |= dict.fromkeys(user_ids, active)

    async def block(self, blocker_id: int, blocked_id: int) -> None:
        self.groups.blocks.add((blocker_id, blocked_id))

    async def set_profile(self, user_id: int, invites_from: Allows) -> None:
        self.groups.profiles[user_id] = invites_from

    async def add_member(self, group_id: int, user_id: int) -> None:
        self.groups.group_members[group_id, user_id] = Member(user_id=user_id, role=Role.MEMBER)

    async def drop_member(self, group_id: int, user_id: int) -> None:
        del self.groups.group_members[group_id, user_id]

    async def drop_participant(self, seat: Seat) -> None:
        del self.groups.participants[seat]

    async def put_participant(self, participant: Participant) -> None:
        seat = (participant.user_id, participant.conversation_id)
        self.groups.participants[seat] = participant

    async def set_count(self, group_id: int, member_count: int) -> None:
        group = self.groups.groups[group_id]
        self.groups.groups[group_id] = replace(group, member_count=member_count)

    async def participants(self, name: str) -> dict[int, Participant]:
        return {i: row for (i, each), row in self.groups.participants.items() if each == name}

    async def count_groups(self) -> int:
        return len(self.groups.groups)

    async def close(self) -> None:
        await self.inspector.close()
        await self.groups.close()
        await self.store.close()


class InDatabase:
    def __init__(self, settings: Settings) -> None:
        self.store = DatabaseStore(settings)
        self.groups = DatabaseGroups(settings)
        self.inspector = DatabaseGroupInspector(settings)

    async def add_users(self, *user_ids: int, active: bool = True) -> None:
        users = [User(id=i, username=f"user {i}", is_active=active) for i in user_ids]
        await User.objects.abulk_create(users, ignore_conflicts=True)

    async def block(self, blocker_id: int, blocked_id: int) -> None:
        block = models.UserBlock(blocker_id=blocker_id, blocked_id=blocked_id)
        await models.UserBlock.objects.abulk_create([block])

    async def set_profile(self, user_id: int, invites_from: Allows) -> None:
        profile = models.Profile(user_id=user_id, invites_from=invites_from.value)
        await models.Profile.objects.abulk_create([profile])

    async def add_member(self, group_id: int, user_id: int) -> None:
        member = models.ChatGroupMember(group_id=group_id, user_id=user_id)
        await models.ChatGroupMember.objects.abulk_create([member])

    async def drop_member(self, group_id: int, user_id: int) -> None:
        rows = models.ChatGroupMember.objects.filter(group_id=group_id, user_id=user_id)
        await sync_to_async(rows._raw_delete)("default")

    async def drop_participant(self, seat: Seat) -> None:
        await models.Participant.objects.filter(pk=seat).adelete()

    async def put_participant(self, participant: Participant) -> None:
        seat = (participant.user_id, participant.conversation_id)
        values = {column: getattr(participant, column) for column in PARTICIPANT}
        await models.Participant.objects.filter(pk=seat).aupdate(**values)

    async def set_count(self, group_id: int, member_count: int) -> None:
        await models.ChatGroup.objects.filter(pk=group_id).aupdate(member_count=member_count)

    async def participants(self, name: str) -> dict[int, Participant]:
        def read() -> dict[int, Participant]:
            rows = models.Participant.objects.filter(conversation_id=name)
            return {
                row.user_id: Participant(
                    user_id=row.user_id,
                    conversation_id=name,
                    is_in=row.is_in,
                    out_reason=OutReason(row.out_reason) if row.out_reason else None,
                    **{column: getattr(row, column) for column in PARTICIPANT},
                )
                for row in rows
            }

        return await sync_to_async(read)()

    async def count_groups(self) -> int:
        return await models.ChatGroup.objects.acount()

    async def close(self) -> None:
        await self.inspector.close()
        await self.groups.close()
        await self.store.close()


class Case:
    """Make changes over a rig; ids and times grow by one."""

    def __init__(self, rig: Rig) -> None:
        self.rig = rig
        self.groups = rig.groups
        self.store = rig.store
        self._last_id = first_id_at(NOW_MS) - 1

    def next_id(self, above: int) -> int:
        later = first_id_at(time_of_id(above) + 1)  # ids of messages are of one millisecond
        self._last_id = max(self._last_id + 1, later)
        return self._last_id

    def order(
        self,
        actor_id: int,
        decide: Decide,
        *,
        involved: Sequence[int] = (),
        floor_id: int = 0,
        next_id: Callable[[int], int] | None = None,
    ) -> GroupOrder:
        return GroupOrder(
            actor_id=actor_id,
            involved=involved,
            decide=decide,
            next_id=next_id or self.next_id,
            now_ms=NOW_MS,
            floor_id=floor_id,
        )

    async def create(
        self, creator_id: int, decide: Decide, *, request_id: str | None = None
    ) -> ChangedGroup:
        group = Group(id=0, name="group")
        order = self.order(creator_id, decide)
        return await self.groups.create_group(group, order, request_id=request_id)

    async def change(
        self, group_id: int, actor_id: int, decide: Decide, *involved: int
    ) -> ChangedGroup:
        order = self.order(actor_id, decide, involved=involved)
        return await self.groups.change_group(group_id, order)
