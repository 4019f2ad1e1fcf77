"""Read the values that a call on groups or users may send, as `request_fields` reads others.

Pure.

Raises: InvalidField, from every reader.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable
from enum import StrEnum
from typing import TypeVar

from messaging.domain import names, request_fields
from messaging.domain.field_errors import FieldError, InvalidField
from messaging.domain.groups import (
    FOR_GOOD,
    Allows,
    History,
    JoinMode,
    PermittedRole,
    Role,
)
from messaging.limits import (
    MAX_ANNOUNCEMENT_CHARACTERS,
    MAX_GROUP_NAME_CHARACTERS,
    MAX_JOIN_TEXT_CHARACTERS,
    MAX_MUTE_S,
    MAX_NAMED_USERS,
    MAX_NICKNAME_CHARACTERS,
)

Word = TypeVar("Word", bound=StrEnum)


def _reader_of(words: type[Word], refusal: FieldError) -> Callable[[object], Word]:
    """Return a reader of the words of an enumeration."""
    known = {word.value: word for word in words}

    def read(value: object) -> Word:
        word = known.get(value) if isinstance(value, str) else None
        if word is None:
            raise InvalidField(refusal)
        return word

    return read


read_join_mode = _reader_of(JoinMode, FieldError.JOIN_MODE)
read_history = _reader_of(History, FieldError.HISTORY)
read_permitted_role = _reader_of(PermittedRole, FieldError.PERMITTED_ROLE)
read_role = _reader_of(Role, FieldError.ROLE)
read_allows = _reader_of(Allows, FieldError.ALLOWS)


def read_settable_role(value: object) -> Role:
    if value not in (Role.ADMIN.value, Role.MEMBER.value):
        raise InvalidField(FieldError.SETTABLE_ROLE)
    return read_role(value)


def read_flag(value: object) -> bool:
    if not isinstance(value, bool):
        raise InvalidField(FieldError.NOT_BOOLEAN)
    return value


def read_group_name(value: object) -> str:
    too_long = FieldError.GROUP_NAME_LENGTH
    name = request_fields.read_text(value, most=MAX_GROUP_NAME_CHARACTERS, too_long=too_long)
    _check_visible(name)
    names.check_group_name(name)
    return name


def read_nickname(value: object) -> str:
    """Return a name by the rules of group names, or an empty text for none."""
    too_long = FieldError.NICKNAME_TOO_LONG
    nickname = request_fields.read_text(value, most=MAX_NICKNAME_CHARACTERS, too_long=too_long)
    return read_group_name(nickname) if nickname else ""


def read_announcement(value: object) -> str:
    return _read_optional(
        value, most=MAX_ANNOUNCEMENT_CHARACTERS, too_long=FieldError.ANNOUNCEMENT_TOO_LONG
    )


def read_join_text(value: object) -> str:
    return _read_optional(
        value, most=MAX_JOIN_TEXT_CHARACTERS, too_long=FieldError.JOIN_TEXT_TOO_LONG
    )


def read_avatar(value: object) -> str:
    """Return an address, or an empty text for none."""
    return "" if value == "" else request_fields.read_url(value)


def read_user_ids(value: object) -> tuple[int, ...]:
    """Return a list of users, each once, in their order."""
    if not isinstance(value, list):
        raise InvalidField(FieldError.NOT_A_LIST)
    if len(value) > MAX_NAMED_USERS:
        raise InvalidField(FieldError.TOO_MANY_USERS)
    return tuple(dict.fromkeys(map(request_fields.read_id, value)))


def read_some_user_ids(value: object) -> tuple[int, ...]:
    return _at_least_one(read_user_ids(value))


def read_some_ids(value: object) -> tuple[int, ...]:
    return _at_least_one(request_fields.read_ids(value))


def read_mute_s(
    value: object, *, most: int = MAX_MUTE_S, refusal: FieldError = FieldError.MUTE
) -> int:
    """Return the seconds of a mute: 0 ends it, FOR_GOOD has no end."""
    if type(value) is not int or not (value == FOR_GOOD or 0 <= value <= most):
        raise InvalidField(refusal)
    return value


def read_member_cursor(value: object) -> tuple[Role, int]:
    """Return the member that a cursor names, as its role and user."""
    role, separator, user_id = decode_cursor(value).partition(":")
    if not separator or role not in tuple(Role):
        raise InvalidField(FieldError.CURSOR)
    return Role(role), _read_cursor_id(user_id)


def read_user_cursor(value: object) -> int:
    return _read_cursor_id(decode_cursor(value))


def member_cursor(role: Role, user_id: int) -> str:
    return encode_cursor(f"{role.value}:{user_id}")


def user_cursor(user_id: int) -> str:
    return encode_cursor(str(user_id))


def encode_cursor(text: str) -> str:
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def decode_cursor(value: object) -> str:
    if not isinstance(value, str) or not value.isascii():
        raise InvalidField(FieldError.CURSOR)
    try:
        text = base64.urlsafe_b64decode(value + "=" * (-len(value) % 4)).decode()
    except (binascii.Error, UnicodeDecodeError) as error:
        raise InvalidField(FieldError.CURSOR) from error
    if encode_cursor(text) != value:
        raise InvalidField(FieldError.CURSOR)
    return text


def _read_cursor_id(text: str) -> int:
    try:
        return request_fields.read_id(text)
    except InvalidField as error:
        raise InvalidField(FieldError.CURSOR) from error


def _read_optional(value: object, *, most: int, too_long: FieldError) -> str:
    """Return a text with something visible in it, or an empty text for none."""
    text = request_fields.read_text(value, most=most, too_long=too_long)
    if text:
        _check_visible(text)
    return text


def _check_visible(text: str) -> None:
    if all(map(request_fields.is_invisible, text)):
        raise InvalidField(FieldError.BLANK)


def _at_least_one(ids: tuple[int, ...]) -> tuple[int, ...]:
    if not ids:
        raise InvalidField(FieldError.NO_IDS)
    return ids
