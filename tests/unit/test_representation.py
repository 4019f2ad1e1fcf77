"""Test messages as clients see them: ids are strings, and nothing private is in them."""

from __future__ import annotations

from dataclasses import replace

import pytest
from msgspec import structs

from messaging.domain.groups import Event, Notice, Role
from messaging.domain.message import ChatType, Message, MsgType, PersistStatus
from messaging.http.representation import (
    present_message,
    present_notice,
    present_page,
    present_receipt,
)
from messaging.pipeline.queued_send import Durability
from messaging.service.history import HistoryPage
from messaging.service.receipts import Receipt

ALICE, BOB = 2**53 + 1, 2
SENT = Message(
    id=2**62 + 1,
    conversation_id=f"{BOB}_{ALICE}",
    from_user_id=ALICE,
    to_id=BOB,
    chat_type=ChatType.PRIVATE,
    msg_type=MsgType.IMAGE,
    content="look",
    url="/cat.png",
    at_user_ids=(BOB,),
    client_msg_id="c-1",
    body_hash="0" * 32,
    send_time=1_732_723_200_000,
)


def test_a_private_message_has_every_field() -> None:
    assert present_message(structs.replace(SENT, seq=7), viewer_id=ALICE) == {
        "messageId": "4611686018427387905",
        "conversationId": "2_9007199254740993",
        "seq": 7,
        "rev": 0,
        "fromUserId": "9007199254740993",
        "toUserId": "2",
        "groupId": None,
        "chatType": 1,
        "msgType": 2,
        "content": "look",
        "url": "/cat.png",
        "atUserIds": ["2"],
        "clientMsgId": "c-1",
        "status": "NORMAL",
        "persistStatus": "PERSISTED",
        "sendTime": 1_732_723_200_000,
        "recallTime": None,
        "recalledBy": None,
        "notice": None,
    }


def test_a_group_message_has_a_group_in_place_of_a_receiver() -> None:
    sent = structs.replace(SENT, chat_type=ChatType.GROUP, to_id=2**63 - 1, conversation_id="g7")
    shown = present_message(sent, viewer_id=BOB)
    assert (shown["toUserId"], shown["groupId"]) == (None, "9223372036854775807")


def test_a_pending_message_has_no_seq() -> None:
    shown = present_message(SENT, viewer_id=BOB)
    assert (shown["seq"], shown["rev"], shown["persistStatus"]) == (None, None, "PENDING")


def test_a_changed_message_has_the_number_of_the_change() -> None:
    changed = structs.replace(SENT.recalled(5), seq=7, rev=3)
    assert present_message(changed, viewer_id=BOB)["rev"] == 3


def test_a_client_message_id_is_its_senders_own() -> None:
    assert present_message(SENT, viewer_id=BOB)["clientMsgId"] is None
    assert present_message(SENT.recalled(1), viewer_id=ALICE)["clientMsgId"] == "c-1"


def test_nobody_mentioned_is_null() -> None:
    assert (
        present_message(structs.replace(SENT, at_user_ids=()), viewer_id=BOB)["atUserIds"] is None
    )


@pytest.mark.parametrize("viewer_id", [ALICE, BOB])
def test_a_recalled_message_shows_nothing_of_what_it_said(viewer_id: int) -> None:
    half_done = structs.replace(
        SENT.recalled(5), content="look", url="/cat.png", at_user_ids=(BOB,)
    )
    for tombstone in (SENT.recalled(5), half_done):
        shown = present_message(tombstone, viewer_id=viewer_id)
        assert (shown["content"], shown["url"], shown["atUserIds"]) == ("", None, None)
        assert (shown["status"], shown["recallTime"]) == ("RECALLED", 5)
        assert shown["recalledBy"] == str(ALICE)


def test_a_recall_by_another_says_by_whom() -> None:
    assert present_message(SENT.recalled(5, BOB), viewer_id=ALICE)["recalledBy"] == str(BOB)


def test_a_notice_has_every_field() -> None:
    muted = Notice(event=Event.MUTED, user_ids=(ALICE,), count=1, muted_until=-1)
    given = Notice(event=Event.ROLE, user_ids=(BOB,), count=1, role=Role.ADMIN)
    renamed = Notice(event=Event.UPDATED, changed=("name",))
    assert [present_notice(each) for each in (muted, given, renamed)] == [
        {
            "event": "muted",
            "userIds": ["9007199254740993"],
            "count": 1,
            "changed": None,
            "role": None,
            "memberMutedUntil": -1,
        },
        {
            "event": "role",
            "userIds": ["2"],
            "count": 1,
            "changed": None,
            "role": "admin",
            "memberMutedUntil": None,
        },
        {
            "event": "updated",
            "userIds": [],
            "count": 0,
            "changed": ["name"],
            "role": None,
            "memberMutedUntil": None,
        },
    ]
    notice = structs.replace(SENT, msg_type=MsgType.NOTICE, notice=renamed)
    assert present_message(notice, viewer_id=BOB)["notice"] == present_notice(renamed)


def test_a_receipt_tells_how_durable_the_message_is() -> None:
    receipt = Receipt(
        message_id=2**62,
        conversation_id="1_2",
        send_time=5,
        persist_status=PersistStatus.PENDING,
        durability=Durability.LOG,
        client_msg_id=None,
    )
    assert present_receipt(receipt) == {
        "messageId": "4611686018427387904",
        "conversationId": "1_2",
        "sendTime": 5,
        "persistStatus": "PENDING",
        "durability": "log",
        "clientMsgId": None,
    }


def test_a_page_tells_how_to_go_on() -> None:
    page = HistoryPage(
        messages=(SENT,), total=9, has_more=True, next_before_id=2**62, partial=False
    )
    assert present_page(page, viewer_id=BOB) == {
        "total": 9,
        "list": [present_message(SENT, viewer_id=BOB)],
        "hasMore": True,
        "nextBeforeId": "4611686018427387904",
        "partial": False,
    }
    last = replace(page, has_more=False, next_before_id=None)
    assert present_page(last, viewer_id=BOB)["nextBeforeId"] is None
