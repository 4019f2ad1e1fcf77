"""Make the messages that tell of a group's changes, in the group's own conversation.

Pure.
"""

from __future__ import annotations

from messaging.domain.groups import Notice
from messaging.domain.ids import group_conversation, time_of_id
from messaging.domain.message import ChatType, Message, MsgType, hash_body


def notice_message(message_id: int, *, group_id: int, actor_id: int, notice: Notice) -> Message:
    """Return the message of a notice, whose sender is the one who acts."""
    return Message(
        id=message_id,
        conversation_id=group_conversation(group_id),
        from_user_id=actor_id,
        to_id=group_id,
        chat_type=ChatType.GROUP,
        msg_type=MsgType.NOTICE,
        content="",
        url=None,
        at_user_ids=(),
        client_msg_id=None,
        body_hash=hash_body(
            to_id=group_id,
            chat_type=ChatType.GROUP,
            msg_type=MsgType.NOTICE,
            content="",
            url=None,
            at_user_ids=(),
        ),
        send_time=time_of_id(message_id),
        notice=notice,
    )
