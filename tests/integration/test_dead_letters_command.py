"""Test `manage.py dead_letters`: its output, the secrets that it keeps, and its decisions."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from datetime import timedelta
from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from messaging import models
from messaging.domain.events import encode_event
from messaging.management.commands.dead_letters import pages_of
from messaging.ports.store import DeadLetter
from tests.integration.admin.pages import consume, keep, recall, store
from tests.support.messages import make_message
from tests.support.service import with_settings

LETTER = DeadLetter("im-message-private", 3, "1042", b"1_2", b"not json", "unreadable", "not JSON")
pytestmark = pytest.mark.usefixtures("configured")


def run(*arguments: object) -> str:
    """Return the output of the command."""
    out = StringIO()
    call_command("dead_letters", *map(str, arguments), stdout=out)
    return out.getvalue()


def kept(*letters: DeadLetter) -> list[int]:
    """Keep the letters, and return their ids."""
    keep(*letters)
    newest = models.DeadLetter.objects.order_by("-id")[: len(letters)]
    return sorted(row.pk for row in newest)


def listed(*arguments: object) -> list[int]:
    return [each["id"] for each in json.loads(run("list", "--json", *arguments))]


def states() -> list[str]:
    return list(models.DeadLetter.objects.order_by("id").values_list("state", flat=True))


def letter_of(number: int) -> DeadLetter:
    message = make_message(number)
    return replace(LETTER, offset=str(number), value=encode_event(message), message_id=message.id)


def test_the_list_tells_where_a_letter_comes_from_and_why() -> None:
    (number,) = kept(replace(LETTER, message_id=77, attempts=2, error="bad \x1b[31m byte"))
    models.DeadLetter.objects.update(created_at=timezone.now() - timedelta(hours=2, minutes=3))

    line = " ".join(run("list").splitlines()[1].split())

    expected = f"{number} open unreadable 2 h 3 min 2 im-message-private/3/1042 77"
    assert line == rf"{expected} bad \x1b[31m byte"


def test_the_list_is_newest_first_and_can_be_narrowed() -> None:
    one, two, three = kept(
        LETTER, replace(LETTER, offset="2", reason="bad_data"), replace(LETTER, offset="3")
    )
    run("discard", three)
    models.DeadLetter.objects.filter(pk=one).update(created_at=timezone.now() - timedelta(days=3))

    assert listed() == [two, one]
    assert listed("--state", "all") == [three, two, one]
    assert listed("--state", "discarded") == [three]
    assert listed("--reason", "bad_data") == [two]
    assert listed("--since", "2h") == [two]
    assert listed("--since", "2020-01-01T00:00") == [two, one]
    assert listed("--limit", 1) == [two]
    assert run("list", "--limit", 1).splitlines()[-1] == "1 of 2 (open)"


def test_one_letter_is_shown_without_its_record_unless_asked() -> None:
    value = "a secret\u202e".encode()
    (number,) = kept(replace(LETTER, value=value))

    text = run("show", number)
    assert "im-message-private/3/1042" in text
    assert f"{len(value)} bytes, sha256 {hashlib.sha256(value).hexdigest()}" in text
    assert "secret" not in text
    assert "secret" not in run("show", number, "--json")
    assert r"a secret\u202e" in run("show", number, "--body")
    assert json.loads(run("show", number, "--body", "--json"))["value"] == value.decode()


@pytest.mark.parametrize("known_by", ["database", "redis"])
def test_what_was_recalled_is_not_shown(known_by: str) -> None:
    message = make_message(1, content="secret")
    (number,) = kept(replace(LETTER, value=encode_event(message)))
    store(message)
    if known_by == "database":
        store(message.recalled(9))
    else:
        recall(message)

    with pytest.raises(CommandError, match="withheld: its message was recalled"):
        run("show", number, "--body")


def test_a_replayed_letter_is_stored_once_however_often_it_is_replayed() -> None:
    (number,) = kept(letter_of(1))

    for _ in range(2):
        assert json.loads(run("replay", number, "--json"))["replayed"] == [number]
    consume()

    assert models.Message.objects.get().seq == 1
    assert states() == ["REPLAYED"]


def test_all_that_fit_are_replayed_oldest_first() -> None:
    numbers = kept(*(letter_of(n) for n in range(1, 131)))
    (other,) = kept(replace(LETTER, reason="other"))

    document = json.loads(run("replay", "--all", "--reason", "unreadable", "--json"))
    consume()

    assert document == {"replayed": numbers, "unconfirmed": [], "notFound": []}
    assert models.Message.objects.count() == 130
    assert listed() == [other]


def test_what_comes_back_during_a_run_is_left_to_the_next() -> None:
    (number,) = kept(LETTER)
    pages = pages_of(models.DeadLetter.objects.all())

    assert [row.pk for row in next(pages)] == [number]
    keep(replace(LETTER, offset="2"))

    assert list(pages) == []


def test_what_fails_again_comes_back_as_another_letter() -> None:
    kept(LETTER)

    run("replay", "--all")
    consume()

    assert states() == ["REPLAYED", "OPEN"]


def test_only_open_letters_are_discarded_and_a_discarded_one_may_be_replayed() -> None:
    one, two = kept(LETTER, replace(LETTER, offset="2"))
    run("replay", one)

    with pytest.raises(CommandError, match=f"not there, or not open: {one}, 999999999"):
        run("discard", one, two, 999_999_999)
    assert states() == ["REPLAYED", "DISCARDED"]

    run("replay", two)
    assert states() == ["REPLAYED", "REPLAYED"]


@with_settings(event_log_url="redis://127.0.0.1:1/0", log_timeout_s=1.0)
def test_without_the_log_letters_stay_open_and_that_is_told() -> None:
    (number,) = kept(LETTER)

    with pytest.raises(CommandError, match=f"did not confirm {number}, which stay as they are"):
        run("replay", number)
    assert states() == ["OPEN"]


@with_settings(redis_url="redis://127.0.0.1:1/0")
def test_a_record_is_withheld_while_nobody_can_tell() -> None:
    message = make_message(1, content="secret")
    (number,) = kept(replace(LETTER, value=encode_event(message), message_id=message.id))

    with pytest.raises(CommandError, match="cannot be known while a service is away"):
        run("show", number, "--body")


@pytest.mark.parametrize(
    ("arguments", "advice"),
    [
        (["show", 9], "there is no dead letter 9"),
        (["replay"], "give the IDs of letters, or --all"),
        (["replay", 9, "--all"], "give the IDs of letters, or --all"),
        (["replay", 9, "--since", "2h"], "go with --all"),
        (["replay", 9], "not there, or not open: 9"),
        (["list", "--since", "soon"], "soon is no time; write 30m, 2h, 7d"),
    ],
)
def test_a_mistake_is_told_with_what_to_do(arguments: list[object], advice: str) -> None:
    with pytest.raises(CommandError, match=advice):
        run(*arguments)
