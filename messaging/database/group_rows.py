"""Convert groups and members into rows of their tables, and back; pure functions.

A column of dates holds UTC, without a zone.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from messaging.domain.groups import (
    Group,
    GroupState,
    History,
    JoinMode,
    Member,
    PermittedRole,
    Role,
)

GROUP_COLUMNS = (
    "id",
    "name",
    "avatar",
    "announcement",
    "join_mode",
    "history",
    "invite_by",
    "at_all_by",
    "is_all_muted",
    "state",
    "member_count",
    "mode",
    "created_at",
)
MEMBER_COLUMNS = ("user_id", "role", "nickname", "joined_at", "muted_until")
_EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001 - the columns have no zone
_MS = timedelta(milliseconds=1)


def to_group_row(group: Group) -> tuple[Any, ...]:
    """Return the group's values of `GROUP_COLUMNS`."""
    return (
        group.id,
        group.name,
        group.avatar,
        group.announcement,
        group.join_mode.value,
        group.history.value,
        group.invite_by.value,
        group.at_all_by.value,
        int(group.is_all_muted),
        group.state.value,
        group.member_count,
        group.mode,
        date_text(group.create_time),
    )


def from_group_row(row: Sequence[Any]) -> Group:
    """Return the group that a row of `GROUP_COLUMNS` holds."""
    return Group(
        id=row[0],
        name=row[1],
        avatar=row[2],
        announcement=row[3],
        join_mode=JoinMode(row[4]),
        history=History(row[5]),
        invite_by=PermittedRole(row[6]),
        at_all_by=PermittedRole(row[7]),
        is_all_muted=bool(row[8]),
        state=GroupState(row[9]),
        member_count=row[10],
        mode=row[11],
        create_time=_ms_of(row[12]),
    )


def to_member_row(member: Member) -> tuple[Any, ...]:
    """Return the member's values of `MEMBER_COLUMNS`."""
    return (
        member.user_id,
        member.role.value,
        member.nickname,
        date_text(member.join_time),
        member.muted_until,
    )


def from_member_row(row: Sequence[Any]) -> Member:
    """Return the member that a row of `MEMBER_COLUMNS` holds."""
    return Member(
        user_id=row[0],
        role=Role(row[1]),
        nickname=row[2],
        join_time=_ms_of(row[3]),
        muted_until=row[4],
    )


def date_text(time_ms: int) -> str:
    """Return a time as both databases take it for a column of dates."""
    return (_EPOCH + time_ms * _MS).isoformat(" ", "microseconds")


def _ms_of(date: datetime) -> int:
    return (date - _EPOCH) // _MS
