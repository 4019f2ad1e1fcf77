"""Parse the calls on groups, as `requests` parses those on messages.

Pure. Unknown fields are ignored; null means absent.

Raises: InvalidInput, from every parser, with all fields that are wrong.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import msgspec

from messaging.conf import DEFAULT_PAGE_SIZE
from messaging.domain import group_fields, request_fields
from messaging.domain.field_errors import FieldError
from messaging.domain.form import Form
from messaging.domain.groups import Role

Readers = Mapping[str, tuple[str, Callable[[object], object]]]

_GROUP_FIELDS: Readers = {
    "name": ("name", group_fields.read_group_name),
    "avatar": ("avatar", group_fields.read_avatar),
    "join_mode": ("joinMode", group_fields.read_join_mode),
    "history": ("history", group_fields.read_history),
    "invite_by": ("inviteBy", group_fields.read_permitted_role),
    "at_all_by": ("atAllBy", group_fields.read_permitted_role),
}
_UPDATED_FIELDS: Readers = {
    **_GROUP_FIELDS,
    "announcement": ("announcement", group_fields.read_announcement),
    "is_all_muted": ("isAllMuted", group_fields.read_flag),
}


class CreateRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Ask for a group; `fields` holds the columns that are given, the name among them."""

    fields: dict[str, object]
    user_ids: tuple[int, ...] = ()
    request_id: str | None = None


class UpdateRequest(msgspec.Struct, frozen=True, kw_only=True):
    group_id: int
    fields: dict[str, object]


class JoinRequest(msgspec.Struct, frozen=True, kw_only=True):
    group_id: int
    text: str


class AnswerRequest(msgspec.Struct, frozen=True, kw_only=True):
    group_id: int
    user_id: int
    accept: bool


class UsersRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Name some users of a group; `ban` is meant for their removal."""

    group_id: int
    user_ids: tuple[int, ...]
    ban: bool = False


class UserRequest(msgspec.Struct, frozen=True, kw_only=True):
    group_id: int
    user_id: int


class RoleRequest(msgspec.Struct, frozen=True, kw_only=True):
    group_id: int
    user_id: int
    role: Role


class MuteRequest(msgspec.Struct, frozen=True, kw_only=True):
    group_id: int
    user_id: int
    for_s: int


class NicknameRequest(msgspec.Struct, frozen=True, kw_only=True):
    group_id: int
    nickname: str


class MembersRequest(msgspec.Struct, frozen=True, kw_only=True):
    group_id: int
    role: Role | None
    after: tuple[Role, int] | None
    size: int


class RequestsRequest(msgspec.Struct, frozen=True, kw_only=True):
    group_id: int
    after: int | None
    size: int


def parse_create(body: object, *, own_id: int) -> CreateRequest:
    form = Form(body)
    fields = take_given(form, _GROUP_FIELDS)
    if not form.has("name"):
        form.refuse("name", FieldError.REQUIRED)
    user_ids = form.take("memberIds", group_fields.read_user_ids, default=())
    _refuse_oneself(form, "memberIds", user_ids, own_id)
    request_id = form.take("requestId", request_fields.read_client_msg_id, default=None)
    form.close()
    return CreateRequest(fields=fields, user_ids=user_ids, request_id=request_id)


def parse_update(body: object) -> UpdateRequest:
    form = Form(body)
    group_id, fields = _take_group(form), take_given(form, _UPDATED_FIELDS)
    form.close()
    return UpdateRequest(group_id=group_id, fields=fields)


def parse_group(body: object) -> int:
    """Return the group that a leave or a dissolution names, or the address of a group."""
    form = Form(body)
    group_id = _take_group(form)
    form.close()
    return group_id


def parse_join(body: object) -> JoinRequest:
    form = Form(body)
    group_id, text = _take_group(form), form.take("text", group_fields.read_join_text, default="")
    form.close()
    return JoinRequest(group_id=group_id, text=text)


def parse_answer(body: object) -> AnswerRequest:
    form = Form(body)
    group_id, user_id = _take_group(form), _take_user(form)
    accept = form.take("accept", group_fields.read_flag, default=False, needed=True)
    form.close()
    return AnswerRequest(group_id=group_id, user_id=user_id, accept=accept)


def parse_users(body: object, *, own_id: int) -> UsersRequest:
    """Return the users that an invitation, a removal or the end of bans names."""
    form = Form(body)
    group_id = _take_group(form)
    user_ids = form.take("userIds", group_fields.read_some_user_ids, default=(), needed=True)
    _refuse_oneself(form, "userIds", user_ids, own_id)
    ban = form.take("ban", group_fields.read_flag, default=False)
    form.close()
    return UsersRequest(group_id=group_id, user_ids=user_ids, ban=ban)


def parse_role(body: object) -> RoleRequest:
    form = Form(body)
    group_id, user_id = _take_group(form), _take_user(form)
    role = form.take("role", group_fields.read_settable_role, default=Role.MEMBER, needed=True)
    form.close()
    return RoleRequest(group_id=group_id, user_id=user_id, role=role)


def parse_transfer(body: object) -> UserRequest:
    form = Form(body)
    group_id, user_id = _take_group(form), _take_user(form)
    form.close()
    return UserRequest(group_id=group_id, user_id=user_id)


def parse_mute(body: object) -> MuteRequest:
    form = Form(body)
    group_id, user_id = _take_group(form), _take_user(form)
    for_s = form.take("forS", group_fields.read_mute_s, default=0, needed=True)
    form.close()
    return MuteRequest(group_id=group_id, user_id=user_id, for_s=for_s)


def parse_nickname(body: object) -> NicknameRequest:
    form = Form(body)
    group_id = _take_group(form)
    nickname = form.take("nickname", group_fields.read_nickname, default="", needed=True)
    form.close()
    return NicknameRequest(group_id=group_id, nickname=nickname)


def parse_members(query: Mapping[str, str]) -> MembersRequest:
    form = Form(query)
    group_id, size = _take_group(form), _take_size(form)
    role = form.take("role", group_fields.read_role, default=None)
    after = form.take("after", group_fields.read_member_cursor, default=None)
    form.close()
    return MembersRequest(group_id=group_id, role=role, after=after, size=size)


def parse_requests(query: Mapping[str, str]) -> RequestsRequest:
    form = Form(query)
    group_id, size = _take_group(form), _take_size(form)
    after = form.take("after", group_fields.read_user_cursor, default=None)
    form.close()
    return RequestsRequest(group_id=group_id, after=after, size=size)


def take_given(form: Form, readers: Readers) -> dict[str, object]:
    """Return the values of the fields that are given, by column."""
    return {
        column: form.take(field, read, default=None)
        for column, (field, read) in readers.items()
        if form.has(field)
    }


def _take_group(form: Form) -> int:
    return form.take("groupId", request_fields.read_id, default=0, needed=True)


def _take_user(form: Form) -> int:
    return form.take("userId", request_fields.read_id, default=0, needed=True)


def _take_size(form: Form) -> int:
    return form.take("size", request_fields.read_size, default=DEFAULT_PAGE_SIZE)


def _refuse_oneself(form: Form, field: str, user_ids: tuple[int, ...], own_id: int) -> None:
    if own_id in user_ids:
        form.refuse(field, FieldError.OWN_ID)
