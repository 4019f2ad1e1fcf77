"""What the directory asks the database, each in one statement. Blocking; it knows no cache."""

from __future__ import annotations

from dataclasses import dataclass

from django.contrib.auth import get_user_model
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import Exists, OuterRef

from messaging.models import ChatGroup, ChatGroupMember, UserBlock

BLOCKS_HELD = 100


@dataclass(frozen=True, slots=True)
class Person:
    """A user, and whom they have blocked; None: more than `BLOCKS_HELD`, so ask for each pair."""

    is_active: bool
    blocked: frozenset[int] | None


def find_person(connection: BaseDatabaseWrapper, user_id: int) -> Person | None:
    users = get_user_model().objects.using(connection.alias).filter(pk=user_id)
    rows = list(users.values_list("is_active", "blocks__blocked_id")[: BLOCKS_HELD + 1])
    if not rows:
        return None
    blocked = frozenset(blocked_id for _, blocked_id in rows if blocked_id is not None)
    return Person(is_active=rows[0][0], blocked=blocked if len(rows) <= BLOCKS_HELD else None)


def find_member(connection: BaseDatabaseWrapper, group_id: int, user_id: int) -> bool | None:
    """None: no such group."""
    membership = ChatGroupMember.objects.filter(group_id=OuterRef("pk"), user_id=user_id)
    groups = ChatGroup.objects.using(connection.alias).filter(pk=group_id)
    found = groups.annotate(is_member=Exists(membership)).values_list("is_member", flat=True)
    return next(iter(found), None)


def find_block(connection: BaseDatabaseWrapper, blocker_id: int, blocked_id: int) -> bool:
    blocks = UserBlock.objects.using(connection.alias)
    return blocks.filter(blocker_id=blocker_id, blocked_id=blocked_id).exists()
