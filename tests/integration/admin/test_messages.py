"""Test messages in the admin: found by index, shown safely, changed by no one."""

from __future__ import annotations

import re

import pytest
from django.test import Client
from msgspec.structs import replace

from messaging import models
from messaging.admin import message_list
from messaging.domain.ids import first_id_at, time_of_id, wall_clock_ms
from messaging.domain.message import ChatType
from tests.integration.admin.pages import (
    MESSAGES,
    listed,
    page,
    recall,
    said,
    shown,
    store,
)
from tests.support.messages import FIRST_ID, make_message


def numbers(ids: list[int]) -> list[int]:
    return [message_id - FIRST_ID for message_id in ids]


def test_the_list_tells_what_a_message_is_and_not_what_it_says(desk: Client) -> None:
    message = make_message(1, to_id=5, chat_type=ChatType.GROUP, content="confidential")
    store(message)

    text = shown(desk.get(MESSAGES))

    assert f"{message.id} 2026-11-02 01:31:30.625 g5 1 1 group text NORMAL PERSISTED" in text
    assert "confidential" not in text


def test_pages_follow_each_other_by_id_without_gap_or_repeat(
    desk: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("messaging.admin.keyset.KeysetAdmin.list_per_page", 4)
    store(*(make_message(n) for n in range(1, 10)))

    seen, url = [], "?"
    while url:
        response = desk.get(MESSAGES + url)
        seen.append(numbers(listed(response)))
        url = response.context["cl"].older_url

    assert seen == [[9, 8, 7, 6], [5, 4, 3, 2], [1]]


@pytest.mark.parametrize(
    ("term", "found"),
    [
        (str(FIRST_ID + 3), [3]),
        ("1_2", [4, 1]),
        ("2_1", [4, 1]),
        ("g2", [3]),
        ("from:3", [2]),
        (" from: 3 ", [2]),
        ("from:99", []),
        ("1_99", []),
        (str(2**63 - 1), []),
    ],
)
def test_a_search_is_an_exact_lookup(desk: Client, term: str, found: list[int]) -> None:
    store(
        make_message(1),
        make_message(2, from_user_id=3, to_id=4),
        make_message(3, to_id=2, chat_type=ChatType.GROUP),
        make_message(4, from_user_id=2, to_id=1),
    )

    response = desk.get(MESSAGES, {"q": term})

    assert numbers(listed(response)) == found
    assert said(response) == []


def test_an_id_of_a_repeat_that_was_deduplicated_leads_to_its_message(desk: Client) -> None:
    first, repeat = (make_message(n, content="said", client_msg_id="k") for n in (1, 2))
    store(first)
    store(repeat)

    assert numbers(listed(desk.get(MESSAGES, {"q": str(repeat.id)}))) == [1]
    shown = desk.get(f"{MESSAGES}{repeat.id}/change/")
    assert (shown.status_code, shown.context["original"].pk) == (200, first.id)


@pytest.mark.parametrize("term", ["hello", "from:bob", "1_", "g", str(2**63), "1 2", "١", "from:"])
def test_a_search_that_would_scan_is_refused_with_a_hint(desk: Client, term: str) -> None:
    store(make_message(1, content="hello"))

    response = desk.get(MESSAGES, {"q": term})

    assert listed(response) == []
    (notice,) = said(response)
    assert "from:42" in notice


@pytest.mark.parametrize(
    "lookup",
    ["content__contains", "content", "id__gt", "send_time__gte", "client_msg_id", "status__exact"],
)
def test_an_address_cannot_ask_for_another_lookup(desk: Client, lookup: str) -> None:
    assert desk.get(MESSAGES, {lookup: "1"}).status_code == 400


def test_an_address_cannot_ask_for_another_order_or_all_rows(
    desk: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("messaging.admin.keyset.KeysetAdmin.list_per_page", 2)
    store(*(make_message(n) for n in range(1, 5)))

    assert numbers(listed(desk.get(MESSAGES, {"o": "1", "all": "", "p": "2"}))) == [4, 3]


@pytest.mark.parametrize("before", ["x", "-1", "1.0", "9" * 20])
def test_a_page_that_cannot_be_is_the_first(desk: Client, before: str) -> None:
    response = desk.get(MESSAGES, {"before": before})

    assert response.status_code == 302
    assert "before" not in response.headers["Location"]


def test_filters_pick_by_status_chat_type_and_persist_status(desk: Client) -> None:
    store(
        make_message(1),
        make_message(2).recalled(9),
        make_message(3, chat_type=ChatType.GROUP),
        make_message(4, chat_type=ChatType.GROUP).recalled(9),
    )

    def found(**filters: str) -> list[int]:
        return numbers(listed(desk.get(MESSAGES, filters)))

    assert found(status="RECALLED") == [4, 2]
    assert found(status="NORMAL", chat_type="GROUP") == [3]
    assert found(chat_type="PRIVATE", q="from:1") == [2, 1]
    assert found(persist_status="PERSISTED", status="RECALLED", chat_type="PRIVATE") == [2]
    assert found(persist_status="PENDING") == []
    assert found(status="no such") == [4, 3, 2, 1]


def test_a_stored_message_that_is_pending_is_found_at_once(desk: Client) -> None:
    store(*(make_message(n) for n in range(1, 4)))
    models.Message.objects.filter(pk=FIRST_ID + 2).update(persist_status="PENDING")

    assert numbers(listed(desk.get(MESSAGES, {"persist_status": "PENDING"}))) == [2]
    assert numbers(listed(desk.get(MESSAGES, {"persist_status": "PERSISTED"}))) == [3, 1]


def test_a_time_range_is_a_range_of_ids(desk: Client) -> None:
    ages_s = {"hour": 3_000, "day": 80_000, "week": 600_000, "": 700_000}
    ids = [first_id_at(wall_clock_ms() - age_s * 1_000) for age_s in ages_s.values()]
    store(
        *(
            replace(make_message(n), id=message_id, send_time=time_of_id(message_id))
            for n, message_id in enumerate(ids)
        )
    )

    for count, sent in enumerate(ages_s, start=1):
        assert listed(desk.get(MESSAGES, {"sent": sent})) == ids[:count]


def test_a_search_for_rare_rows_ends_and_can_go_on(
    desk: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(message_list, "ROWS_SEARCHED", (2, 3))
    rare = {1, 4, 9}
    store(*(make_message(n).recalled(9) if n in rare else make_message(n) for n in range(1, 13)))

    seen, url = [], "?status=RECALLED"
    while url:
        response = desk.get(MESSAGES + url)
        seen.append(numbers(listed(response)))
        assert ("Look further back" in shown(response)) == (seen[-1] != [1])
        url = response.context["cl"].older_url

    assert seen == [[9], [4], [1]]


def test_a_filter_that_is_chosen_on_a_later_page_begins_at_the_top(desk: Client) -> None:
    store(make_message(1), make_message(2))

    markup = page(desk.get(MESSAGES, {"before": str(FIRST_ID + 2)}))

    choices = [link for link in re.findall(r'href="(\?[^"]*)"', markup) if "status=" in link]
    assert choices
    assert not any("before" in link for link in choices)
    assert 'name="before"' not in markup


def test_a_text_is_shown_as_text_with_its_controls_named(desk: Client) -> None:
    content = "<b>bold</b>\n\u202egnp.exe\u2066 nul\x00 zero\u200bwidth 👩‍👧 שלום"
    message = make_message(1, content=content)
    store(message)

    markup = page(desk.get(f"{MESSAGES}{message.id}/change/"))

    assert "&lt;b&gt;bold&lt;/b&gt;\n" in markup
    for control in "\u202e\u2066\x00\u200b":
        assert control not in markup
        assert f">U+{ord(control):04X}</span>" in markup
    assert "👩‍👧 שלום" in markup


def test_a_message_is_shown_in_full(desk: Client) -> None:
    message = make_message(
        1, content="see", url="https://e.org/<i>", at_user_ids=(7, 8), client_msg_id="c-1"
    )
    store(message)

    text = shown(desk.get(f"{MESSAGES}{message.id}/change/"))

    for part in ("Sent (UTC): 2026-11-02 01:31:30.625", "Conversation: 1_2", "Receiver: user 2"):
        assert part in text
    for part in ("Text: see", "https://e.org/<i>", "Mentioned users: 7, 8", "c-1"):
        assert part in text


def test_a_recalled_message_shows_nothing_of_what_it_said(desk: Client) -> None:
    message = make_message(1, content="secret")
    store(message)
    store(message.recalled(message.send_time + 1_000))

    text = shown(desk.get(f"{MESSAGES}{message.id}/change/"))

    assert "RECALLED" in text
    assert "recalled at 2026-11-02 01:31:31.625 UTC" in text
    assert "secret" not in text


def test_a_recall_that_the_database_does_not_know_yet_counts(desk: Client) -> None:
    message = make_message(1, content="secret", url="https://secret/", at_user_ids=(77,))
    store(message)
    recall(message)
    assert models.Message.objects.get(pk=message.id).content == "secret"

    text = shown(desk.get(f"{MESSAGES}{message.id}/change/"))

    assert "RECALLED" in text
    assert "secret" not in text
    assert "77" not in text


def test_an_unknown_message_is_told_apart_from_a_failure(desk: Client) -> None:
    # Redirected to the index, with a notice.
    assert desk.get(f"{MESSAGES}5/change/").status_code == 302
    assert "see pending messages" in shown(desk.get(MESSAGES, {"q": "5"}))
