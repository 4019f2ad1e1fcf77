"""Judge what a schedule has shown and taken in a group, and the group's rows at the end."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Protocol

from messaging.domain.groups import Event, Group, Member, Notice, Role
from messaging.domain.message import Message, MsgType
from messaging.testing.store import MemoryStore
from tests.simulation.group_acts import NEVER, GroupRights, Verb
from tests.simulation.record import Read, Said, ScheduleRecord
from tests.simulation.told_group import ToldGroup

MOST_NOTICES = 2  # of one act: the last member's leave dissolves the group
TOLD_BY = {
    Event.JOINED: Verb.JOIN,
    Event.INVITED: Verb.INVITE,
    Event.LEFT: Verb.LEAVE,
    Event.REMOVED: Verb.REMOVE,
    Event.MUTED: Verb.MUTE,
    Event.UNMUTED: Verb.UNMUTE,
    Event.ALL_MUTED: Verb.MUTE_ALL,
    Event.ALL_UNMUTED: Verb.UNMUTE_ALL,
    Event.ROLE: Verb.PROMOTE,
    Event.TRANSFERRED: Verb.TRANSFER,
    Event.DISSOLVED: Verb.DISSOLVE,
}


class GroupTables(Protocol):
    """Hold the groups and their members, as `MemoryGroups` does."""

    groups: dict[int, Group]
    group_members: dict[tuple[int, int], Member]


class GroupCheck:
    """Record every broken promise about the one group of a schedule."""

    def __init__(
        self,
        record: ScheduleRecord,
        rights: GroupRights,
        store: MemoryStore,
        tables: GroupTables,
        *,
        group_id: int,
        first_members: Mapping[int, Role],
    ) -> None:
        self._record, self._rights, self._store, self._tables = record, rights, store, tables
        self._id, self._first_members = group_id, first_members
        self.conversation = f"g{group_id}"
        rows = [row for row in store.rows.values() if row.conversation_id == self.conversation]
        self._rows = sorted(rows, key=lambda row: row.seq or 0)
        self._notices = {row.id: row.notice for row in self._rows if row.notice is not None}

    def everything(self, rows_of: Callable[[Said], Sequence[Message]]) -> None:
        """Judge all answers, all sends and the tables; `rows_of` finds the rows of a send."""
        for read in self._record.reads:
            if read.conversation == self.conversation:
                self._check_read(read)
        for said in self._record.said:
            if said.conversation == self.conversation and (said.ids or rows_of(said)):
                self._check_taken(said)
        self._check_tables()

    def floor_of(self, user: int, conversation: str) -> tuple[int, int]:
        """Return the id and the `seq` of the user's floor in a conversation."""
        place = self._store.participants.get((user, conversation))
        return (place.floor_id, place.floor_seq) if place else (0, 0)

    def is_in(self, user: int) -> bool:
        return (self._id, user) in self._tables.group_members

    def hides(self, user: int, row: Message) -> bool:
        """Tell whether a row is not shown to this user at the end, being out or by a floor."""
        is_out = row.conversation_id == self.conversation and not self.is_in(user)
        return is_out or row.id <= self.floor_of(user, row.conversation_id)[0]

    def untold_notices(self) -> set[int]:
        """Return the notices whose act may have ended before the cache had the notice."""
        return {row.id for row in self._rows if row.notice and not self._is_told(row, row.notice)}

    def may_hide(self, read: Read, said: Said) -> bool:
        """Tell whether a join may hide the message from the reader."""
        ended = max((each.ended for each in read.answers), default=NEVER)
        return said.conversation == self.conversation and self._rights.may_be_hidden(
            read.reader, said=min(said.attempts), ended=ended
        )

    def most_notices(self, conversation: str, ended: int) -> int:
        """Return the most notices that a request which ended then could count."""
        if conversation != self.conversation:
            return 0
        return MOST_NOTICES * sum(act.begun < ended for act in self._rights.acts)

    def _is_told(self, row: Message, notice: Notice) -> bool:
        if (verb := TOLD_BY.get(notice.event)) is None:
            return False
        return all(
            self._rights.are_told(verb, row.from_user_id, user)
            for user in notice.user_ids or [None]
        )

    def _check_read(self, read: Read) -> None:
        for answer in read.answers:
            user, shown = read.reader, answer.messages
            told = f"user {user} at {answer.begun}: {[message.id for message in shown]}"
            if self._rights.is_out(user, begun=answer.begun, ended=answer.ended):
                self._record.violate("shown to a user who is out", told)
            hidden = self._rights.hidden_before(user, answer.begun)
            for said in self._said_before(hidden):
                if any(m.id in said.ids or m.content == said.content for m in shown):
                    self._record.violate("shown below the floor", f"{said} to {told}")
        for message in read.seen:
            if message.msg_type is MsgType.NOTICE and (
                message.notice != self._notices.get(message.id) or message.content
            ):
                self._record.violate("notice altered", f"{message}")

    def _said_before(self, moment: int) -> Iterator[Said]:
        """Yield the messages of the group that were acknowledged then, and never tried again."""
        for said in self._record.said:
            acknowledged = NEVER if said.acknowledged is None else said.acknowledged
            if (
                said.conversation == self.conversation
                and max(acknowledged, *said.attempts) < moment
            ):
                yield said

    def _check_taken(self, said: Said) -> None:
        whys = [
            self._rights.silenced_by(said.sender, begun=begun, ended=ended)
            for begun, ended in zip(said.attempts, said.answered, strict=True)
        ]
        if all(whys):
            self._record.violate("accepted without a right", f"{said}: {whys}")

    def _check_tables(self) -> None:
        group = self._tables.groups[self._id]
        members = {
            user: member.role
            for (group_id, user), member in self._tables.group_members.items()
            if group_id == self._id
        }
        if list(members.values()).count(Role.OWNER) != 1 and not group.is_dissolved:
            self._record.violate("not one owner", f"{members}")
        if group.member_count != len(members):
            self._record.violate("members miscounted", f"{group.member_count} for {members}")
        parted = {
            user
            for (user, conversation), place in self._store.participants.items()
            if conversation == self.conversation and place.is_in
        }
        if parted != members.keys():
            self._record.violate("participants differ", f"{parted}, not {members}")
        self._check_acts(members)
        self._check_notices(group, members)

    def _check_acts(self, members: Mapping[int, Role]) -> None:
        for user in self._first_members.keys() | members.keys():
            if user in members and self._rights.is_out(user, begun=NEVER - 1, ended=NEVER):
                self._record.violate("removal lost", f"user {user}")
        for user in {act.user for act in self._rights.acts if act.user is not None}:
            if user not in members and self._rights.is_in(user):
                self._record.violate("join lost", f"user {user}")

    def _check_notices(self, group: Group, members: Mapping[int, Role]) -> None:
        """Judge that the notices, in order of `seq`, tell each change from the start to the end."""
        told = ToldGroup(dict(self._first_members))
        for row in self._rows:
            if row.notice is not None and (wrong := told.take(row.from_user_id, row.notice)):
                self._record.violate("notice out of order", f"{wrong}: {row}")
        if told.members != members:
            self._record.violate("change without a notice", f"{told.members}, not {members}")
        if (told.is_all_muted, told.is_dissolved) != (group.is_all_muted, group.is_dissolved):
            self._record.violate("change without a notice", f"{told}, not {group}")
