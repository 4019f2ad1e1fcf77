"""Test pending messages in the admin: read from Redis, persisted by hand."""

from __future__ import annotations

import pytest
import redis
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission, User
from django.test import Client
from msgspec.structs import replace

from messaging import models
from messaging.admin import pending
from messaging.domain.ids import wall_clock_ms
from messaging.runtime import wiring
from tests.integration.admin.pages import PENDING, accept, page, recall, said, shown
from tests.support.messages import FIRST_ID, make_message
from tests.support.service import with_settings

without_redis = with_settings(
    redis_url="redis://127.0.0.1:1/0", event_log_url="redis://127.0.0.1:1/0"
)


def rows(client: Client, address: str = PENDING) -> list[int]:
    response = client.get(address)
    page(response)
    return [row["id"] - FIRST_ID for row in response.context["rows"]]


def test_an_empty_set_says_so(desk: Client) -> None:
    assert "Nothing is pending." in shown(desk.get(PENDING))


def test_the_page_tells_how_many_are_pending_and_for_how_long(desk: Client) -> None:
    now_ms = wall_clock_ms()
    old = replace(make_message(1, content="confidential"), send_time=now_ms - 3_725_000)
    new = replace(make_message(2, to_id=7), send_time=now_ms - 5_000)
    accept(old, new)
    wiring.run(lambda backends: backends.cache.count_attempt([old]))

    text = shown(desk.get(PENDING))

    assert f"2 pending, the oldest ({old.id}) for 1 h 2 min" in text
    assert f"{new.id} 1_7 1 NORMAL" in text
    assert f"{old.id} 1_2 1 NORMAL 1 h 2 min 1 " in text
    assert text.index(str(new.id)) < text.rindex(str(old.id))
    assert "confidential" not in text


def test_pages_go_back_as_far_as_is_useful(desk: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pending, "PAGE_SIZE", 2)
    monkeypatch.setattr(pending, "LAST_OFFSET", 4)
    accept(*(replace(make_message(n), send_time=n) for n in range(1, 9)))

    assert rows(desk) == [8, 7]
    assert rows(desk, f"{PENDING}?offset=2") == [6, 5]
    assert "?offset=4" in page(desk.get(f"{PENDING}?offset=2"))
    assert rows(desk, f"{PENDING}?offset=4") == [4, 3]
    assert "?offset=6" not in page(desk.get(f"{PENDING}?offset=4"))
    assert rows(desk, f"{PENDING}?offset=999999") == [4, 3]
    assert rows(desk, f"{PENDING}?offset=x") == [8, 7]


def test_a_message_whose_detail_is_gone_is_shown_all_the_same(desk: Client, redis_url: str) -> None:
    message = make_message(1)
    accept(message)
    with redis.Redis.from_url(redis_url) as client:
        client.delete(f"msg:detail:{message.id}")

    assert f"{message.id} not in Redis any more" in shown(desk.get(PENDING))


def test_selected_messages_are_persisted_at_once(desk: Client, operator: User) -> None:
    chosen, recalled, left = make_message(1), make_message(2), make_message(3)
    accept(chosen, recalled, left)
    recall(recalled)

    response = desk.post(PENDING, {"_selected_action": [chosen.id, recalled.id]}, follow=True)

    assert said(response) == ["Persisted: 2."]
    contents = dict(models.Message.objects.values_list("id", "content"))
    assert contents == {chosen.id: chosen.content, recalled.id: ""}
    assert rows(desk) == [3]
    entries = LogEntry.objects.filter(user=operator, object_id=str(chosen.id))
    assert [entry.get_change_message() for entry in entries] == ["Asked to persist it."]


def test_persisting_again_changes_nothing(desk: Client) -> None:
    message = make_message(1)
    accept(message)

    for _ in range(2):
        response = desk.post(PENDING, {"_selected_action": [message.id]}, follow=True)
        assert said(response) == ["Persisted: 1."]

    assert models.Message.objects.get().seq == 1


def test_nothing_selected_is_told(desk: Client) -> None:
    response = desk.post(PENDING, {"_selected_action": ["x", "0", "-1", "9" * 19]}, follow=True)

    (notice,) = said(response)
    assert notice.startswith("Select")


def test_a_message_that_nobody_has_is_told(desk: Client) -> None:
    (notice,) = said(desk.post(PENDING, {"_selected_action": ["5"]}, follow=True))

    assert notice.startswith("Not in Redis any more")


def test_a_message_that_the_database_refuses_is_told_and_kept(desk: Client) -> None:
    too_long = make_message(1, content="x" * 5_001)
    accept(too_long)

    (notice,) = said(desk.post(PENDING, {"_selected_action": [too_long.id]}, follow=True))

    assert "dead letters: 1" in notice
    letter = models.DeadLetter.objects.get()
    assert (letter.message_id, letter.reason) == (too_long.id, "bad_data")
    assert rows(desk) == []


def test_whoever_may_only_look_cannot_persist(desk: Client, operator: User) -> None:
    operator.groups.get().permissions.remove(
        Permission.objects.get(codename="change_pendingmessage")
    )
    message = make_message(1)
    accept(message)

    assert "Persist selected now" not in shown(desk.get(PENDING))
    assert desk.post(PENDING, {"_selected_action": [message.id]}).status_code == 403
    assert not models.Message.objects.exists()


@without_redis
def test_without_redis_the_page_says_so(desk: Client) -> None:
    response = desk.get(PENDING)

    assert response.status_code == 503
    assert int(response.headers["Retry-After"]) >= 1
    assert "does not answer" in response.content.decode()


@without_redis
def test_without_redis_persisting_says_so(desk: Client) -> None:
    response = desk.post(PENDING, {"_selected_action": ["5"]})

    assert response.status_code == 503
    assert not LogEntry.objects.exists()
