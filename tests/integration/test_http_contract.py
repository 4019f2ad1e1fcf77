"""Test the contract of the calls on messages by HTTP alone, under other settings."""

from __future__ import annotations

import time

import pytest
import redis

from tests.support.service import Service, User, at_both_doors, refused, with_settings

pytestmark = at_both_doors()


class TestSend:
    @with_settings(store_ack_timeout_s=0.2)
    def test_that_waits_for_the_store_in_vain_says_so(self, alice: User, bob: User) -> None:
        answer = alice.send(bob, ack="store")
        assert (answer.data["durability"], answer.data["persistStatus"]) == ("log", "PENDING")

    @with_settings(private_mode="sync")
    def test_in_sync_mode_is_stored_before_the_answer(self, alice: User, bob: User) -> None:
        answer = alice.send(bob)
        assert (answer.data["durability"], answer.data["persistStatus"]) == ("store", "PERSISTED")
        assert bob.read(answer.data["messageId"]).data["seq"] == 1

    @with_settings(accept_queue=0)
    def test_is_told_to_wait_when_too_many_wait(self, alice: User, bob: User) -> None:
        assert refused(alice.send(bob), 429, 4290)


class TestGroupSend:
    @with_settings(group_mode="async")
    def test_in_async_mode_is_stored_later(self, service: Service, alice: User, bob: User) -> None:
        group_id = service.make_group(alice, bob)
        answer = alice.send_to_group(group_id)
        assert (answer.data["durability"], answer.data["persistStatus"]) == ("log", "PENDING")
        service.persist()
        assert bob.read(answer.data["messageId"]).data["persistStatus"] == "PERSISTED"


class TestRecall:
    @with_settings(recall_window_s=0)
    def test_has_its_time(self, alice: User, bob: User) -> None:
        message_id = alice.sent(bob, "too late")
        time.sleep(0.02)
        assert refused(alice.recall(message_id), 403, 3004)
        assert refused(bob.recall(message_id), 403, 3005)
        assert bob.read(message_id).data["content"] == "too late"


class TestAnswers:
    @pytest.mark.alone
    @with_settings(request_timeout_s=0.5, redis_timeout_s=30)
    def test_come_in_bounded_time(self, alice: User, bob: User, redis_url: str) -> None:
        message_id = alice.sent(bob)
        with redis.Redis.from_url(redis_url) as client:
            client.client_pause(5_000)
            started_s = time.monotonic()
            assert refused(alice.read(message_id), 503, 5030)
            assert time.monotonic() - started_s < 3
            client.client_unpause()
