"""Test on a real Redis and database that cleared messages stay hidden, and what a clear costs."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import redis

from messaging.models import CacheArrear, Participant
from messaging.pipeline.write_through import HintedWrites
from messaging.tasks import compensate
from tests.support.conversations import clear, name_of
from tests.support.groups import create
from tests.support.service import Service, User, listed, refused


class ProcessDeathError(Exception):
    """End a call as the death of its process does."""


async def die(*_: object) -> None:
    raise ProcessDeathError


class TestAClear:
    def test_outlives_the_cache(
        self,
        service: Service,
        alice: User,
        bob: User,
        redis_url: str,
        forget: Callable[[], None],
    ) -> None:
        group_id = create(alice, bob)
        old = [alice.sent(bob), str(alice.send_to_group(group_id).data["messageId"])]
        service.persist()
        for name in (name_of(alice, bob), f"g{group_id}"):
            assert clear(bob, name).status == 200
        later = [alice.sent(bob), str(alice.send_to_group(group_id).data["messageId"])]
        service.persist()
        server = redis.Redis.from_url(redis_url)
        for lose in (lambda: None, forget, lambda: server.delete(f"msg:deleted:floors:{bob.id}")):
            lose()
            assert listed(bob.history(alice)) == later[:1]
            assert listed(bob.group_history(group_id)) == later[1:]
            lose()
            for message_id in old:
                assert refused(bob.read(message_id), 404, 3002)
        assert old[0] in listed(alice.history(bob))

    def test_is_known_in_the_trip_that_a_reading_makes(
        self, service: Service, alice: User, bob: User, statements: list[str]
    ) -> None:
        alice.sent(bob)
        service.persist()
        clear(bob, name_of(alice, bob))
        later = alice.sent(bob)
        service.persist()
        assert listed(bob.history(alice)) == [later]
        assert bob.read(later).status == 200
        statements.clear()
        assert listed(bob.history(alice)) == [later]
        assert bob.read(later).status == 200
        assert statements == []

    @pytest.mark.parametrize("page", [1, 2])
    def test_ends_deep_pages_where_the_database_has_the_rows(
        self, service: Service, alice: User, bob: User, forget: Callable[[], None], page: int
    ) -> None:
        for _ in range(12):
            alice.sent(bob)
        service.persist()
        clear(bob, name_of(alice, bob))
        later = [alice.sent(bob) for _ in range(12)][::-1]
        service.persist()
        forget()
        answer = bob.history(alice, page=page, size=10)
        assert listed(answer) == later[10 * (page - 1) : 10 * page]
        assert (answer.data["total"], answer.data["hasMore"]) == (12, page == 1)

    def test_raises_what_the_user_has_read(self, service: Service, alice: User, bob: User) -> None:
        for _ in range(3):
            alice.sent(bob)
        service.persist()
        data = clear(bob, name_of(alice, bob)).data
        row = Participant.objects.get(user_id=int(bob.id), conversation_id=name_of(alice, bob))
        assert (row.floor_id, row.floor_seq) == (int(data["floorId"]), 3)
        assert (row.read_seq, row.delivered_seq, row.rev) == (3, 3, 1)
        assert row.read_time

    def test_whose_process_died_before_redis_was_told_is_told_by_the_next_sweep(
        self, service: Service, alice: User, bob: User, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        stored = alice.sent(bob)
        service.persist()
        pending = alice.sent(bob)
        assert listed(bob.history(alice)) == [pending, stored]
        with monkeypatch.context() as patch:
            patch.setattr(HintedWrites, "raise_floor", die)
            assert clear(bob, name_of(alice, bob)).status == 500
        assert [(hint.message_id, hint.user_id) for hint in CacheArrear.objects.all()] == [
            (0, int(bob.id))
        ]
        for _ in range(2):  # a repeat does no harm
            compensate()
            assert listed(bob.history(alice)) == []
        assert not CacheArrear.objects.exists()
        assert listed(alice.history(bob)) == [pending, stored]
