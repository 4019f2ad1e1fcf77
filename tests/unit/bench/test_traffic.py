"""Test the requests that the load sends, and the state that the load keeps of them."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from bench.load import receipts
from bench.load.content import client_msg_id_of, text_of
from bench.load.receipts import Receipts, SentMessage, sent_of
from bench.load.traffic import (
    MIX,
    Account,
    Lists,
    Marks,
    Mix,
    Sender,
    Syncs,
    TargetSite,
    Traffic,
)

SITE = TargetSite(host="127.0.0.1", port=8082, run="abcd1234", lap=3, text_bytes=90)
ANSWER = b'{"data":{"messageId":"%d","durability":"log"}}'


def account(index: int = 5, chat_type: int = 1) -> Account:
    # The token holds no number that could be taken for the one that is written over.
    token = "000000000.000000000"
    return Account(index=index, user_id=71, token=token, to=72, chat_type=chat_type)


def parsed(request: bytes | bytearray) -> tuple[str, dict[str, Any]]:
    head, _, body = bytes(request).partition(b"\r\n\r\n")
    length = next(line for line in head.split(b"\r\n") if line.startswith(b"Content-Length"))
    assert int(length.split()[1]) == len(body)
    return head.split(b"\r\n")[0].decode(), json.loads(body)


class TestASend:
    def test_says_what_the_check_expects(self) -> None:
        sender = Sender(account(), SITE)
        for number in range(3):
            line, body = parsed(sender.send())
            sent = SentMessage(3, 5, number)
            assert line == "POST /api/message/send HTTP/1.1"
            assert body == {
                "toUserId": "72",
                "chatType": 1,
                "msgType": 1,
                "clientMsgId": client_msg_id_of(sent, run="abcd1234"),
                "content": text_of(sent, run="abcd1234", size=90),
            }
            assert sent_of(sender.tag + sender.number) == sent

    def test_goes_to_a_group_in_group_chat(self) -> None:
        _, body = parsed(Sender(account(chat_type=2), SITE).send())
        assert (body["groupId"], body["chatType"]) == ("72", 2)
        assert "toUserId" not in body
        assert account(chat_type=2).conversation_id == "g72"

    def test_is_as_long_as_was_asked_for(self) -> None:
        for size in (60, 90, 121, 4_096):
            text = text_of(SentMessage(1, 2, 3), run="abcd1234", size=size)
            assert size - 3 <= len(text.encode()) <= size


class TestRecords:
    def test_are_read_as_they_were_written(self, tmp_path: Path) -> None:
        written = Receipts(tmp_path / "lap")
        wanted = [(1 << 62 | n, receipts.tag_base(2, 9) + n) for n in range(40_000)]
        for message_id, tag in wanted:
            written.note((message_id, tag))
            if message_id % 1_000 == 0:
                written.flush()
        written.note_recall(*wanted[7])
        written.close()
        found = list(receipts.read(tmp_path / "lap"))
        assert found[:-1] == wanted
        assert found[-1] == (wanted[7][0], wanted[7][1] | receipts.RECALLED)
        assert written.sent == 40_000

    def test_of_a_killed_process_end_with_the_last_whole_one(self, tmp_path: Path) -> None:
        written = Receipts(tmp_path / "lap")
        written.note((11, 12))
        written.note((13, 14))
        written.close()
        whole = (tmp_path / "lap").read_bytes()
        for cut in range(1, 16):
            (tmp_path / "lap").write_bytes(whole[:-cut])
            assert list(receipts.read(tmp_path / "lap")) == [(11, 12)]

    def test_hold_what_was_acknowledged_with_its_durability(self, tmp_path: Path) -> None:
        written, sender = Receipts(tmp_path / "lap"), Sender(account(), SITE)
        traffic = Traffic(written)
        for message_id in (11, 12):
            traffic.request(sender)
            traffic.answered(sender, ANSWER % message_id)
        written.close()
        assert [each for each, _ in receipts.read(tmp_path / "lap")] == [11, 12]
        assert traffic.durability[ord("l")] == 2


def test_the_mix_recalls_what_was_acknowledged_last(tmp_path: Path) -> None:
    written, sender = Receipts(tmp_path / "lap"), Sender(account(index=0), SITE)
    traffic, recalled = Mix(written), []
    for message_id in range(100, 100 + len(MIX)):
        line = bytes(traffic.request(sender)).partition(b"\r\n")[0]
        if b"recall" in line:
            recalled.append(sender.last_id)
        traffic.answered(sender, ANSWER % message_id)
    written.close()
    assert recalled == [104]
    assert written.sent == 7


class TestLists:
    def test_ask_for_the_own_conversations(self) -> None:
        request = Lists(Receipts(None)).request(Sender(account(), SITE))
        assert request.startswith(b"GET /api/conversation/list HTTP/1.1\r\n")

    def test_sync_from_one_cursor_again_and_again(self) -> None:
        sender = Sender(replace(account(), cursor="AbC_-"), SITE)
        for _ in range(2):
            line, body = parsed(Syncs(Receipts(None)).request(sender))
            assert (line, body) == ("POST /api/sync HTTP/1.1", {"cursor": "AbC_-"})

    def test_mark_one_message_after_the_other_as_read(self) -> None:
        sender, traffic = Sender(account(), SITE), Marks(Receipts(None))
        for number in (1, 2, 3):
            line, body = parsed(traffic.request(sender))
            assert line == "POST /api/conversation/receipts HTTP/1.1"
            assert body == {"items": [{"conversationId": "71_72", "readSeq": number}]}
