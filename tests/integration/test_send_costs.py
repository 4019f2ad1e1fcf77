"""Test the cost of a send: statements of the database and round trips to Redis."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.contrib.auth import get_user_model

from tests.support.busy_lists import Commands, watched
from tests.support.service import Service, User

LARGE_GROUP = 1_500  # members that no process knows all at once


@pytest.fixture
def trips(redis_url: str) -> Iterator[Commands]:
    """Yield a function that returns the clients' commands about messages since its last call."""
    with watched(redis_url, "msg:pending") as seen:
        yield seen


class TestAWarmSend:
    def test_is_one_round_trip_and_no_query(
        self, service: Service, alice: User, bob: User, statements: list[str], trips: Commands
    ) -> None:
        alice.sent(bob)
        trips()
        statements.clear()
        alice.sent(bob, clientMsgId="k1")
        assert trips() == ["EVALSHA"]
        assert statements == []

    def test_that_repeats_an_earlier_one_makes_no_query_either(
        self, service: Service, alice: User, bob: User, statements: list[str]
    ) -> None:
        first = alice.sent(bob, clientMsgId="k1")
        statements.clear()
        assert alice.sent(bob, clientMsgId="k1") == first
        assert statements == []

    @pytest.mark.parametrize("others", [2, LARGE_GROUP], ids=["small", "large"])
    def test_to_a_group_is_that_too(
        self, service: Service, alice: User, statements: list[str], trips: Commands, others: int
    ) -> None:
        users = get_user_model().objects
        users.bulk_create([users.model(username=f"member {n}") for n in range(others)])
        everybody = [User(str(pk), alice.client) for pk in users.values_list("pk", flat=True)]
        group_id = service.make_group(*everybody)
        assert alice.send_to_group(group_id).status == 200
        trips()
        statements.clear()
        assert alice.send_to_group(group_id).status == 200
        assert trips() == ["EVALSHA"]
        assert statements == []

    def test_shares_its_round_trip_with_those_that_wait(
        self, service: Service, alice: User, bob: User, statements: list[str], trips: Commands
    ) -> None:
        alice.sent(bob)
        trips()
        statements.clear()
        with ThreadPoolExecutor(40) as senders:
            list(senders.map(lambda n: alice.sent(bob, f"message {n}"), range(120)))
        assert 0 < len(trips()) < 100
        assert statements == []
