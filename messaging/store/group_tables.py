"""Hold the statements on groups, members and participants.

Used by `changing` and `groups`. No statement touches more rows than it names, whatever the size of
the group.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from msgspec.structs import replace

from messaging.database.group_rows import (
    GROUP_COLUMNS,
    MEMBER_COLUMNS,
    from_group_row,
    from_member_row,
    to_group_row,
    to_member_row,
)
from messaging.domain.groups import Allows, Group, Member, OutReason, Role
from messaging.domain.ids import group_conversation
from messaging.ports.groups import GroupFacts, GroupView, Invitee, JoinRequest
from messaging.store.statements import assigned, chunks
from messaging.store.tables import Tables

ROLES = (Role.OWNER, Role.ADMIN, Role.MEMBER)  # the order of the pages of members
GROUP = ", ".join(f"g.{column}" for column in GROUP_COLUMNS)
MEMBER = ", ".join(f"m.{column}" for column in MEMBER_COLUMNS)
OF_ROLE = "chat_group_member_role"  # the index
FACTS = (
    "SELECT u.id, u.is_active, p.invites_from, b.id, t.is_in, t.out_reason, t.member_muted_until,"
    " q.user_id, x.user_id,"
    " (SELECT COUNT(*) FROM chat_group_member WHERE group_id = %s AND role = 'admin'),"
    f" {MEMBER} FROM auth_user u"
    " LEFT JOIN profile p ON p.user_id = u.id"
    " LEFT JOIN user_block b ON b.blocker_id = u.id AND b.blocked_id = %s"
    " LEFT JOIN participant t ON t.user_id = u.id AND t.conversation_id = %s"
    " LEFT JOIN chat_group_request q ON q.group_id = %s AND q.user_id = u.id"
    " LEFT JOIN chat_group_ban x ON x.group_id = %s AND x.user_id = u.id"
    " LEFT JOIN chat_group_member m ON m.group_id = %s AND m.user_id = u.id WHERE u.id IN"
)


class GroupTables(Tables):
    """Hold the statements on groups over one connection, beside those on messages."""

    # groups

    def lock_group(self, group_id: int) -> Group | None:
        """Return a group, and lock its row until the transaction ends."""
        query = f"SELECT {GROUP} FROM chat_group g WHERE g.id = %s{self._dialect.FOR_UPDATE}"
        rows = self._read(query, [group_id])
        return from_group_row(rows[0]) if rows else None

    def group_of_request(self, creator_id: int, request_id: str) -> Group | None:
        query = f"SELECT {GROUP} FROM chat_group g WHERE g.creator_id = %s AND g.request_id = %s"
        rows = self._read(query, [creator_id, request_id])
        return from_group_row(rows[0]) if rows else None

    def insert_group(self, group: Group, creator_id: int, request_id: str) -> Group:
        """Insert a group, and return the group with its new id.

        Raises: IntegrityError for a request id that the creator has used before.
        """
        columns = (*GROUP_COLUMNS[1:], "creator_id", "request_id")
        row = (*to_group_row(group)[1:], creator_id, request_id)
        return replace(group, id=self._insert_one("chat_group", columns, row))

    def update_group(self, before: Group, after: Group) -> None:
        """Write the columns in which the group differs."""
        pairs = zip(to_group_row(before), to_group_row(after), strict=True)
        columns = zip(GROUP_COLUMNS, pairs, strict=True)
        changed = {column: new for column, (old, new) in columns if old != new}
        if changed:
            assignments = assigned(dict.fromkeys(changed, "%s"))
            query = f"UPDATE chat_group SET {assignments} WHERE id = %s"
            self._execute(query, [*changed.values(), before.id])

    def find_group(self, group_id: int, user_id: int) -> GroupView | None:
        rows = self._read(
            f"SELECT {GROUP}, x.user_id, {MEMBER} FROM chat_group g"
            " LEFT JOIN chat_group_ban x ON x.group_id = g.id AND x.user_id = %s"
            " LEFT JOIN chat_group_member m ON m.group_id = g.id AND m.user_id = %s"
            " WHERE g.id = %s",
            [user_id, user_id, group_id],
        )
        if not rows:
            return None
        (banned, *member), row = rows[0][len(GROUP_COLUMNS) :], rows[0]
        return GroupView(from_group_row(row), _member(member), banned is not None)

    # members

    def facts(self, group: Group, actor_id: int, user_ids: Iterable[int]) -> GroupFacts:
        """Return the facts about the one who acts and these users."""
        ids, name = {actor_id, *user_ids}, group_conversation(group.id)
        given = (group.id, actor_id, name, group.id, group.id, group.id)
        rows = list(self._read_all(FACTS, ids, *given))
        members = {row[0]: _member(row[10:]) for row in rows}
        return GroupFacts(
            group=group,
            members={i: member for i, member in members.items() if member is not None},
            users={row[0]: _invitee(row[2], row[3]) for row in rows if row[1]},
            out={row[0]: OutReason(row[5]) for row in rows if row[4] == 0 and row[5] is not None},
            mutes={row[0]: row[6] for row in rows if row[4] == 0 and row[6]},
            requests=frozenset(row[0] for row in rows if row[7] is not None),
            bans=frozenset(row[0] for row in rows if row[8] is not None),
            admins=rows[0][9] if rows else 0,
        )

    def insert_members(self, group_id: int, members: Sequence[Member]) -> None:
        """Insert members.

        Raises: IntegrityError for a user who is a member, or who does not exist.
        """
        columns = ("group_id", *MEMBER_COLUMNS)
        for part in chunks(sorted(members, key=lambda member: member.user_id)):
            rows = [(group_id, *to_member_row(member)) for member in part]
            self._insert("chat_group_member", columns, rows)

    def update_members(self, group_id: int, members: Iterable[Member]) -> None:
        """Write role, nickname and mute of each member, in a statement each."""
        query = (
            "UPDATE chat_group_member SET role = %s, nickname = %s, muted_until = %s"
            " WHERE group_id = %s AND user_id = %s"
        )
        for each in sorted(members, key=lambda member: member.user_id):
            values = [each.role.value, each.nickname, each.muted_until, group_id, each.user_id]
            self._execute(query, values)

    def delete_members(self, group_id: int, user_ids: Iterable[int]) -> int:
        """Delete members, and return how many there were."""
        condition = "group_id = %s AND user_id IN"
        return self._delete("chat_group_member", condition, user_ids, group_id)

    def members(
        self, group_id: int, *, role: Role | None, after: tuple[Role, int] | None, limit: int
    ) -> list[Member]:
        """Return members by role and user id, as `GroupStore.members` promises.

        Each role is a statement of its own, because each is a range of the index.
        """
        table = f"chat_group_member m{self._dialect.by_index('chat_group_member', OF_ROLE)}"
        query = (
            f"SELECT {MEMBER} FROM {table} WHERE m.group_id = %s AND m.role = %s"
            " AND m.user_id > %s ORDER BY m.user_id LIMIT %s"
        )
        found: list[Member] = []
        for each in ROLES if role is None else (role,):
            if len(found) < limit and (after is None or not each.is_above(after[0])):
                behind = after[1] if after is not None and after[0] is each else 0
                rows = self._read(query, [group_id, each.value, behind, limit - len(found)])
                found += map(from_member_row, rows)
        return found

    # requests and bans

    def insert_requests(self, group_id: int, asks: Mapping[int, str], now_ms: int) -> None:
        """Insert requests to join; a user's newer request replaces the older one."""
        given = self._dialect.given
        assignments = assigned({"text": given("text"), "time": given("time")})
        suffix = self._dialect.or_update("group_id, user_id", assignments)
        for part in chunks(sorted(asks)):
            rows = [(group_id, user_id, asks[user_id], now_ms) for user_id in part]
            columns = ("group_id", "user_id", "text", "time")
            self._insert("chat_group_request", columns, rows, suffix)

    def delete_requests(self, group_id: int, user_ids: Iterable[int]) -> int:
        condition = "group_id = %s AND user_id IN"
        return self._delete("chat_group_request", condition, user_ids, group_id)

    def join_requests(self, group_id: int, *, after: int | None, limit: int) -> list[JoinRequest]:
        query = (
            "SELECT user_id, text, time FROM chat_group_request"
            " WHERE group_id = %s AND user_id > %s ORDER BY user_id LIMIT %s"
        )
        return [JoinRequest(*row) for row in self._read(query, [group_id, after or 0, limit])]

    def insert_bans(
        self, group_id: int, user_ids: Collection[int], banned_by: int, now_ms: int
    ) -> None:
        """Insert bans; a ban that exists stays."""
        keep = self._dialect.or_keep("group_id, user_id")
        columns = ("group_id", "user_id", "banned_by", "time")
        for part in chunks(sorted(user_ids)):
            rows = [(group_id, user_id, banned_by, now_ms) for user_id in part]
            self._insert("chat_group_ban", columns, rows, keep)

    def delete_bans(self, group_id: int, user_ids: Iterable[int]) -> int:
        condition = "group_id = %s AND user_id IN"
        return self._delete("chat_group_ban", condition, user_ids, group_id)

    # participants

    def join_participants(
        self, name: str, user_ids: Collection[int], *, floor: tuple[int, int], read_seq: int
    ) -> None:
        """Let users be in a conversation; no floor and no position ever moves back.

        `floor`: its message id and its `seq`; zeros leave the floors as they are.
        """
        rows = [(i, name, 1, None, 0, *floor, read_seq, read_seq) for i in user_ids]
        self._put_participants(rows, {})

    def part_participants(
        self, name: str, reasons: Mapping[int, OutReason], mutes: Mapping[int, int] | None = None
    ) -> None:
        """Let users be out of a conversation, each for the reason; the rows stay.

        The conversation is neither pinned nor hidden nor marked as unread any more. `mutes`: what
        the rows keep of the members; None leaves what they keep.
        """
        kept = mutes or {}
        rows = [(i, name, 0, r.value, kept.get(i, 0), 0, 0, 0, 0) for i, r in reasons.items()]
        ended = {"pin_time": "NULL", "hidden_id": "NULL", "is_marked_unread": "0"}
        if mutes is None:
            ended["member_muted_until"] = "member_muted_until"
        self._put_participants(rows, ended)

    def _put_participants(
        self, rows: Iterable[tuple[Any, ...]], settings: Mapping[str, str]
    ) -> None:
        given, greatest = self._dialect.given, self._dialect.GREATEST
        set_columns = ("is_in", "out_reason", "member_muted_until")
        raised = ("floor_id", "floor_seq", "read_seq", "delivered_seq")
        assignments = {column: given(column) for column in set_columns}
        assignments |= {column: f"{greatest}({column}, {given(column)})" for column in raised}
        suffix = self._dialect.or_update(
            "user_id, conversation_id", assigned({**assignments, **settings, "rev": "rev + 1"})
        )
        columns = ("user_id", "conversation_id", *set_columns, *raised)
        for part in chunks(sorted(rows)):
            self._insert("participant", columns, part, suffix)


def _member(row: Sequence[Any]) -> Member | None:
    return None if row[0] is None else from_member_row(row)


def _invitee(invites_from: str | None, block_id: int | None) -> Invitee:
    return Invitee(
        takes_invitations=invites_from != Allows.NOBODY, has_blocked=block_id is not None
    )
