"""Test dead letters in the admin: shown safely, replayed and discarded with permission only."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission, User
from django.test import Client
from django.utils import timezone

from messaging import models
from messaging.domain.events import encode_event
from messaging.ports.store import DeadLetter
from tests.integration.admin.pages import (
    DEAD_LETTERS,
    consume,
    keep,
    listed,
    page,
    recall,
    said,
    shown,
    store,
)
from tests.support.messages import make_message
from tests.support.service import with_settings

LETTER = DeadLetter("im-message-private", 3, "1042", b"1_2", b"not json", "unreadable", "not JSON")


def kept(letter: DeadLetter) -> models.DeadLetter:
    """Keep a letter, and return its row."""
    keep(letter)
    return models.DeadLetter.objects.latest("id")


def settle(client: Client, action: str, *rows: models.DeadLetter) -> list[str]:
    """Run the action on these rows of the list, and return the notices."""
    form = {"action": action, "_selected_action": [row.pk for row in rows], "index": "0"}
    return list(said(client.post(f"{DEAD_LETTERS}?state=all", form, follow=True)))


def states() -> list[str]:
    return list(models.DeadLetter.objects.order_by("id").values_list("state", flat=True))


def detail(client: Client, row: models.DeadLetter) -> str:
    return shown(client.get(f"{DEAD_LETTERS}{row.pk}/change/"))


def test_the_list_tells_where_a_letter_comes_from_and_why(desk: Client) -> None:
    row = kept(replace(LETTER, message_id=77, attempts=2))
    models.DeadLetter.objects.update(
        created_at=timezone.now() - timedelta(hours=2, minutes=3, seconds=9)
    )

    text = shown(desk.get(DEAD_LETTERS))

    assert f"{row.pk} unreadable not JSON im-message-private / 3 / 1042 77 open 2 2 h 3 min" in text


def test_the_list_shows_the_open_ones_unless_asked_otherwise(desk: Client) -> None:
    keep(*(replace(LETTER, offset=str(n)) for n in range(3)))
    first, second, third = models.DeadLetter.objects.order_by("id")
    settle(desk, "replay", first)
    settle(desk, "discard", second)

    assert listed(desk.get(DEAD_LETTERS)) == [third.pk]
    assert listed(desk.get(DEAD_LETTERS, {"state": "REPLAYED"})) == [first.pk]
    assert listed(desk.get(DEAD_LETTERS, {"state": "DISCARDED"})) == [second.pk]
    assert listed(desk.get(DEAD_LETTERS, {"state": "all"})) == [third.pk, second.pk, first.pk]


def test_letters_are_found_by_message_id_alone(desk: Client) -> None:
    row = kept(replace(LETTER, message_id=77))

    assert listed(desk.get(DEAD_LETTERS, {"q": "77"})) == [row.pk]
    assert listed(desk.get(DEAD_LETTERS, {"q": "not"})) == []
    assert desk.get(DEAD_LETTERS, {"error__contains": "not"}).status_code == 400


def test_the_newest_letter_is_first_whatever_the_address_says(desk: Client) -> None:
    keep(*(replace(LETTER, offset=str(n)) for n in range(3)))

    ids = listed(desk.get(DEAD_LETTERS, {"o": "1"}))

    assert ids == sorted(ids, reverse=True)


def test_the_list_does_not_read_the_records(desk: Client, statements: list[str]) -> None:
    keep(LETTER)

    page(desk.get(DEAD_LETTERS))

    assert any("dead_letter" in statement for statement in statements)
    assert not any("FROM" in s and "dead_letter" in s and "value" in s for s in statements)


def test_a_record_is_shown_as_text_with_its_controls_named(desk: Client) -> None:
    row = kept(replace(LETTER, value=b"<script>\xff \xe2\x80\xae" + b"x" * 5_000))

    markup = page(desk.get(f"{DEAD_LETTERS}{row.pk}/change/"))

    assert "&lt;script&gt;\\xff" in markup
    assert "\u202e" not in markup
    assert "and 1014 more characters" in markup


def test_an_empty_record_is_called_so(desk: Client) -> None:
    assert "Value: empty" in detail(desk, kept(replace(LETTER, value=b"")))


@pytest.mark.parametrize("known_by", ["database", "redis"])
@pytest.mark.parametrize("named_by", ["letter", "record"])
def test_a_recalled_message_is_not_shown_out_of_its_letter(
    desk: Client, known_by: str, named_by: str
) -> None:
    message = make_message(1, content="secret")
    store(message)
    if known_by == "database":
        store(message.recalled(9))
    else:
        recall(message)
    if named_by == "letter":
        row = kept(replace(LETTER, value=b'{"content":"secret"', message_id=message.id))
    else:
        row = kept(replace(LETTER, value=encode_event(message), message_id=None))

    text = detail(desk, row)

    assert "withheld: its message was recalled" in text
    assert "secret" not in text


@with_settings(redis_url="redis://127.0.0.1:1/0")
def test_a_record_is_withheld_while_nobody_can_tell(desk: Client) -> None:
    message = make_message(1, content="secret")
    row = kept(replace(LETTER, value=encode_event(message), message_id=message.id))

    text = detail(desk, row)

    assert "withheld: whether its message was recalled cannot be known now" in text
    assert "secret" not in text


def test_a_replayed_letter_goes_through_the_log_and_says_who_did_it(
    desk: Client, operator: User
) -> None:
    message = make_message(1)
    row = kept(replace(LETTER, value=encode_event(message), message_id=message.id))

    assert settle(desk, "replay", row) == ["Replayed: 1."]

    assert states() == ["REPLAYED"]
    consume()
    assert models.Message.objects.get().content == message.content
    entry = LogEntry.objects.get()
    assert (entry.user, entry.object_id) == (operator, str(row.pk))
    assert "Last decision: Replayed. (olga, 20" in detail(desk, row)


def test_replaying_twice_stores_a_message_once(desk: Client) -> None:
    message = make_message(1)
    row = kept(replace(LETTER, value=encode_event(message), message_id=message.id))

    for _ in range(2):
        assert settle(desk, "replay", row) == ["Replayed: 1."]
    consume()

    assert models.Message.objects.get().seq == 1
    assert states() == ["REPLAYED"]


def test_what_fails_again_comes_back_as_another_letter(desk: Client) -> None:
    settle(desk, "replay", kept(LETTER))
    consume()

    assert states() == ["REPLAYED", "OPEN"]


def test_only_open_letters_are_discarded(desk: Client) -> None:
    keep(LETTER, replace(LETTER, offset="2"))
    first, second = models.DeadLetter.objects.order_by("id")
    settle(desk, "replay", first)

    assert settle(desk, "discard", first, second) == ["Discarded: 1."]
    assert states() == ["REPLAYED", "DISCARDED"]
    assert settle(desk, "discard", first, second) == [
        "None of the selected letters is open: select open letters."
    ]


def test_the_buttons_of_the_detail_page_do_the_same(desk: Client) -> None:
    row = kept(LETTER)

    markup = page(desk.get(f"{DEAD_LETTERS}{row.pk}/change/"))

    assert f'name="_selected_action" value="{row.pk}"' in markup
    for action in ("replay", "discard"):
        button = f'name="action" value="{action}" formaction="{DEAD_LETTERS}?state=all"'
        assert button in markup


@with_settings(event_log_url="redis://127.0.0.1:1/0", log_timeout_s=1.0)
def test_without_the_log_a_letter_stays_open_and_that_is_told(desk: Client) -> None:
    (notice,) = settle(desk, "replay", kept(LETTER))

    assert "did not confirm" in notice
    assert states() == ["OPEN"]
    assert not LogEntry.objects.exists()


def test_whoever_may_only_look_cannot_decide(desk: Client, operator: User) -> None:
    operator.groups.get().permissions.remove(Permission.objects.get(codename="change_deadletter"))
    row = kept(LETTER)

    settle(desk, "discard", row)

    assert states() == ["OPEN"]
    assert "Discard" not in detail(desk, row)


@pytest.mark.parametrize("action", ["add/", "{}/delete/"])
def test_nobody_adds_or_removes_a_letter(superuser: Client, action: str) -> None:
    row = kept(LETTER)

    assert superuser.get(DEAD_LETTERS + action.format(row.pk)).status_code == 403


def test_nobody_edits_a_letter(superuser: Client) -> None:
    row = kept(LETTER)

    response = superuser.post(f"{DEAD_LETTERS}{row.pk}/change/", {"state": "REPLAYED"})

    assert response.status_code == 403
    assert states() == ["OPEN"]
