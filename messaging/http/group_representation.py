"""Represent groups, their members and their requests to join as clients see them.

Pure. Ids are strings, times are milliseconds since 1970, as in `representation`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from messaging.domain.group_fields import member_cursor, user_cursor
from messaging.domain.groups import Group, Member, Membership
from messaging.ports.groups import JoinRequest
from messaging.service.group_reading import GroupPage
from messaging.service.group_rules import muted_until
from messaging.service.membership_rules import Refusals

Json = dict[str, object]
Item = TypeVar("Item")


def present_group(group: Group, member: Member | Membership | None, *, now_ms: int) -> Json:
    """Return the group; a user who is not in it sees its name, avatar and number of members."""
    inside: Json = {
        "groupId": str(group.id),
        "name": group.name,
        "avatar": group.avatar,
        "announcement": group.announcement,
        "joinMode": group.join_mode.value,
        "history": group.history.value,
        "inviteBy": group.invite_by.value,
        "atAllBy": group.at_all_by.value,
        "isAllMuted": group.is_all_muted,
        "state": group.state.value,
        "memberCount": group.member_count,
        "myRole": None if member is None else member.role.value,
        "memberMutedUntil": None if member is None else muted_until(member, now_ms),
        "createTime": group.create_time,
    }
    if member is not None:
        return inside
    return inside | dict.fromkeys(inside.keys() - {"groupId", "name", "avatar", "memberCount"})


def present_members(page: GroupPage[Member], *, now_ms: int) -> Json:
    return _present_page(
        page,
        lambda member: {
            "userId": str(member.user_id),
            "role": member.role.value,
            "nickname": member.nickname,
            "joinTime": member.join_time,
            "memberMutedUntil": muted_until(member, now_ms),
        },
        lambda member: member_cursor(member.role, member.user_id),
    )


def present_requests(page: GroupPage[JoinRequest]) -> Json:
    return _present_page(
        page,
        lambda asked: {
            "userId": str(asked.user_id),
            "text": asked.text,
            "requestTime": asked.time,
        },
        lambda asked: user_cursor(asked.user_id),
    )


def present_refusals(refused: Refusals) -> list[Json]:
    return [{"userId": str(user_id), "code": why.code} for user_id, why in refused.items()]


def present_served(user_ids: Sequence[int], refused: Refusals) -> list[str]:
    """Return the users of a call who were not refused."""
    return [str(user_id) for user_id in user_ids if user_id not in refused]


def _present_page(
    page: GroupPage[Item], present: Callable[[Item], Json], cursor_of: Callable[[Item], str]
) -> Json:
    return {
        "list": [present(item) for item in page.items],
        "hasMore": page.has_more,
        "nextAfter": cursor_of(page.items[-1]) if page.has_more else None,
    }
