"""Parse the requests of clients: the one place that knows the shape of a request.

Pure. Both doors call these parsers with what they decoded, so that a request is judged alike at
each door. Unknown fields are ignored; null means absent.

Raises: InvalidInput, from every parser, with all fields that are wrong.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

import msgspec

from messaging.conf import DEFAULT_PAGE_SIZE, MAX_PAGED_MESSAGES
from messaging.domain import request_fields
from messaging.domain.form import Form
from messaging.domain.message import ChatType, MsgType
from messaging.domain.request_fields import FieldError, InvalidField


class Ack(StrEnum):
    """Name the confirmation that a sender waits for."""

    CACHE = "cache"
    LOG = "log"
    STORE = "store"


class SendRequest(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    chat_type: ChatType
    target_id: int  # the receiver in a private chat, the group in a group chat
    msg_type: MsgType
    content: str
    url: str | None
    at_user_ids: tuple[int, ...]
    client_msg_id: str | None
    ack: Ack


class HistoryRequest(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Ask for a page of a conversation's history.

    `page`: counted from 1; None when `before_id` is given.
    """

    chat_type: ChatType
    target_id: int
    size: int
    page: int | None
    before_id: int | None


class Credentials(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Hold a user name in Unicode's NFKC form, as Django keeps it, and a password as sent."""

    username: str
    password: str


class PasswordChange(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    old_password: str
    new_password: str


def parse_send(body: object) -> SendRequest:
    form = Form(body)
    chat_type = form.take(
        "chatType", request_fields.read_chat_type, default=ChatType.PRIVATE, needed=True
    )
    msg_type = form.take("msgType", request_fields.read_msg_type, default=MsgType.TEXT, needed=True)
    target_id = _take_receiver(form, None if form.is_wrong("chatType") else chat_type)
    content, url = _take_content(form, None if form.is_wrong("msgType") else msg_type)
    at_user_ids = form.take("atUserIds", request_fields.read_ids, default=())
    client_msg_id = form.take("clientMsgId", request_fields.read_client_msg_id, default=None)
    ack = form.take("ack", _read_ack, default=Ack.LOG)
    form.close()
    return SendRequest(
        chat_type=chat_type,
        target_id=target_id,
        msg_type=msg_type,
        content=content,
        url=url,
        at_user_ids=at_user_ids,
        client_msg_id=client_msg_id,
        ack=ack,
    )


def parse_message_id(value: object, field: str = "messageId") -> int:
    """Return the message id in a path; `field` is the name of the value in an error."""
    return parse_message_reference({field: value}, field)


def parse_message_reference(body: object, field: str = "messageId") -> int:
    """Return the message id that the body of a recall or a delete names in this field."""
    form = Form(body)
    message_id = form.take(field, request_fields.read_id, default=0, needed=True)
    form.close()
    return message_id


def parse_history(query: Mapping[str, str]) -> HistoryRequest:
    form = Form(query)
    chat_type = form.take(
        "chatType", request_fields.read_chat_type_digit, default=ChatType.PRIVATE, needed=True
    )
    target_id = form.take("targetId", request_fields.read_id, default=0, needed=True)
    size = form.take("size", request_fields.read_size, default=DEFAULT_PAGE_SIZE)
    page = form.take("page", _read_page, default=1)
    before_id = form.take("beforeId", request_fields.read_id, default=None)
    if form.has("page") and form.has("beforeId"):
        form.refuse("page", FieldError.PAGE_OR_CURSOR)
        form.refuse("beforeId", FieldError.PAGE_OR_CURSOR)
    elif page * size > MAX_PAGED_MESSAGES:
        form.refuse("page", FieldError.PAGE_TOO_DEEP)
    form.close()
    return HistoryRequest(
        chat_type=chat_type,
        target_id=target_id,
        size=size,
        page=page if before_id is None else None,
        before_id=before_id,
    )


def parse_credentials(body: object) -> Credentials:
    form = Form(body)
    username = form.take("username", request_fields.read_name, default="", needed=True)
    password = form.take("password", request_fields.read_password, default="", needed=True)
    form.close()
    return Credentials(username=username, password=password)


def parse_password_change(body: object) -> PasswordChange:
    form = Form(body)
    old_password = form.take("oldPassword", request_fields.read_password, default="", needed=True)
    new_password = form.take("newPassword", request_fields.read_password, default="", needed=True)
    form.close()
    return PasswordChange(old_password=old_password, new_password=new_password)


def parse_logout(body: object) -> str | None:
    """Return the refresh token that ends with the access token, if the body names one."""
    form = Form(body)
    refresh = form.take("refresh", request_fields.read_token, default=None)
    form.close()
    return refresh


def _take_receiver(form: Form, chat_type: ChatType | None) -> int:
    """Return the receiver's id; `chat_type` is None where the chat type is not known."""
    to_user_id = form.take("toUserId", request_fields.read_id, default=0)
    group_id = form.take("groupId", request_fields.read_id, default=0)
    has_user, has_group = form.has("toUserId"), form.has("groupId")
    if has_user and has_group:
        form.refuse("toUserId", FieldError.RECEIVER_BOTH)
        form.refuse("groupId", FieldError.RECEIVER_BOTH)
    elif not has_user and not has_group:
        field = "groupId" if chat_type is ChatType.GROUP else "toUserId"
        form.refuse(field, FieldError.RECEIVER_MISSING)
    elif has_group and chat_type is ChatType.PRIVATE:
        form.refuse("groupId", FieldError.RECEIVER_PRIVATE)
    elif has_user and chat_type is ChatType.GROUP:
        form.refuse("toUserId", FieldError.RECEIVER_GROUP)
    return group_id if chat_type is ChatType.GROUP else to_user_id


def _take_content(form: Form, msg_type: MsgType | None) -> tuple[str, str | None]:
    """Return the text and the address; an empty address means none."""
    if msg_type is MsgType.TEXT:
        content = form.take("content", request_fields.read_content, default="", needed=True)
    else:
        content = form.take("content", request_fields.read_caption, default="")
    url = form.take("url", _read_url_or_none, default=None)
    if msg_type not in (MsgType.TEXT, None) and url is None and not form.is_wrong("url"):
        form.refuse("url", FieldError.REQUIRED)
    return content, url


def _read_url_or_none(value: object) -> str | None:
    return None if value == "" else request_fields.read_url(value)


def _read_ack(value: object) -> Ack:
    if not isinstance(value, str) or value not in tuple(Ack):
        raise InvalidField(FieldError.ACK)
    return Ack(value)


def _read_page(value: object) -> int:
    page = request_fields.read_number(value)
    if page is None:
        raise InvalidField(FieldError.PAGE)
    return page
