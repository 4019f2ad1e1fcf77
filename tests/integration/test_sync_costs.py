"""Test the cost of a sync: statements, and commands to Redis."""

from __future__ import annotations

from typing import Any

import redis

from tests.support.busy_lists import Trips
from tests.support.processes import wait_until
from tests.support.service import Service, User


def sync(user: User, **body: object) -> Any:
    answer = user.client.post("/api/sync", body)
    assert answer.status == 200, answer.content
    assert (answer.data["partial"], answer.data["hasMore"]) == (False, False)
    return answer.data


def settled(user: User, statements: list[str], trips: Trips) -> str:
    """Return a cursor whose marks of delivery are written, as they are in the background.

    Redis is told of the marks after the database: two calls without any of it lie between.
    """
    cursor = sync(user)["cursor"]

    def is_quiet() -> bool:
        statements.clear()
        trips()
        for _ in range(2):
            sync(user, cursor=cursor)
        return (statements, trips()) == ([], 2)

    wait_until(is_quiet, limit_s=10, what="all marks are written")
    return str(cursor)


class TestASync:
    def test_without_news_is_one_command_and_no_query(
        self, busy: User, statements: list[str], trips: Trips
    ) -> None:
        cursor = settled(busy, statements, trips)
        trips()
        statements.clear()
        assert sync(busy, cursor=cursor)["conversations"] == []
        assert (statements, trips()) == ([], 1)

    def test_reads_new_messages_out_of_the_cache(
        self, service: Service, busy: User, bob: User, statements: list[str], trips: Trips
    ) -> None:
        bob.sent(busy)
        service.persist()
        cursor = settled(busy, statements, trips)
        bob.sent(busy)
        service.persist()
        statements.clear()
        (told,) = sync(busy, cursor=cursor)["conversations"]
        assert len(told["messages"]) == 1
        assert len(statements) == 1  # counts the unread ones

    def test_asks_for_changes_of_many_conversations_at_once(
        self, service: Service, busy: User, bob: User, carol: User, statements: list[str]
    ) -> None:
        ids = {user.id: user.sent(busy) for user in (bob, carol)}
        service.persist()
        cursor = sync(busy)["cursor"]
        for user in (bob, carol):
            assert user.recall(ids[user.id]).status == 200
        service.persist()
        statements.clear()
        changed = [each["changes"] for each in sync(busy, cursor=cursor)["conversations"]]
        assert [len(each) for each in changed] == [1, 1]
        about_changes = [each for each in statements if "message_change" in each]
        assert len(about_changes) == 1

    def test_reads_what_is_not_cached_in_one_statement(
        self, busy: User, statements: list[str], redis_url: str
    ) -> None:
        sync(busy)
        with redis.Redis.from_url(redis_url) as client:
            for key in client.keys("msg:conv:*"):
                client.delete(key)
        statements.clear()
        told = sync(busy)["conversations"]
        assert [each["covers"] for each in told] == [[1, each["lastSeq"]] for each in told]
        spans = [each for each in statements if "seq <= " in each and "COUNT" not in each]
        assert len(spans) == 1
