"""Ask the database the directory's questions, each in one statement.

The statements are written out, because Django takes five times as much CPU to build such a query as
a thread takes to ask it. Calls block. No cache is known here.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper

from messaging.ports.directory import TokenMark

BLOCKS_HELD = 100
PERSON = (
    "SELECT user_block.blocked_id, auth_user.is_active, user_tokens.generation, user_tokens.ended"
    " FROM auth_user LEFT JOIN user_block ON user_block.blocker_id = auth_user.id"
    " LEFT JOIN user_tokens ON user_tokens.user_id = auth_user.id"
    " WHERE auth_user.id = %s LIMIT %s"
)
MEMBER = (
    "SELECT EXISTS (SELECT 1 FROM chat_group_member WHERE group_id = chat_group.id"
    " AND user_id = %s) FROM chat_group WHERE id = %s"
)
BLOCK = "SELECT EXISTS (SELECT 1 FROM user_block WHERE blocker_id = %s AND blocked_id = %s)"


@dataclass(frozen=True, slots=True)
class Person:
    """Hold a user's state, and the users that this user has blocked.

    `blocked` is None for more users than `BLOCKS_HELD`: ask for each pair then. Tokens of an older
    `generation` and tokens of the `ended` sessions are no longer valid.
    """

    is_active: bool
    blocked: frozenset[int] | None
    generation: int = 0
    ended: frozenset[str] = frozenset()

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
    _, is_active, generation, ended = rows[0]
    return Person(
        is_active=bool(is_active),
        blocked=blocked if len(rows) <= BLOCKS_HELD else None,
        generation=generation or 0,
        ended=frozenset(json.loads(ended) if ended else ()),
    )


def find_member(connection: BaseDatabaseWrapper, group_id: int, user_id: int) -> bool | None:
    """Tell whether the user is a member of the group; return None where there is no such group."""
    rows = _ask(connection, MEMBER, user_id, group_id)
    return bool(rows[0][0]) if rows else None


def find_block(connection: BaseDatabaseWrapper, blocker_id: int, blocked_id: int) -> bool:
    return bool(_ask(connection, BLOCK, blocker_id, blocked_id)[0][0])


def _ask(connection: BaseDatabaseWrapper, statement: str, *values: int) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(statement, values)
        return list(cursor.fetchall())
