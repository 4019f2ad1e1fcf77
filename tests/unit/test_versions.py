"""Check that the previous version and this one read each other's events, as in an upgrade.

`VERSION_1` is a recording of what version 1 wrote; `read_version_1` reads as version 1 did. Neither
is changed with the code. When VERSION is raised, this code must still read the records of version
1, and a reader of version 1 must know the new records as newer: the next recording is added then.
"""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given

from messaging.domain.events import decode_event, encode_event
from messaging.domain.message import ChatType, Message, MsgType, Status
from tests.unit.test_events import normal_messages

VERSION_1 = {
    b'{"v":1,"action":"PERSIST","messageId":"640000000000000001","conversationId":"1_2","seq":null,'
    b'"persistStatus":"PENDING","status":"NORMAL","recallTime":null,"sendTime":1793583118438,'
    b'"fromUserId":"1","toId":"2","chatType":1,"msgType":2,"clientMsgId":"k-1",'
    b'"bodyHash":"0123456789abcdef0123456789abcdef","url":"https://example.org/a.png",'
    b'"atUserIds":[],"content":"\xe4\xbd\xa0\xe5\xa5\xbd \\"x\\""}': Message(
        id=640_000_000_000_000_001,
        conversation_id="1_2",
        from_user_id=1,
        to_id=2,
        chat_type=ChatType.PRIVATE,
        msg_type=MsgType.IMAGE,
        content='\u4f60\u597d "x"',
        url="https://example.org/a.png",
        at_user_ids=(),
        client_msg_id="k-1",
        body_hash="0123456789abcdef0123456789abcdef",
        send_time=1_793_583_118_438,
    ),
    b'{"v":1,"action":"RECALL","messageId":"640000000000000002","conversationId":"g7","seq":null,'
    b'"persistStatus":"PENDING","status":"RECALLED","recallTime":1793583119000,'
    b'"sendTime":1793583118438,"fromUserId":"1","toId":"7","chatType":2,"msgType":1,'
    b'"clientMsgId":null,"bodyHash":"0123456789abcdef0123456789abcdef","url":null,'
    b'"atUserIds":[],"content":""}': Message(
        id=640_000_000_000_000_002,
        conversation_id="g7",
        from_user_id=1,
        to_id=7,
        chat_type=ChatType.GROUP,
        msg_type=MsgType.TEXT,
        content="",
        url=None,
        at_user_ids=(),
        client_msg_id=None,
        body_hash="0123456789abcdef0123456789abcdef",
        send_time=1_793_583_118_438,
        status=Status.RECALLED,
        recall_time=1_793_583_119_000,
    ),
}
FIELDS = {  # the fields that version 1 demands, and their types
    "action": str,
    "messageId": str,
    "conversationId": str,
    "seq": int | None,
    "status": str,
    "recallTime": int | None,
    "sendTime": int,
    "fromUserId": str,
    "toId": str,
    "chatType": int,
    "msgType": int,
    "clientMsgId": str | None,
    "bodyHash": str,
    "url": str | None,
    "atUserIds": list,
    "content": str,
}


def read_version_1(value: bytes) -> dict[str, Any] | None:
    """Return the fields that version 1 knows, or None for a newer event, which stays in the log."""
    event = json.loads(value)
    assert isinstance(event["v"], int)
    if event["v"] > 1:
        return None
    assert event["v"] == 1
    known = {name: event[name] for name in FIELDS}
    assert all(isinstance(known[name], kind) for name, kind in FIELDS.items())
    assert known["status"] in ("NORMAL", "RECALLED")
    assert known["action"] == {"NORMAL": "PERSIST", "RECALLED": "RECALL"}[known["status"]]
    return known


@pytest.mark.parametrize("value", VERSION_1)
def test_this_version_reads_what_the_one_before_wrote(value: bytes) -> None:
    assert decode_event(value) == VERSION_1[value]


@given(normal_messages())
def test_the_version_before_reads_what_this_one_writes(message: Message) -> None:
    for state in (message, message.recalled(7)):
        read = read_version_1(encode_event(state))
        if read is not None:
            assert read == {
                "action": "RECALL" if state.is_recalled else "PERSIST",
                "messageId": str(state.id),
                "conversationId": state.conversation_id,
                "seq": None,
                "status": state.status.name,
                "recallTime": state.recall_time,
                "sendTime": state.send_time,
                "fromUserId": str(state.from_user_id),
                "toId": str(state.to_id),
                "chatType": int(state.chat_type),
                "msgType": int(state.msg_type),
                "clientMsgId": state.client_msg_id,
                "bodyHash": state.body_hash,
                "url": state.url,
                "atUserIds": [str(each) for each in state.at_user_ids],
                "content": state.content,
            }


def test_a_field_more_changes_nothing_for_the_version_before() -> None:
    for value, message in VERSION_1.items():
        assert decode_event(value[:-1] + b',"more":{"of":[1]}}') == message
