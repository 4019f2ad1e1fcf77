"""Set up the one group of a schedule, carry its changes between processes, and judge it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from random import Random
from typing import TYPE_CHECKING

from messaging.domain.changes import Change
from messaging.domain.conversations import Participant
from messaging.domain.groups import Group, JoinMode, Member, Role
from messaging.domain.ids import group_conversation
from messaging.testing.groups import MemoryGroups
from messaging.testing.store import MemoryStore
from tests.simulation.faults import Faults
from tests.simulation.group_acts import GroupAct, GroupRights, Outcome, Verb
from tests.simulation.group_check import GroupCheck
from tests.simulation.group_clients import GroupMember
from tests.simulation.group_verbs import GROUP, OWNER
from tests.simulation.record import ScheduleRecord

if TYPE_CHECKING:
    from tests.simulation.group_directory import ProcessDirectory
    from tests.simulation.world import World

LOST_NOTICES = 0.2  # the share of the changes' notices that do not arrive
LONGEST_NOTICE_S = 0.1


class GroupLife:
    """Hold the group, and draw all about it from a stream of its own.

    So the clients that write and read keep their draws, whatever the group does.
    """

    def __init__(
        self, random: Random, users: Sequence[int], store: MemoryStore, record: ScheduleRecord
    ) -> None:
        self.users, self._record, self._store = users, record, store
        self.random, self.faults = random, Faults(random)
        roles = {user: Role.OWNER if user == OWNER else Role.MEMBER for user in users}
        outsider = random.choice((None, None, users[-1]))
        self._first = {user: role for user, role in roles.items() if user != outsider}
        self.tables = _tables(self._first, users, store)
        if outsider is not None:
            record.acts.append(GroupAct(Verb.REMOVE, OWNER, outsider, 0, 0, Outcome.DONE))

    def members(self, world: World) -> Iterator[tuple[GroupMember, int]]:
        """Yield the users as members of the group, each with a number of acts."""
        members = {user: GroupMember(world, user, self.random) for user in self.users}
        most = self.random.choice((0, 0, 2, 5, 8))
        for user, member in members.items():
            member.fellows = members
            yield member, most if user == OWNER else most // 2

    def publish(
        self, known: ProcessDirectory, others: Sequence[ProcessDirectory], changes: Sequence[Change]
    ) -> None:
        """Tell a process of changes at once, and the others a little later, or never."""
        known.take(changes)
        loop, draw = asyncio.get_running_loop(), self.random.random
        for other in others:
            if other is not known and draw() > LOST_NOTICES:
                loop.call_later(LONGEST_NOTICE_S * draw(), other.take, changes)

    def check(self) -> GroupCheck:
        rights = GroupRights(self._record.acts, OWNER)
        return GroupCheck(
            self._record,
            rights,
            self._store,
            self.tables,
            group_id=GROUP,
            first_members=self._first,
        )


def _tables(members: Mapping[int, Role], users: Sequence[int], store: MemoryStore) -> MemoryGroups:
    group = Group(id=GROUP, name="g", join_mode=JoinMode.OPEN, member_count=len(members))
    for user in members:
        name = group_conversation(GROUP)
        store.participants[user, name] = Participant(user_id=user, conversation_id=name)
    return MemoryGroups(
        store,
        groups={GROUP: group},
        group_members={(GROUP, u): Member(user_id=u, role=role) for u, role in members.items()},
        users=dict.fromkeys(users, True),
    )
