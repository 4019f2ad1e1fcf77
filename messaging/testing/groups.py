"""Keep groups in memory, under the same contract as the database.

Nothing survives the process, so no running site may use these groups.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from msgspec.structs import replace

from messaging.domain.conversations import Participant
from messaging.domain.errors import GroupNotFound
from messaging.domain.groups import Allows, Group, Member, OutReason, Role
from messaging.domain.ids import group_conversation
from messaging.domain.message import Message
from messaging.domain.notices import notice_message
from messaging.ports.groups import (
    ChangedGroup,
    GroupChange,
    GroupFacts,
    GroupOrder,
    GroupView,
    Invitee,
    JoinRequest,
)
from messaging.ports.store import CacheHint
from messaging.testing.store import MemoryStore

ROLES = (Role.OWNER, Role.ADMIN, Role.MEMBER)  # the order of the pages of members


@dataclass(eq=False, slots=True)
class MemoryGroups:
    """Implement `ports.groups.GroupStore`; the fields are the tables, for a test to read.

    `store`: keeps the notices, the participants and the hints, and has the faults of both.
    `users`: tells of each user whether the user is active. `profiles`: whom a user allows to add
    the user to groups. `blocks`: pairs of a blocker and the blocked user. `bans`: by group and
    user, who has banned. `mutes`: by group and user, of those who are out. `made`: groups by
    creator and request id.
    """

    store: MemoryStore
    groups: dict[int, Group] = field(default_factory=dict)
    group_members: dict[tuple[int, int], Member] = field(default_factory=dict)
    requests: dict[tuple[int, int], JoinRequest] = field(default_factory=dict)
    bans: dict[tuple[int, int], int] = field(default_factory=dict)
    mutes: dict[tuple[int, int], int] = field(default_factory=dict)
    users: dict[int, bool] = field(default_factory=dict)
    profiles: dict[int, Allows] = field(default_factory=dict)
    blocks: set[tuple[int, int]] = field(default_factory=set)
    made: dict[tuple[int, str], int] = field(default_factory=dict)

    @property
    def participants(self) -> dict[tuple[int, str], Participant]:
        """Return the participants by user and conversation, of private chats too."""
        return self.store.participants

    async def create_group(
        self, group: Group, order: GroupOrder, *, request_id: str | None
    ) -> ChangedGroup:
        await self.store.ping()
        if request_id is not None and (made := self.made.get((order.actor_id, request_id))):
            facts = self._facts(self.groups[made], order)
            return ChangedGroup(group=facts.group, change=GroupChange(), members=facts.members)
        new_id = max(self.groups, default=0) + 1
        new = replace(group, id=new_id, member_count=0, create_time=order.now_ms)
        changed = self._change(new, order)
        if request_id is not None:
            self.made[order.actor_id, request_id] = new_id
        return changed

    async def change_group(self, group_id: int, order: GroupOrder) -> ChangedGroup:
        await self.store.ping()
        if group_id not in self.groups:
            raise GroupNotFound
        return self._change(self.groups[group_id], order)

    async def find_group(self, group_id: int, user_id: int) -> GroupView | None:
        await self.store.ping()
        if (group := self.groups.get(group_id)) is None:
            return None
        key = (group_id, user_id)
        return GroupView(group, self.group_members.get(key), key in self.bans)

    async def members(
        self, group_id: int, *, role: Role | None, after: tuple[Role, int] | None, limit: int
    ) -> list[Member]:
        await self.store.ping()
        behind = None if after is None else (ROLES.index(after[0]), after[1])
        keys = {
            (ROLES.index(member.role), member.user_id): member
            for (group, _), member in self.group_members.items()
            if group == group_id and role in (None, member.role)
        }
        return [keys[p] for p in sorted(keys) if behind is None or p > behind][:limit]

    async def join_requests(
        self, group_id: int, *, after: int | None, limit: int
    ) -> list[JoinRequest]:
        await self.store.ping()
        keys = sorted(p for p in self.requests if p[0] == group_id and p[1] > (after or 0))
        return [self.requests[key] for key in keys[:limit]]

    async def close(self) -> None:
        pass

    def _facts(self, group: Group, order: GroupOrder) -> GroupFacts:
        name = group_conversation(group.id)
        ids = self.users.keys() & {order.actor_id, *order.involved}
        parted = {i: self.participants.get((i, name)) for i in ids}
        return GroupFacts(
            group=group,
            members={
                i: m for (g, i), m in self.group_members.items() if g == group.id and i in ids
            },
            users={i: self._invitee(i, order.actor_id) for i in ids if self.users[i]},
            out={i: p.out_reason for i, p in parted.items() if p and not p.is_in and p.out_reason},
            mutes={i: self.mutes[group.id, i] for i in ids if self.mutes.get((group.id, i))},
            requests=frozenset(i for i in ids if (group.id, i) in self.requests),
            bans=frozenset(i for i in ids if (group.id, i) in self.bans),
            admins=sum(
                member.role is Role.ADMIN
                for (group_id, _), member in self.group_members.items()
                if group_id == group.id
            ),
        )

    def _invitee(self, user_id: int, actor_id: int) -> Invitee:
        return Invitee(
            takes_invitations=self.profiles.get(user_id) is not Allows.NOBODY,
            has_blocked=(user_id, actor_id) in self.blocks,
        )

    def _change(self, group: Group, order: GroupOrder) -> ChangedGroup:
        """Decide about the change, and write it; nothing is written before all may be written."""
        facts = self._facts(group, order)
        change = order.decide(facts)
        floor = self._floor_of(group_conversation(group.id), change, order)
        newest = max([0, *self._stored_ids(group_conversation(group.id))])
        messages = [
            notice_message(
                order.next_id(max(floor[0], newest)),
                group_id=group.id,
                actor_id=order.actor_id,
                notice=notice,
            )
            for notice in change.notices
        ]
        grown_by = self._write_members(facts, change, order)
        self.groups[group.id] = after = replace(
            change.group or group,
            id=group.id,
            member_count=group.member_count + grown_by,
            create_time=group.create_time,
        )
        notices = self._write_conversation(group.id, change, floor, messages)
        return ChangedGroup(
            group=after,
            change=change,
            members=change.members_after(facts, order.now_ms),
            notices=notices,
            hints=tuple(self.store.record([CacheHint(notice.id) for notice in notices])),
            floor_id=floor[0],
        )

    def _floor_of(self, name: str, change: GroupChange, order: GroupOrder) -> tuple[int, int]:
        if not change.hides_history:
            return 0, 0
        newest = max([order.floor_id, *self._stored_ids(name)])
        return newest, self.store.head(name).last_seq

    def _stored_ids(self, name: str) -> list[int]:
        return [row.id for row in self.store.rows.values() if row.conversation_id == name]

    def _write_members(self, facts: GroupFacts, change: GroupChange, order: GroupOrder) -> int:
        group_id = facts.group.id
        gone = [self.group_members.pop((group_id, i), None) for i in change.leaves]
        self.mutes |= {(group_id, i): facts.mute_of(i) for i in change.leaves}
        joined = change.joined(facts, order.now_ms)
        self.mutes |= {(group_id, member.user_id): 0 for member in joined}
        for member in (*joined, *change.members):
            self.group_members[group_id, member.user_id] = member
        for user_id, text in change.asks.items():
            self.requests[group_id, user_id] = JoinRequest(user_id, text, order.now_ms)
        for user_id in change.answered:
            self.requests.pop((group_id, user_id), None)
        for user_id in change.bans:
            self.bans.setdefault((group_id, user_id), order.actor_id)
        for user_id in change.unbans:
            self.bans.pop((group_id, user_id), None)
        return len(change.joins) - sum(member is not None for member in gone)

    def _write_conversation(
        self,
        group_id: int,
        change: GroupChange,
        floor: tuple[int, int],
        messages: Iterable[Message],
    ) -> tuple[Message, ...]:
        name = group_conversation(group_id)
        last_seq = self.store.head(name).last_seq
        notices = tuple(self.store.insert(message) for message in messages)
        for user_id in change.joins:
            self.put_participant((user_id, name), floor=floor, read_seq=last_seq)
        for user_id, reason in change.leaves.items():
            self.put_participant((user_id, name), reason)
        return notices

    def put_participant(
        self,
        seat: tuple[int, str],
        out_reason: OutReason | None = None,
        *,
        floor: tuple[int, int] = (0, 0),
        read_seq: int = 0,
    ) -> None:
        """Let a user be in or out of a conversation; no floor or position ever moves back.

        A conversation that the user is out of is neither pinned nor hidden nor marked as unread.
        """
        known = self.participants.get(seat)
        row = known or Participant(user_id=seat[0], conversation_id=seat[1])
        if out_reason is not None:
            row = replace(row, pin_time=None, hidden_id=None, is_marked_unread=False)
        self.participants[seat] = replace(
            row,
            is_in=out_reason is None,
            out_reason=out_reason,
            floor_id=max(row.floor_id, floor[0]),
            floor_seq=max(row.floor_seq, floor[1]),
            read_seq=max(row.read_seq, read_seq),
            delivered_seq=max(row.delivered_seq, read_seq),
            rev=0 if known is None else known.rev + 1,
        )
