"""Ask the database the directory's questions, each in one statement.

The statements are written out, because Django takes five times as much CPU to build such a query as
a thread takes to ask it. Calls block. No cache is known here.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper

from messaging.database.group_rows import GROUP_COLUMNS, from_group_row
from messaging.domain.conversations import NEVER
from messaging.domain.groups import Group, Membership, Role
from messaging.domain.ids import group_conversation
from messaging.ports.directory import GroupAccess, TokenMark

BLOCKS_HELD = 100
PERSON = (
    "SELECT user_block.blocked_id, auth_user.is_active, user_tokens.generation, user_tokens.ended,"
    " profile.shows_receipts, profile.receipts_from FROM auth_user"
    " LEFT JOIN user_block ON user_block.blocker_id = auth_user.id"
    " LEFT JOIN user_tokens ON user_tokens.user_id = auth_user.id"
    " LEFT JOIN profile ON profile.user_id = auth_user.id"
    " WHERE auth_user.id = %s LIMIT %s"
)
MEMBERS_HELD = 1_000
_GROUP = ", ".join(f"g.{column}" for column in GROUP_COLUMNS)
_MEMBER = "m.user_id, m.role, m.muted_until, p.floor_id, p.floor_seq"
_PARTICIPANT = " LEFT JOIN participant p ON p.user_id = m.user_id AND p.conversation_id = %s WHERE"
_NO_GROUP = ", ".join(["NULL"] * len(GROUP_COLUMNS))
# The group has a row of its own: its texts are not sent once a member. The limit stands inside,
# because MariaDB reads both parts of a union to their ends.
GROUP = (
    f"SELECT {_GROUP}, NULL, NULL, NULL, NULL, NULL FROM chat_group g WHERE g.id = %s"
    f" UNION ALL SELECT {_NO_GROUP}, member.* FROM (SELECT {_MEMBER} FROM chat_group_member m"
    f"{_PARTICIPANT} m.group_id = %s LIMIT %s) AS member"
)
ACCESS = (
    f"SELECT {_GROUP}, {_MEMBER} FROM chat_group g"
    " LEFT JOIN chat_group_member m ON m.group_id = g.id AND m.user_id = %s"
    f"{_PARTICIPANT} g.id = %s"
)
BLOCK = "SELECT EXISTS (SELECT 1 FROM user_block WHERE blocker_id = %s AND blocked_id = %s)"
_USER = len(GROUP_COLUMNS)  # the place of a member's id in a row
_ROLES = {role.value: role for role in Role}


@dataclass(frozen=True, slots=True)
class FoundGroup:
    """Hold a group and its members by id; `members` is None for more than `MEMBERS_HELD`."""

    group: Group
    members: Mapping[int, Membership] | None


@dataclass(frozen=True, slots=True)
class Person:
    """Hold a user's state and choice, and the users that this user has blocked.

    `blocked` is None for more users than `BLOCKS_HELD`: ask for each pair then. Tokens of an older
    `generation` and tokens of the `ended` sessions are no longer valid. `receipts_from`: as
    `ports.directory.Directory.receipts_from` returns it.
    """

    is_active: bool
    blocked: frozenset[int] | None
    generation: int = 0
    ended: frozenset[str] = frozenset()
    receipts_from: int = 0

    def may_act(self, mark: TokenMark | None) -> bool:
        """Tell whether the user may act, with a token that bears this mark if one is given."""
        return self.is_active and (
            mark is None or (mark.generation >= self.generation and mark.session not in self.ended)
        )

    def without_tokens(self, generation: int, sessions: Iterable[str]) -> Person:
        """Return the person with older tokens, and the tokens of these sessions, ended."""
        generation = max(generation, self.generation)
        return replace(self, generation=generation, ended=self.ended.union(sessions))


def find_person(connection: BaseDatabaseWrapper, user_id: int) -> Person | None:
    rows = _ask(connection, PERSON, user_id, BLOCKS_HELD + 1)
    if not rows:
        return None
    blocked = frozenset(blocked_id for blocked_id, *_ in rows if blocked_id is not None)
    _, is_active, generation, ended, shows_receipts, receipts_from = rows[0]
    hides_receipts = shows_receipts is not None and not shows_receipts
    return Person(
        is_active=bool(is_active),
        blocked=blocked if len(rows) <= BLOCKS_HELD else None,
        generation=generation or 0,
        ended=frozenset(json.loads(ended) if ended else ()),
        receipts_from=NEVER if hides_receipts else receipts_from or 0,
    )


def find_group(connection: BaseDatabaseWrapper, group_id: int) -> FoundGroup | None:
    """Return the group with its members; None where there is no such group."""
    conversation_id = group_conversation(group_id)
    rows = _ask(connection, GROUP, group_id, conversation_id, group_id, MEMBERS_HELD + 1)
    if not rows:
        return None
    head, *member_rows = rows
    members = None
    if len(member_rows) <= MEMBERS_HELD:
        members = {row[_USER]: _membership(row) for row in member_rows}
    return FoundGroup(from_group_row(head), members)


def find_access(connection: BaseDatabaseWrapper, group_id: int, user_id: int) -> GroupAccess | None:
    """Return what the user may do in the group; None where there is no such group."""
    rows = _ask(connection, ACCESS, user_id, group_conversation(group_id), group_id)
    if not rows:
        return None
    (row,) = rows
    return GroupAccess(from_group_row(row), None if row[_USER] is None else _membership(row))


def find_block(connection: BaseDatabaseWrapper, blocker_id: int, blocked_id: int) -> bool:
    return bool(_ask(connection, BLOCK, blocker_id, blocked_id)[0][0])


def _membership(row: tuple[Any, ...]) -> Membership:
    """Return the member of a row; a member without a participant has no floor."""
    *_, role, muted_until, floor_id, floor_seq = row
    return Membership(_ROLES[role], muted_until, floor_id or 0, floor_seq or 0)


def _ask(
    connection: BaseDatabaseWrapper, statement: str, *values: int | str
) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(statement, values)
        return list(cursor.fetchall())
