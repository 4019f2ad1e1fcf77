"""Tell the sender of a message who has read it.

A user who shows no receipts is in nobody's answer and gets none. Messages that a user read before
showing receipts again count as unread by that user.
"""

from __future__ import annotations

from dataclasses import dataclass

from messaging.domain.backend_errors import StoreUnavailable
from messaging.domain.conversation_requests import ReadersRequest
from messaging.domain.conversations import NEVER
from messaging.domain.errors import (
    AlreadyRecalled,
    GroupNotFound,
    GroupTooLarge,
    InvalidInput,
    MessageNotFound,
    NotAMember,
    NotYourMessage,
    ReceiptsHidden,
    TemporarilyUnavailable,
)
from messaging.domain.field_errors import FieldError
from messaging.domain.message import ChatType, Message, MsgType
from messaging.ports.conversations import Readers
from messaging.service.access import read_as_member
from messaging.service.backends import Backends
from messaging.service.confirming import confirm_access
from messaging.service.fetch import fetch
from messaging.service.visibility import Reader

NOBODY = Readers(read_count=0, member_count=0, user_ids=())


@dataclass(frozen=True, slots=True, kw_only=True)
class MessageReaders:
    """Hold a page of members by id, as `ports.conversations.Readers` tells them."""

    read_count: int = 0
    member_count: int = 0
    user_ids: tuple[int, ...] = ()
    has_more: bool = False


async def list_readers(
    backends: Backends, wanted: ReadersRequest, *, reader_id: int
) -> MessageReaders:
    """Return a page of the members who have read the reader's own message, or have not.

    Nobody has read a pending message, and nobody is counted for one. In a private conversation the
    other party is the only member.

    Raises: MessageNotFound; InvalidInput for a notice; NotYourMessage; AlreadyRecalled;
    ReceiptsHidden for a sender who shows no receipts; GroupTooLarge; TemporarilyUnavailable;
    TooManyRequests, at once, for a user who reads too much.
    """
    message = await fetch(backends, wanted.message_id, reader_id=reader_id)
    if message.msg_type is MsgType.NOTICE:
        raise InvalidInput({"messageId": [FieldError.NO_READERS]})
    if message.from_user_id != reader_id:
        raise NotYourMessage
    if message.is_recalled:
        raise AlreadyRecalled
    try:
        if await backends.directory.receipts_from(reader_id) == NEVER:
            raise ReceiptsHidden
        found = await _find(backends, message, wanted, reader_id)
    except StoreUnavailable as error:
        raise TemporarilyUnavailable from error
    return MessageReaders(
        read_count=found.read_count,
        member_count=found.member_count,
        user_ids=found.user_ids[: wanted.size],
        has_more=len(found.user_ids) > wanted.size,
    )


async def _find(
    backends: Backends, message: Message, wanted: ReadersRequest, reader_id: int
) -> Readers:
    """Return the members who are asked for; in a group as long as the reader belongs to it.

    Raises: MessageNotFound; GroupTooLarge; StoreUnavailable; TemporarilyUnavailable.
    """

    async def find(reader: Reader) -> Readers:
        _check(backends, message, reader)
        if message.seq is None:
            return NOBODY
        found = await backends.conversations.readers(
            message, has_read=wanted.has_read, after=wanted.after, limit=wanted.size
        )
        await confirm_access(backends, message.conversation_id, reader)
        return found

    if message.chat_type is ChatType.PRIVATE:
        return await find(Reader(reader_id))
    try:
        return await read_as_member(
            backends, find, group_id=message.to_id, user_id=reader_id, is_listed=True
        )
    except (GroupNotFound, NotAMember) as error:
        raise MessageNotFound from error


def _check(backends: Backends, message: Message, reader: Reader) -> None:
    """Check that the reader may see the message, and that its group is not too large.

    Raises: MessageNotFound; GroupTooLarge.
    """
    if not reader.may_see(message.id):
        raise MessageNotFound
    if reader.access and reader.access.group.member_count > backends.settings.receipt_members:
        raise GroupTooLarge
