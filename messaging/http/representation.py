"""Represent messages, receipts and pages as clients see them.

Ids are strings, times are milliseconds since 1970. A field that does not apply is present and null.
Pure.
"""

from __future__ import annotations

from messaging.domain.groups import Notice
from messaging.domain.message import ChatType, Message
from messaging.service.history import HistoryPage
from messaging.service.receipts import Receipt

Json = dict[str, object]
_PRIVATE = ChatType.PRIVATE  # reaching into an enumeration costs as much as half of a message


def present_message(message: Message, *, viewer_id: int) -> Json:
    """Return the message as this user may see it.

    Only the sender sees the clientMsgId. A recalled message has no content.
    """
    is_private = message.chat_type is _PRIVATE
    is_shown = message.recall_time is None
    mentioned = message.at_user_ids if is_shown else ()
    return {
        "messageId": str(message.id),
        "conversationId": message.conversation_id,
        "seq": message.seq,
        "rev": None if message.seq is None else message.rev,
        "fromUserId": str(message.from_user_id),
        "toUserId": str(message.to_id) if is_private else None,
        "groupId": None if is_private else str(message.to_id),
        "chatType": message.chat_type,
        "msgType": message.msg_type,
        "content": message.content if is_shown else "",
        "url": message.url if is_shown else None,
        "atUserIds": [str(user_id) for user_id in mentioned] if mentioned else None,
        "clientMsgId": message.client_msg_id if message.from_user_id == viewer_id else None,
        "status": "NORMAL" if is_shown else "RECALLED",
        "persistStatus": "PENDING" if message.seq is None else "PERSISTED",
        "sendTime": message.send_time,
        "recallTime": message.recall_time,
        "recalledBy": None if is_shown else str(message.recalled_by or message.from_user_id),
        "notice": None if message.notice is None else present_notice(message.notice),
    }


def present_notice(notice: Notice) -> Json:
    return {
        "event": notice.event.value,
        "userIds": [str(user_id) for user_id in notice.user_ids],
        "count": notice.count,
        "changed": list(notice.changed) or None,
        "role": None if notice.role is None else notice.role.value,
        "memberMutedUntil": notice.muted_until,
    }


def present_receipt(receipt: Receipt) -> Json:
    return {
        "messageId": str(receipt.message_id),
        "conversationId": receipt.conversation_id,
        "sendTime": receipt.send_time,
        "persistStatus": receipt.persist_status.value,
        "durability": receipt.durability.value,
        "clientMsgId": receipt.client_msg_id,
    }


def present_page(page: HistoryPage, *, viewer_id: int) -> Json:
    cursor = page.next_before_id
    return {
        "total": page.total,
        "list": [present_message(message, viewer_id=viewer_id) for message in page.messages],
        "hasMore": page.has_more,
        "nextBeforeId": None if cursor is None else str(cursor),
        "partial": page.partial,
    }
