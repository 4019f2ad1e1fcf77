"""Test blocks by the API: their rows, and that nothing is kept of a message against a block."""

from __future__ import annotations

import pytest
import redis
from django.contrib.auth import get_user_model

from messaging.api import blocks
from messaging.models import Message, UserBlock
from tests.support.service import Service, User, at_both_doors, listed, refused, with_settings

pytestmark = at_both_doors()

UNBLOCK, BLOCKS = "/api/user/unblock", "/api/user/blocks"


class TestBlocking:
    def test_twice_is_one_block(self, alice: User, bob: User) -> None:
        assert bob.block(alice).data == bob.block(alice).data
        assert UserBlock.objects.count() == 1

    def test_ends_with_unblocking_which_may_be_repeated(self, alice: User, bob: User) -> None:
        bob.block(alice)
        for _ in range(2):
            answer = bob.client.post(UNBLOCK, {"userId": alice.id})
            assert (answer.status, answer.data) == (200, {"userId": alice.id})
        assert not UserBlock.objects.exists()


class TestTheList:
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


class TestABlockedSender:
    def test_is_refused_and_nothing_reaches_the_receiver(
        self, service: Service, alice: User, bob: User, redis_url: str
    ) -> None:
        first = alice.sent(bob, "before")
        bob.block(alice)
        assert refused(alice.send(bob, "unwanted words", clientMsgId="c"), 403, 2005)

        with redis.Redis.from_url(redis_url) as client:
            kept = [client.dump(name) or b"" for name in client.scan_iter("*")]
        assert not [value for value in kept if b"unwanted" in value]
        service.persist()
        assert listed(bob.history(alice)) == listed(alice.history(bob)) == [first]
        assert bob.history(alice).data["total"] == 1
        assert list(Message.objects.values_list("content", flat=True)) == ["before"]

    @with_settings(private_mode="sync")
    def test_is_refused_where_a_send_is_stored_first(self, alice: User, bob: User) -> None:
        bob.block(alice)
        assert refused(alice.send(bob), 403, 2005)
        assert not Message.objects.exists()

    def test_is_noticed_without_a_query_once_both_are_known(
        self, alice: User, bob: User, carol: User, statements: list[str]
    ) -> None:
        bob.block(alice)
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
