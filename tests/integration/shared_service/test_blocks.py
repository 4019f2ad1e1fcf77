"""Test blocks by the API: the answers, and that no message reaches a user against a block."""

from __future__ import annotations

import threading
import time

import pytest
from django.db import IntegrityError

from messaging.models import UserBlock
from tests.support.http_client import Answer
from tests.support.service import Service, User, at_both_doors, listed, refused

pytestmark = at_both_doors()

BLOCK, UNBLOCK, BLOCKS = "/api/user/block", "/api/user/unblock", "/api/user/blocks"


class TestBlocking:
    def test_answers_with_the_user_and_the_time(self, alice: User, bob: User) -> None:
        data = bob.block(alice).data
        assert list(data) == ["userId", "blockTime"]
        assert data["userId"] == alice.id
        assert abs(data["blockTime"] - time.time() * 1000) < 60_000

    def test_at_once_is_one_block(self, service: Service, alice: User, bob: User) -> None:
        answers: list[Answer] = []
        threads = [
            threading.Thread(target=lambda: answers.append(bob.block(alice))) for _ in range(8)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len({answer.data["blockTime"] for answer in answers}) == 1

    def test_oneself_is_refused_and_unblocking_oneself_is_nothing(self, alice: User) -> None:
        assert alice.client.post(BLOCK, {"userId": alice.id}).wrong == {"userId"}
        assert alice.client.post(UNBLOCK, {"userId": alice.id}).status == 200

    def test_oneself_is_refused_by_the_database_too(self, alice: User) -> None:
        with pytest.raises(IntegrityError):
            UserBlock.objects.create(blocker_id=int(alice.id), blocked_id=int(alice.id))

    @pytest.mark.parametrize("path", [BLOCK, UNBLOCK])
    @pytest.mark.parametrize("user_id", ["999999", "9223372036854775807", 999_999])
    def test_somebody_unknown_is_refused(self, alice: User, path: str, user_id: object) -> None:
        assert refused(alice.client.post(path, {"userId": user_id}), 404, 1002)

    @pytest.mark.parametrize("path", [BLOCK, UNBLOCK])
    @pytest.mark.parametrize("user_id", [None, "", "x", "01", 0, -1, 1.0, 2**63, [1], True, {}])
    def test_names_what_is_no_user_id(self, alice: User, path: str, user_id: object) -> None:
        assert alice.client.post(path, {"userId": user_id}).wrong == {"userId"}
        assert alice.client.post(path, {}).wrong == {"userId"}
        assert alice.client.post(path, [1]).wrong == {"body"}
        assert alice.client.post(path).wrong == {"userId"}

    @pytest.mark.parametrize(
        ("method", "path"), [("POST", BLOCK), ("POST", UNBLOCK), ("GET", BLOCKS)]
    )
    def test_needs_a_token_and_the_right_method(
        self, service: Service, alice: User, method: str, path: str
    ) -> None:
        assert refused(service.anybody.call(method, path, {}), 401, 401)
        assert refused(alice.client.call("PUT", path, {}), 405, 405)


class TestTheList:
    def test_is_ones_own_newest_first(self, alice: User, bob: User, carol: User) -> None:
        alice.block(bob)
        alice.block(carol)
        bob.block(alice)
        data = alice.client.get(BLOCKS).data
        assert list(data) == ["list", "hasMore", "nextBeforeId"]
        assert [each["userId"] for each in data["list"]] == [carol.id, bob.id]
        assert list(data["list"][0]) == ["userId", "blockTime"]
        assert (data["hasMore"], data["nextBeforeId"]) == (False, None)

    def test_of_nobody_is_empty(self, alice: User) -> None:
        data = alice.client.get(BLOCKS).data
        assert data == {"list": [], "hasMore": False, "nextBeforeId": None}

    @pytest.mark.parametrize("before", ["", "x", "0", "-1", "9223372036854775808"])
    def test_names_a_cursor_that_is_none(self, alice: User, before: str) -> None:
        assert alice.client.get(BLOCKS, beforeId=before).wrong == {"beforeId"}


class TestABlockedSender:
    def test_is_told_again_what_went_through_before(
        self, service: Service, alice: User, bob: User
    ) -> None:
        first = alice.sent(bob, "before", clientMsgId="c")
        bob.block(alice)
        for _ in range(2):
            assert alice.sent(bob, "before", clientMsgId="c") == first
            service.persist()
        assert refused(alice.send(bob, "other words", clientMsgId="c"), 403, 2005)
        assert listed(bob.history(alice)) == [first]

    def test_is_told_in_chinese_too(self, alice: User, bob: User) -> None:
        bob.block(alice)
        body = {"toUserId": bob.id, "chatType": 1, "msgType": 1, "content": "hi"}
        answer = alice.client.post("/api/message/send", body, headers={"Accept-Language": "zh-CN"})
        assert (answer.code, answer.body["message"]) == (2005, "对方不接收您的消息。")

    def test_may_write_again_once_unblocked(self, alice: User, bob: User) -> None:
        assert alice.send(bob).status == 200
        bob.block(alice)
        assert alice.send(bob).status == 403
        bob.client.post(UNBLOCK, {"userId": alice.id})
        assert alice.send(bob).status == 200

    def test_is_so_to_the_one_who_blocked_alone(
        self, service: Service, alice: User, bob: User, carol: User
    ) -> None:
        group_id = service.make_group(alice, bob)
        bob.block(alice)
        assert bob.send(alice).status == 200  # a block in the other direction
        assert alice.send(carol).status == 200
        assert carol.send(bob).status == 200
        assert alice.send_to_group(group_id).status == 200
        assert alice.send(alice).status == 200

    def test_keeps_what_was_said_before(self, alice: User, bob: User) -> None:
        message_id = alice.sent(bob, "before")
        bob.block(alice)
        assert bob.read(message_id).data["content"] == "before"
        assert alice.recall(message_id).status == 200
