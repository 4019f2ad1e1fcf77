"""Check that the benchmark's check finds every message that is not as acknowledged."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict

import pytest

from bench.check.conversation import CheckFindings, ConversationCheck, PersistedRow
from bench.load.content import client_msg_id_of, text_of
from bench.load.receipts import RECALLED, SentMessage, tag_base

RUN = "abcd1234"
TEXT_BYTES = 80
SENDERS = (4, 5)
EACH = 6


def message_id(sender: int, number: int) -> int:
    """Return the id of a sender's message; the two senders take turns."""
    return 1_000 + 10 * number + sender


def acknowledged() -> list[int]:
    """Return ids and tags, one sender after the other, as two load processes leave them."""
    return [
        item
        for sender in SENDERS
        for number in range(EACH)
        for item in (message_id(sender, number), tag_base(1, sender) + number)
    ]


def stored() -> list[PersistedRow]:
    sent = [SentMessage(1, sender, number) for number in range(EACH) for sender in SENDERS]
    return [
        PersistedRow(
            message_id(each.sender, each.number),
            seq,
            0,
            client_msg_id_of(each, run=RUN),
            text_of(each, run=RUN, size=TEXT_BYTES),
        )
        for seq, each in enumerate(sent, 1)
    ]


def examined(items: list[int], rows: list[PersistedRow]) -> dict[str, int]:
    """Return the findings that are not 0, without the numbers of messages."""
    findings = ConversationCheck(items, run=RUN, text_bytes=TEXT_BYTES).examine(rows)
    found = {name: count for name, count in asdict(findings).items() if count}
    del found["acknowledged"]
    found.pop("stored", None)
    return found


def test_all_is_well() -> None:
    conversation = ConversationCheck(acknowledged(), run=RUN, text_bytes=TEXT_BYTES)
    assert conversation.examine(stored()) == CheckFindings(acknowledged=12, stored=12)


def lose_one(items: list[int], rows: list[PersistedRow]) -> None:
    del rows[3]


def lose_the_last(items: list[int], rows: list[PersistedRow]) -> None:
    del rows[-1]


def lose_all(items: list[int], rows: list[PersistedRow]) -> None:
    rows.clear()


def store_twice(items: list[int], rows: list[PersistedRow]) -> None:
    rows.append(rows[5]._replace(id=2_000, seq=13))


def tell_one_id_twice(items: list[int], rows: list[PersistedRow]) -> None:
    items += [items[0], tag_base(1, 4) + 99]


def change_a_letter(items: list[int], rows: list[PersistedRow]) -> None:
    rows[5] = rows[5]._replace(content=rows[5].content.replace("ferry", "Ferry"))


def cut_the_end(items: list[int], rows: list[PersistedRow]) -> None:
    rows[5] = rows[5]._replace(content=rows[5].content[:-1])


def swap_two_texts(items: list[int], rows: list[PersistedRow]) -> None:
    one, two = rows[2], rows[4]
    rows[2] = one._replace(content=two.content, client_msg_id=two.client_msg_id)
    rows[4] = two._replace(content=one.content, client_msg_id=one.client_msg_id)


def tombstone_of_what_was_not_recalled(items: list[int], rows: list[PersistedRow]) -> None:
    rows[5] = rows[5]._replace(content="", status=1)


def swap_two_acknowledgements(items: list[int], rows: list[PersistedRow]) -> None:
    items[0:4] = items[2:4] + items[0:2]


def skip_a_number(items: list[int], rows: list[PersistedRow]) -> None:
    rows[-1] = rows[-1]._replace(seq=13)


def use_a_number_twice(items: list[int], rows: list[PersistedRow]) -> None:
    rows[-1] = rows[-1]._replace(seq=11)


def recall_in_vain(items: list[int], rows: list[PersistedRow]) -> None:
    items += [items[0], items[1] | RECALLED]


def number_a_late_one(items: list[int], rows: list[PersistedRow]) -> None:
    """Store a sender's second message after its last one."""
    rows[2] = rows[2]._replace(seq=12)
    rows[3:] = [row._replace(seq=row.seq - 1) for row in rows[3:]]


def store_what_nobody_was_told_of(items: list[int], rows: list[PersistedRow]) -> None:
    unheard = SentMessage(1, 4, EACH)
    text = text_of(unheard, run=RUN, size=TEXT_BYTES)
    rows.append(PersistedRow(2_000, 13, 0, client_msg_id_of(unheard, run=RUN), text))


@pytest.mark.parametrize(
    ("plant", "found"),
    [
        (lose_one, {"missing": 1, "gaps": 1}),
        (lose_the_last, {"missing": 1}),
        (lose_all, {"missing": 12}),
        (store_twice, {"doubled": 1}),
        (tell_one_id_twice, {"doubled": 1, "altered": 1, "disordered": 1}),
        (change_a_letter, {"altered": 1}),
        (cut_the_end, {"altered": 1}),
        (swap_two_texts, {"altered": 2}),
        (tombstone_of_what_was_not_recalled, {"altered": 1}),
        (swap_two_acknowledgements, {"disordered": 1}),
        (skip_a_number, {"gaps": 1}),
        (use_a_number_twice, {"gaps": 1}),
        (recall_in_vain, {"recalled": 1, "unrecalled": 1}),
        (number_a_late_one, {"overtaken": 1}),
        (store_what_nobody_was_told_of, {"unacknowledged": 1}),
    ],
)
def test_finds(
    plant: Callable[[list[int], list[PersistedRow]], None], found: dict[str, int]
) -> None:
    items, rows = acknowledged(), stored()
    plant(items, rows)
    assert examined(items, rows) == found


def test_a_recalled_message_is_a_tombstone() -> None:
    items, rows = acknowledged(), stored()
    items += [items[0], items[1] | RECALLED]
    rows[0] = rows[0]._replace(content="", status=1)
    assert examined(items, rows) == {"recalled": 1}


def test_only_what_was_broken_fails() -> None:
    innocent = CheckFindings(acknowledged=9, recalled=2, stored=10, overtaken=3, unacknowledged=1)
    assert innocent.failures == {}
    total = CheckFindings(missing=1)
    total.add(innocent)
    total.add(CheckFindings(gaps=2))
    assert total.failures == {"missing": 1, "gaps in the numbers": 2}
    assert (total.acknowledged, total.overtaken) == (9, 3)
