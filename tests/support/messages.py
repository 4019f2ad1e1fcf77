"""Make messages for tests."""

from __future__ import annotations

from messaging.domain.ids import group_conversation, private_conversation, time_of_id
from messaging.domain.message import ChatType, Message, MsgType, hash_body, join

FIRST_ID = 640_000_000_000_000_000  # in 2026


def make_message(
    number: int,
    *,
    from_user_id: int = 1,
    to_id: int = 2,
    chat_type: ChatType = ChatType.PRIVATE,
    msg_type: MsgType = MsgType.TEXT,
    content: str | None = None,
    url: str | None = None,
    at_user_ids: tuple[int, ...] = (),
    client_msg_id: str | None = None,
) -> Message:
    """Return a NORMAL message as the send use case makes one; a larger `number` is later."""
    message_id = FIRST_ID + number
    content = f"message {number}" if content is None else content
    if chat_type is ChatType.GROUP:
        conversation_id = group_conversation(to_id)
    else:
        conversation_id = private_conversation(from_user_id, to_id)
    return Message(
        id=message_id,
        conversation_id=conversation_id,
        from_user_id=from_user_id,
        to_id=to_id,
        chat_type=chat_type,
        msg_type=msg_type,
        content=content,
        url=url,
        at_user_ids=at_user_ids,
        client_msg_id=client_msg_id,
        body_hash=hash_body(
            to_id=to_id,
            chat_type=chat_type,
            msg_type=msg_type,
            content=content,
            url=url,
            at_user_ids=at_user_ids,
        ),
        send_time=time_of_id(message_id),
    )


def join_all(messages: list[Message]) -> list[Message]:
    """Return one joined state a message id, in order of id."""
    states: dict[int, Message] = {}
    for message in messages:
        known = states.get(message.id)
        states[message.id] = message if known is None else join(known, message)
    return [states[message_id] for message_id in sorted(states)]
