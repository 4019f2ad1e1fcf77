"""Test the trace of a message in the admin: its page, its links, its secrets and its languages."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client

from messaging import models
from messaging.admin import trace
from messaging.ports.store import DeadLetter
from tests.integration.admin.pages import (
    DEAD_LETTERS,
    MESSAGES,
    PENDING,
    accept,
    keep,
    page,
    shown,
    store,
)
from tests.support.messages import make_message
from tests.support.service import with_settings

TRACE = f"{MESSAGES}trace/"
CANARIES = {"content": "canary of the text", "client_msg_id": "canary-of-the-name"}
without_redis_and_log = with_settings(
    redis_url="redis://127.0.0.1:1/0", event_log_url="redis://127.0.0.1:1/0"
)


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give each place the time of a busy machine; a refused connection is away at once."""
    monkeypatch.setattr(trace, "TIMEOUT_S", 60.0)


def asked(client: Client, message_id: object, **headers: Any) -> str:
    response = client.get(TRACE, {"id": str(message_id)}, headers=headers)
    assert "canary" not in page(response)
    return shown(response)


def test_the_page_without_an_id_asks_for_one(desk: Client) -> None:
    markup = page(desk.get(TRACE))

    assert re.search(r'<form method="get">.*name="id"', markup, re.DOTALL)
    assert "result_list" not in markup


def test_a_pending_message(desk: Client) -> None:
    message = make_message(1, **CANARIES)
    accept(message)

    text = asked(desk, message.id)

    assert f"{message.id} sent " in text
    assert "conversation 1_2, log partition" in text
    assert "accepted Redis detail PENDING pending mark listed in the tail" in text
    assert "persisted database nothing of this message" in text
    assert "fate pending: the consumer stores it" in text


def test_a_stored_and_a_recalled_message(desk: Client) -> None:
    stored, recalled = make_message(1, **CANARIES), make_message(2, content="canary")
    store(stored, recalled)
    store(recalled.recalled(recalled.send_time + 5))

    assert "row with seq 1 its idempotency record deletes 0 hints 0" in asked(desk, stored.id)
    text = asked(desk, recalled.id)
    assert "+5 ms recalled the tombstone is stored" in text
    assert "fate recalled" in text


def test_a_repeat_leads_to_the_message_that_was_kept(desk: Client) -> None:
    first, repeat = (make_message(n, **CANARIES) for n in (1, 2))
    store(first)
    store(repeat)

    assert f"duplicate: the send repeats message {first.id}" in asked(desk, repeat.id)
    assert f'href="{TRACE}?id={first.id}"' in page(desk.get(TRACE, {"id": repeat.id}))


def test_a_dead_letter(desk: Client) -> None:
    keep(letter_of(5))

    text = asked(desk, 5)

    assert "no row dead letter OPEN" in text
    assert "fate dead letter: replay or discard it" in text


def letter_of(message_id: int) -> DeadLetter:
    return DeadLetter("t", 0, "1", b"1_2", b"canary", "bad_data", "canary", message_id=message_id)


def test_an_id_that_nobody_knows(desk: Client) -> None:
    assert "unknown: no place knows this id" in asked(desk, 12_345)


@pytest.mark.parametrize("text", ["x", "0", "9" * 19, "<b>7</b>"])
def test_a_text_that_is_no_id_is_refused(desk: Client, text: str) -> None:
    response = desk.get(TRACE, {"id": text})

    assert response.status_code == 400
    content = response.content.decode()
    assert "This is no message id" in content
    assert "<b>7" not in content


@without_redis_and_log
def test_places_that_are_away_are_named(desk: Client) -> None:
    message = make_message(1, **CANARIES)
    store(message)

    text = asked(desk, message.id)

    assert text.count("away: no answer in time") == 2
    assert "fate persisted" in text
    assert "not clear: ask again" in asked(desk, 12_345)


def test_in_chinese(desk: Client) -> None:
    message = make_message(1, **CANARIES)
    accept(message)

    text = asked(desk, message.id, accept_language="zh-hans")

    assert "消息追踪" in text
    assert "已接收 Redis 详情 PENDING" in text
    assert "去向 待落库" in text
    assert "nothing of this message" not in text


def test_whoever_may_not_view_messages_may_not_trace(desk: Client, operator: User) -> None:
    accept(message := make_message(1))
    assert f"{TRACE}?id={message.id}" in page(desk.get(PENDING))
    operator.groups.get().permissions.remove(Permission.objects.get(codename="view_message"))

    assert desk.get(TRACE, {"id": message.id}).status_code == 403
    assert TRACE not in page(desk.get(PENDING))


def test_anybody_else_is_sent_to_the_login(configured: None) -> None:
    response = Client().get(TRACE, {"id": "5"})

    assert response.status_code == 302
    assert response.headers["Location"].startswith("/admin/login/")


def test_lists_and_details_lead_to_the_page(desk: Client) -> None:
    message = make_message(1)
    store(message)
    keep(letter_of(message.id))
    link = f'href="{TRACE}?id={message.id}"'

    for address in (
        MESSAGES,
        f"{MESSAGES}{message.id}/change/",
        DEAD_LETTERS,
        f"{DEAD_LETTERS}{_only_letter()}/change/",
    ):
        assert link in page(desk.get(address)), address
    assert f'href="{TRACE}"' in page(desk.get(MESSAGES, {"q": "12345"}))


def _only_letter() -> int:
    return models.DeadLetter.objects.get().pk
