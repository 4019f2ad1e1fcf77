"""Test the cost of the list and of read marks: statements, and commands to Redis."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import redis

from messaging.models import Participant
from tests.support.busy_lists import CHATS, GROUPS, Trips
from tests.support.service import Service, User


def conversations(user: User) -> list[Any]:
    answer = user.client.get("/api/conversation/list", size=100)
    assert answer.status == 200, answer.content
    assert not answer.data["partial"]
    return list(answer.data["list"])


class TestAWarmList:
    def test_is_one_command_for_all_and_one_for_a_page_and_no_query(
        self, busy: User, statements: list[str], trips: Trips
    ) -> None:
        first = conversations(busy)
        assert [each["unread"] for each in first] == [1] * (CHATS + GROUPS)
        trips()
        statements.clear()
        assert conversations(busy) == first
        assert statements == []
        assert trips() == 2

    def test_counts_anew_what_has_news_alone_in_one_statement(
        self, service: Service, busy: User, bob: User, statements: list[str]
    ) -> None:
        bob.sent(busy)
        service.persist()
        conversations(busy)
        for _ in range(2):
            bob.sent(busy)
        service.persist()
        statements.clear()
        assert conversations(busy)[0]["unread"] == 3
        assert len(statements) == 1

    def test_makes_its_sums_without_a_query_too(
        self, busy: User, statements: list[str], trips: Trips
    ) -> None:
        conversations(busy)
        trips()
        statements.clear()
        sums = busy.client.get("/api/conversation/unread").data
        assert sums["unread"] == sums["conversations"] == CHATS + GROUPS
        assert statements == []
        assert trips() == 1


def test_a_cold_list_takes_a_statement_for_conversations_peers_and_unread_numbers_each(
    busy: User, statements: list[str], redis_url: str
) -> None:
    conversations(busy)
    with redis.Redis.from_url(redis_url) as client:
        client.delete(f"msg:mine:{busy.id}", f"msg:unread:{busy.id}")
    statements.clear()
    conversations(busy)
    assert len(statements) == 3


def test_deletes_that_are_not_cached_are_read_once_for_a_page(
    busy: User, statements: list[str], redis_url: str
) -> None:
    first = conversations(busy)
    assert busy.client.post("/api/message/delete", {"messageId": last_id(first[1])}).status == 200
    after = conversations(busy)
    with redis.Redis.from_url(redis_url) as client:
        client.delete(f"msg:deleted:{busy.id}", f"msg:floors:{busy.id}")
    statements.clear()
    assert conversations(busy) == after
    assert len(statements) == 1


def last_id(conversation: Any) -> str:
    return str(conversation["lastMessage"]["messageId"])


def test_marks_that_wait_share_a_transaction_and_make_no_row(
    busy: User, statements: list[str]
) -> None:
    names = [each["conversationId"] for each in conversations(busy)]
    rows = Participant.objects.count()
    statements.clear()

    def mark(n: int) -> None:
        item = {"conversationId": names[n % len(names)], "readSeq": 1 + n // len(names)}
        answer = busy.client.post("/api/conversation/receipts", {"items": [item]})
        assert answer.status == 200, answer.content

    with ThreadPoolExecutor(30) as callers:
        list(callers.map(mark, range(90)))
    assert len(statements) < 180
    assert Participant.objects.count() == rows
    assert {each["unread"] for each in conversations(busy)} == {0}
