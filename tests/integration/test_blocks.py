"""Test blocks by the API: the answers, and that no message reaches a user against a block."""

from __future__ import annotations

import threading
import time

import pytest
import redis
from django.contrib.auth import get_user_model
from django.db import IntegrityError

from messaging.api import blocks
from messaging.models import Message, UserBlock
from tests.support.http_client import Answer
from tests.support.service import Service, User, at_both_doors, listed, refused, with_settings

pytestmark = at_both_doors()

BLOCK, UNBLOCK, BLOCKS = "/api/user/block", "/api/user/unblock", "/api/user/blocks"


def block(blocker: User, blocked: User) -> Answer:
    answer = blocker.client.post(BLOCK, {"userId": blocked.id})
    assert answer.status == 200, answer.content
    return answer


class TestBlocking:
    def test_answers_with_the_user_and_the_time(self, alice: User, bob: User) -> None:
        data = block(bob, alice).data
        assert list(data) == ["userId", "blockTime"]
        assert data["userId"] == alice.id
        assert abs(data["blockTime"] - time.time() * 1000) < 60_000

    def test_twice_is_one_block(self, alice: User, bob: User) -> None:
        assert block(bob, alice).data == block(bob, alice).data
        assert UserBlock.objects.count() == 1

    def test_at_once_is_one_block(self, service: Service, alice: User, bob: User) -> None:
        answers: list[Answer] = []
        threads = [
            threading.Thread(target=lambda: answers.append(block(bob, alice))) for _ in range(8)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len({answer.data["blockTime"] for answer in answers}) == 1

    def test_ends_with_unblocking_which_may_be_repeated(self, alice: User, bob: User) -> None:
        block(bob, alice)
        for _ in range(2):
            answer = bob.client.post(UNBLOCK, {"userId": alice.id})
            assert (answer.status, answer.data) == (200, {"userId": alice.id})
        assert not UserBlock.objects.exists()

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
        block(alice, bob)
        block(alice, carol)
        block(bob, alice)
        data = alice.client.get(BLOCKS).data
        assert list(data) == ["list", "hasMore", "nextBeforeId"]
        assert [each["userId"] for each in data["list"]] == [carol.id, bob.id]
        assert list(data["list"][0]) == ["userId", "blockTime"]
        assert (data["hasMore"], data["nextBeforeId"]) == (False, None)

    def test_of_nobody_is_empty(self, alice: User) -> None:
        data = alice.client.get(BLOCKS).data
        assert data == {"list": [], "hasMore": False, "nextBeforeId": None}

    def test_goes_on_page_by_page(
        self, alice: User, statements: list[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(blocks, "PAGE_SIZE", 3)
        users = get_user_model().objects
        users.bulk_create([users.model(username=f"user {n}") for n in range(7)])
        others = list(users.exclude(pk=alice.id).order_by("pk").values_list("pk", flat=True))
        for other in others:
            UserBlock.objects.create(blocker_id=int(alice.id), blocked_id=other)

        assert alice.read(9).status == 404  # the first call makes alice's token known
        found, query, sizes = [], {}, []
        while True:
            statements.clear()
            data = alice.client.get(BLOCKS, **query).data
            sizes.append((len(data["list"]), len(statements)))
            found += [int(each["userId"]) for each in data["list"]]
            assert data["hasMore"] is (data["nextBeforeId"] is not None)
            if not data["hasMore"]:
                break
            query = {"beforeId": data["nextBeforeId"]}
        assert found == others[::-1]
        assert sizes[-3:] == [(3, 1), (3, 1), (1, 1)]

    @pytest.mark.parametrize("before", ["", "x", "0", "-1", "9223372036854775808"])
    def test_names_a_cursor_that_is_none(self, alice: User, before: str) -> None:
        assert alice.client.get(BLOCKS, beforeId=before).wrong == {"beforeId"}


class TestABlockedSender:
    def test_is_refused_and_nothing_reaches_the_receiver(
        self, service: Service, alice: User, bob: User, redis_url: str
    ) -> None:
        first = alice.sent(bob, "before")
        block(bob, alice)
        assert refused(alice.send(bob, "unwanted words", clientMsgId="c"), 403, 2005)

        with redis.Redis.from_url(redis_url) as client:
            kept = [client.dump(name) or b"" for name in client.scan_iter("*")]
        assert not [value for value in kept if b"unwanted" in value]
        service.persist()
        assert listed(bob.history(alice)) == listed(alice.history(bob)) == [first]
        assert bob.history(alice).data["total"] == 1
        assert list(Message.objects.values_list("content", flat=True)) == ["before"]

    def test_is_told_again_what_went_through_before(
        self, service: Service, alice: User, bob: User
    ) -> None:
        first = alice.sent(bob, "before", clientMsgId="c")
        block(bob, alice)
        for _ in range(2):
            assert alice.sent(bob, "before", clientMsgId="c") == first
            service.persist()
        assert refused(alice.send(bob, "other words", clientMsgId="c"), 403, 2005)
        assert listed(bob.history(alice)) == [first]

    @with_settings(private_mode="sync")
    def test_is_refused_where_a_send_is_stored_first(self, alice: User, bob: User) -> None:
        block(bob, alice)
        assert refused(alice.send(bob), 403, 2005)
        assert not Message.objects.exists()

    def test_is_told_in_chinese_too(self, alice: User, bob: User) -> None:
        block(bob, alice)
        body = {"toUserId": bob.id, "chatType": 1, "msgType": 1, "content": "hi"}
        answer = alice.client.post("/api/message/send", body, headers={"Accept-Language": "zh-CN"})
        assert (answer.code, answer.body["message"]) == (2005, "对方不接收您的消息。")

    def test_may_write_again_once_unblocked(self, alice: User, bob: User) -> None:
        assert alice.send(bob).status == 200
        block(bob, alice)
        assert alice.send(bob).status == 403
        bob.client.post(UNBLOCK, {"userId": alice.id})
        assert alice.send(bob).status == 200

    def test_is_so_to_the_one_who_blocked_alone(
        self, service: Service, alice: User, bob: User, carol: User
    ) -> None:
        group_id = service.make_group(alice, bob)
        block(bob, alice)
        assert bob.send(alice).status == 200  # a block in the other direction
        assert alice.send(carol).status == 200
        assert carol.send(bob).status == 200
        assert alice.send_to_group(group_id).status == 200
        assert alice.send(alice).status == 200

    def test_keeps_what_was_said_before(self, alice: User, bob: User) -> None:
        message_id = alice.sent(bob, "before")
        block(bob, alice)
        assert bob.read(message_id).data["content"] == "before"
        assert alice.recall(message_id).status == 200

    def test_is_noticed_without_a_query_once_both_are_known(
        self, alice: User, bob: User, carol: User, statements: list[str]
    ) -> None:
        block(bob, alice)
        assert alice.send(bob).status == 403
        assert carol.send(bob).status == 200
        statements.clear()
        assert alice.send(bob).status == 403
        assert carol.send(bob).status == 200
        assert statements == []


class TestASendToSomebody:
    def test_costs_one_query_the_first_time_and_none_then(
        self, service: Service, alice: User, bob: User, statements: list[str]
    ) -> None:
        assert alice.send(alice).status == 200  # the first call makes alice's token known
        statements.clear()
        assert alice.send(bob).status == 200
        assert len(statements) == 1
        assert alice.send(bob).status == 200
        assert len(statements) == 1
