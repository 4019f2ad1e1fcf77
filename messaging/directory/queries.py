"""Ask the database the directory's questions, each in one statement.

Calls block. No cache is known here.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from django.contrib.auth import get_user_model
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import Exists, OuterRef

from messaging.models import ChatGroup, ChatGroupMember, UserBlock
from messaging.ports.directory import TokenMark

BLOCKS_HELD = 100


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
    users = get_user_model().objects.using(connection.alias).filter(pk=user_id)
    fields = ("blocks__blocked_id", "is_active", "tokens__generation", "tokens__ended")
    rows = list(users.values_list(*fields)[: BLOCKS_HELD + 1])
    if not rows:
        return None
    blocked = frozenset(blocked_id for blocked_id, *_ in rows if blocked_id is not None)
    _, is_active, generation, ended = rows[0]
    return Person(
        is_active=is_active,
        blocked=blocked if len(rows) <= BLOCKS_HELD else None,
        generation=generation or 0,
        ended=frozenset(ended or ()),
    )


def find_member(connection: BaseDatabaseWrapper, group_id: int, user_id: int) -> bool | None:
    """Tell whether the user is a member of the group; return None where there is no such group."""
    membership = ChatGroupMember.objects.filter(group_id=OuterRef("pk"), user_id=user_id)
    groups = ChatGroup.objects.using(connection.alias).filter(pk=group_id)
    found = groups.annotate(is_member=Exists(membership)).values_list("is_member", flat=True)
    return next(iter(found), None)


def find_block(connection: BaseDatabaseWrapper, blocker_id: int, blocked_id: int) -> bool:
    blocks = UserBlock.objects.using(connection.alias)
    return blocks.filter(blocker_id=blocker_id, blocked_id=blocked_id).exists()
