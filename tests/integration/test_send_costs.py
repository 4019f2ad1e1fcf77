"""Test the cost of a send: statements of the database and round trips to Redis."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
import redis

from tests.support.service import Service, User, with_settings

Trips = Callable[[], list[str]]


@pytest.fixture
def trips(redis_url: str) -> Iterator[Trips]:
    """Yield a function that returns the clients' commands about messages since its last call."""
    with redis.Redis.from_url(redis_url) as client, client.monitor() as monitor:

        def seen() -> list[str]:
            client.echo("end")
            commands = []
            while (entry := monitor.next_command())["command"] != "ECHO end":
                if entry["client_type"] != "lua" and "msg:pending" in entry["command"]:
                    commands.append(entry["command"].split()[0])
            return commands

        seen()
        yield seen


class TestAWarmSend:
    def test_is_one_round_trip_and_no_query(
        self, service: Service, alice: User, bob: User, statements: list[str], trips: Trips
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

    @with_settings(group_mode="async")
    def test_to_a_group_is_that_too(
        self, service: Service, alice: User, bob: User, statements: list[str], trips: Trips
    ) -> None:
        group_id = service.make_group(alice, bob)
        assert alice.send_to_group(group_id).status == 200
        trips()
        statements.clear()
        assert alice.send_to_group(group_id).status == 200
        assert trips() == ["EVALSHA"]
        assert statements == []

    def test_shares_its_round_trip_with_those_that_wait(
        self, service: Service, alice: User, bob: User, statements: list[str], trips: Trips
    ) -> None:
        alice.sent(bob)
        trips()
        statements.clear()
        with ThreadPoolExecutor(40) as senders:
            list(senders.map(lambda n: alice.sent(bob, f"message {n}"), range(120)))
        assert 0 < len(trips()) < 100
        assert statements == []
