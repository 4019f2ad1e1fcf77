"""Define groups, their members, and the notices of a group's life.

Pure. Times are milliseconds since 1970. `service.group_rules` decides who may do what.
"""

from __future__ import annotations

from enum import StrEnum

import msgspec

FOR_GOOD = -1
"""Stand for the end of a mute that has no end; 0 stands for no mute."""


class Role(StrEnum):
    """Name what a member may do in a group: each role may do what the roles below it may do."""

    OWNER = "owner"
    ADMIN = "admin"
    MEMBER = "member"

    def is_above(self, other: Role) -> bool:
        return _RANKS[self] > _RANKS[other]


_RANKS = {Role.OWNER: 2, Role.ADMIN: 1, Role.MEMBER: 0}


class JoinMode(StrEnum):
    """Name how a user may join a group alone: at once, after an approval, or not at all."""

    OPEN = "open"
    APPROVAL = "approval"
    INVITE = "invite"


class History(StrEnum):
    """Name what a new member sees: all messages, or the messages since the join."""

    ALL = "all"
    JOINED = "joined"


class PermittedRole(StrEnum):
    """Name the least role that a setting of a group permits something."""

    ADMINS = "admins"
    MEMBERS = "members"


class GroupState(StrEnum):
    NORMAL = "NORMAL"
    DISSOLVED = "DISSOLVED"


class OutReason(StrEnum):
    """Name how a participant came to be out of a group."""

    LEFT = "left"
    REMOVED = "removed"
    BANNED = "banned"


class Allows(StrEnum):
    """Name whom a user allows to add the user to groups."""

    EVERYBODY = "everybody"
    NOBODY = "nobody"


class Event(StrEnum):
    """Name what a notice tells of."""

    CREATED = "created"
    JOINED = "joined"
    INVITED = "invited"
    LEFT = "left"
    REMOVED = "removed"
    BANNED = "banned"
    ROLE = "role"
    TRANSFERRED = "transferred"
    MUTED = "muted"
    UNMUTED = "unmuted"
    ALL_MUTED = "allMuted"
    ALL_UNMUTED = "allUnmuted"
    UPDATED = "updated"
    DISSOLVED = "dissolved"


class Notice(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Tell of one change of a group, in the group's own conversation.

    `user_ids`: the first of those concerned. `count`: how many are concerned in all.
    `changed`: the names of the updated fields. `role`: the new role. `muted_until`: the end of a
    mute.
    """

    event: Event
    user_ids: tuple[int, ...] = ()
    count: int = 0
    changed: tuple[str, ...] = ()
    role: Role | None = None
    muted_until: int | None = None


class Group(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Hold a group as its members see it.

    `mode`: how messages are sent to the group, None for the mode of the settings.
    """

    id: int
    name: str
    avatar: str = ""
    announcement: str = ""
    join_mode: JoinMode = JoinMode.INVITE
    history: History = History.JOINED
    invite_by: PermittedRole = PermittedRole.MEMBERS
    at_all_by: PermittedRole = PermittedRole.ADMINS
    is_all_muted: bool = False
    state: GroupState = GroupState.NORMAL
    member_count: int = 0
    mode: str | None = None
    create_time: int = 0

    @property
    def is_dissolved(self) -> bool:
        return self.state is GroupState.DISSOLVED


class Member(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    user_id: int
    role: Role
    nickname: str = ""
    join_time: int = 0
    muted_until: int = 0


class Membership(msgspec.Struct, frozen=True, gc=False):
    """Hold what a send and a read need to know of a member.

    No message at or below `floor_id` is shown to the member. `floor_seq`: the conversation's
    `last_seq` when the floor was set.
    """

    role: Role = Role.MEMBER
    muted_until: int = 0
    floor_id: int = 0
    floor_seq: int = 0

    def is_muted(self, now_ms: int) -> bool:
        return self.muted_until == FOR_GOOD or self.muted_until > now_ms
