"""Parse the calls on users and their profiles, as `requests` parses those on messages.

Pure. Unknown fields are ignored; null means absent.

Raises: InvalidInput, from every parser, with all fields that are wrong.
"""

from __future__ import annotations

from collections.abc import Mapping

from messaging.domain import group_fields, request_fields
from messaging.domain.field_errors import FieldError
from messaging.domain.form import Form
from messaging.domain.group_requests import Readers, take_given

_PROFILE_FIELDS: Readers = {
    "nickname": ("nickname", group_fields.read_nickname),
    "avatar": ("avatar", group_fields.read_avatar),
    "shows_receipts": ("showsReceipts", group_fields.read_flag),
    "invites_from": ("invitesFrom", group_fields.read_allows),
}


def parse_profile(body: object) -> dict[str, object]:
    """Return the columns of a profile that are given."""
    form = Form(body)
    fields = take_given(form, _PROFILE_FIELDS)
    form.close()
    return fields


def parse_user_ids(body: object) -> tuple[int, ...]:
    form = Form(body)
    user_ids = form.take("userIds", group_fields.read_some_ids, default=(), needed=True)
    form.close()
    return user_ids


def parse_find(query: Mapping[str, str]) -> str:
    """Return the user name to be looked for."""
    form = Form(query)
    username = form.take("username", request_fields.read_name, default="", needed=True)
    if not username.strip() and not form.is_wrong("username"):
        form.refuse("username", FieldError.BLANK)
    form.close()
    return username
