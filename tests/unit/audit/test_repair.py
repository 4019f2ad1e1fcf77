"""Check that the audit reports each kind of defect, and mends those that it can."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from msgspec import structs

from messaging.audit.findings import Defect, Fate
from messaging.domain.conversations import (
    Entry,
    Floor,
    Head,
    Mark,
    Participant,
    UnreadMemo,
)
from messaging.domain.events import decode_event
from messaging.domain.message import Message, Recall, hash_body
from messaging.ports.cached import IdempotencyRecord
from tests.support.deletes import know_deletes
from tests.support.memory import message
from tests.support.planting import Audited, fates, wrong

CONVERSATION = "1_2"
Plant = Callable[[Audited], Awaitable[str]]


async def stuck(audited: Audited) -> str:
    sent = await audited.accepted()
    audited.service.broker.records.clear()
    audited.service.clock.now_ms += 301_000
    return str(sent.id)


async def without_its_mark(audited: Audited) -> str:
    """Accept a message that the cache's pending set has lost since, with nothing in the log."""
    sent = await audited.accepted()
    audited.service.broker.records.clear()
    audited.service.cache.pending_set.remove(sent.id)
    return str(sent.id)


async def without_its_detail(audited: Audited) -> str:
    """Persist a message, then take its row from the database; the consumer has committed it."""
    row = await audited.persisted()
    del audited.service.store.rows[row.id]
    audited.service.store.heads.clear()
    audited.service.store.changes.clear()
    audited.service.cache.details.clear()
    audited.service.cache.tails.clear()
    audited.service.cache.pending_set.times[row.id] = row.send_time
    return str(row.id)


async def stored_and_pending(audited: Audited) -> str:
    row = await audited.persisted()
    audited.service.cache.pending_set.times[row.id] = row.send_time
    return str(row.id)


async def recalled_in_the_database(audited: Audited) -> str:
    row = await audited.persisted()
    await audited.service.store.apply([row.recalled(row.send_time + 1)])
    return str(row.id)


async def recalled_in_the_cache(audited: Audited) -> str:
    row = await audited.persisted()
    await audited.service.cache.set_recall_mark(row.id, Recall(row.send_time + 1))
    await audited.service.cache.confirm_recall(row.recalled(row.send_time + 1))
    return str(row.id)


async def cached_as_pending(audited: Audited) -> str:
    row = await audited.persisted()
    audited.alter_detail(row.id, seq=None)
    return str(row.id)


async def cached_with_another_text(audited: Audited) -> str:
    row = await audited.persisted()
    audited.alter_detail(row.id, content="other")
    return str(row.id)


async def cached_with_another_seq(audited: Audited) -> str:
    row = await audited.persisted()
    audited.alter_detail(row.id, seq=7)
    return str(row.id)


async def recalled_at_another_time(audited: Audited) -> str:
    row = await audited.persisted()
    await audited.append(row.recalled(row.send_time + 9))
    await audited.service.consume()
    audited.alter_detail(row.id, recall_time=row.send_time + 5)
    return str(row.id)


async def mark_left(audited: Audited) -> str:
    row = await audited.persisted()
    await audited.append(row.recalled(row.send_time + 9))
    await audited.service.consume()
    audited.service.cache.marks[row.id] = Recall(row.send_time + 9)
    return str(row.id)


async def loaded(audited: Audited) -> None:
    """Persist two messages, and load them in a list that is marked complete."""
    for _ in range(2):
        await audited.persisted()
    cache = audited.service.cache
    token = await cache.begin_fill(CONVERSATION)
    assert token is not None
    rows = list(audited.service.store.rows.values())
    await cache.fill(CONVERSATION, token, rows, floor=0, base=0)


async def list_that_lacks(audited: Audited) -> str:
    await loaded(audited)
    audited.service.cache.tails[CONVERSATION].ids.pop()
    return CONVERSATION


async def list_with_an_orphan(audited: Audited) -> str:
    await loaded(audited)
    audited.service.cache.tails[CONVERSATION].insert(message().id)
    return CONVERSATION


async def list_that_counts_wrongly(audited: Audited) -> str:
    await loaded(audited)
    audited.service.cache.tails[CONVERSATION].base = 1
    return CONVERSATION


async def pending_in_no_list(audited: Audited) -> str:
    sent = await audited.accepted()
    audited.service.cache.tails.clear()
    return str(sent.id)


async def deletes_that_lack(audited: Audited) -> str:
    row = await audited.persisted()
    await audited.service.store.delete_for_user(1, [row.id], "1_2")
    await know_deletes(audited.service.cache, 1)
    return "user 1"


async def deletes_with_an_orphan(audited: Audited) -> str:
    row = await audited.persisted()
    await know_deletes(audited.service.cache, 1, [row.id])
    return "user 1"


async def floor_that_lacks(audited: Audited) -> str:
    await audited.persisted()
    await know_deletes(audited.service.cache, 1)
    seat = (1, "1_2")
    known = audited.service.store.participants[seat]
    audited.service.store.participants[seat] = structs.replace(known, floor_id=9, floor_seq=1)
    return "user 1"


async def floor_that_is_too_high(audited: Audited) -> str:
    await audited.persisted()
    await know_deletes(audited.service.cache, 1, floors={"1_2": Floor(1, 0)})
    return "user 1"


async def _list(audited: Audited, user_id: int) -> dict[str, Entry]:
    """Have the cache hold the user's list, and return the list."""
    cache = audited.service.cache
    token = (await cache.listing(user_id)).token
    assert token is not None
    entries = await audited.service.conversations.listing(user_id)
    await cache.fill_listing(user_id, token, entries)
    return {entry.conversation_id: entry for entry in entries}


async def list_without_a_change(audited: Audited) -> str:
    await audited.persisted()
    await _list(audited, 2)
    mark = Mark(user_id=2, conversation_id="1_2", read_seq=1)
    await audited.service.conversations.mark([mark], now_ms=5)
    return "user 2"


async def wrong_unread_number(audited: Audited) -> str:
    await audited.persisted()
    entry = (await _list(audited, 2))["1_2"]
    memo = UnreadMemo(entry.head.last_seq, entry.head.last_rev, entry.participant.rev, 7)
    await audited.service.cache.note_unread(2, {"1_2": memo})
    return "user 2"


async def row_marked_wrongly(audited: Audited) -> str:
    row = await audited.persisted()
    audited.stored.unmarked.add(row.id)
    return str(row.id)


async def speaking_tombstone(audited: Audited) -> str:
    row = await audited.persisted()
    await audited.append(row.recalled(row.send_time + 9))
    await audited.service.consume()
    audited.alter_row(row.id, content="still here")
    return str(row.id)


async def row_without_its_key(audited: Audited) -> str:
    row = await audited.persisted(client_msg_id="a")
    audited.service.store.idempotency_records.clear()
    return str(row.id)


MENDABLE: list[tuple[Plant, Defect]] = [
    (stuck, Defect.STUCK),
    (without_its_mark, Defect.UNACCOUNTED),
    (without_its_detail, Defect.UNACCOUNTED),
    (stored_and_pending, Defect.STILL_PENDING),
    (recalled_in_the_database, Defect.RECALLED_SHOWN),
    (recalled_in_the_cache, Defect.RECALL_NOT_STORED),
    (cached_as_pending, Defect.DETAIL_PENDING),
    (cached_with_another_text, Defect.DETAIL_DIFFERS),
    (cached_with_another_seq, Defect.DETAIL_DIFFERS),
    (recalled_at_another_time, Defect.DETAIL_DIFFERS),
    (mark_left, Defect.MARK_LEFT),
    (list_that_lacks, Defect.LIST_LACKS),
    (list_with_an_orphan, Defect.LIST_ORPHAN),
    (list_that_counts_wrongly, Defect.LIST_COUNT),
    (pending_in_no_list, Defect.PENDING_UNLISTED),
    (deletes_that_lack, Defect.DELETES_LACK),
    (deletes_with_an_orphan, Defect.DELETES_ORPHAN),
    (floor_that_lacks, Defect.FLOORS_DIFFER),
    (floor_that_is_too_high, Defect.FLOORS_DIFFER),
    (list_without_a_change, Defect.LISTING_BEHIND),
    (wrong_unread_number, Defect.UNREAD_DIFFERS),
    (row_marked_wrongly, Defect.ROW_STATUS),
    (speaking_tombstone, Defect.TOMBSTONE_SPEAKS),
    (row_without_its_key, Defect.KEY_MISSING),
]


@pytest.mark.parametrize(
    ("plant", "kind"), MENDABLE, ids=lambda each: getattr(each, "__name__", "")
)
async def test_what_is_wrong_is_told_then_mended_and_then_not_there(
    plant: Plant, kind: Defect
) -> None:
    audited = Audited()
    name = await plant(audited)

    told = await audited.audit()
    assert wrong(told) == {kind: [name]}
    assert told.is_clean == (kind is Defect.STUCK)

    mended = await audited.audit(repair=True)
    assert wrong(mended) == {kind: [name]}
    assert mended.is_clean

    after = await audited.audit()
    assert wrong(after) == {}
    if name.isdigit() and kind is not Defect.PENDING_UNLISTED:
        assert int(name) in audited.service.store.rows


async def row_altered(audited: Audited) -> str:
    row = await audited.persisted()
    audited.alter_row(row.id, content="message ?")
    audited.alter_detail(row.id, content="message ?")
    return str(row.id)


async def key_of_another(audited: Audited) -> str:
    row = await audited.persisted(client_msg_id="a")
    store = audited.service.store
    store.idempotency_records[row.from_user_id, "a", row.body_hash] = IdempotencyRecord(
        row.id + 1, row.body_hash
    )
    return str(row.id)


async def gap(audited: Audited) -> str:
    row = await audited.persisted()
    audited.alter_row(row.id, seq=2)
    audited.alter_detail(row.id, seq=2)
    return CONVERSATION


async def repeated_number(audited: Audited) -> str:
    await audited.persisted()
    row = await audited.persisted()
    audited.alter_row(row.id, seq=1)
    audited.alter_detail(row.id, seq=1)
    return CONVERSATION


async def change_without_its_row(audited: Audited) -> str:
    row = await recalled(audited)
    audited.service.store.changes.clear()
    return str(row.id)


async def change_of_another_number(audited: Audited) -> str:
    row = await recalled(audited)
    audited.service.store.changes[row.id] = row.rev + 1
    return str(row.id)


async def change_that_the_row_lacks(audited: Audited) -> str:
    row = await audited.persisted()
    audited.service.store.changes[row.id] = 1
    return str(row.id)


async def change_above_its_conversations(audited: Audited) -> str:
    row = await recalled(audited)
    heads = audited.service.store.heads
    heads[CONVERSATION] = structs.replace(heads[CONVERSATION], last_rev=row.rev - 1)
    return str(row.id)


async def recalled(audited: Audited) -> Message:
    row = await audited.persisted()
    await audited.append(row.recalled(row.send_time + 9))
    await audited.service.consume()
    return audited.service.store.rows[row.id]


@pytest.mark.parametrize(
    ("plant", "kind"),
    [
        (row_altered, Defect.ROW_ALTERED),
        (key_of_another, Defect.KEY_OTHER),
        (gap, Defect.SEQ),
        (repeated_number, Defect.SEQ),
        (change_without_its_row, Defect.REV),
        (change_of_another_number, Defect.REV),
        (change_that_the_row_lacks, Defect.REV),
        (change_above_its_conversations, Defect.REV),
    ],
    ids=lambda each: getattr(each, "__name__", ""),
)
async def test_what_only_a_person_can_judge_is_told_and_left(plant: Plant, kind: Defect) -> None:
    audited = Audited()
    name = await plant(audited)

    for repair in (True, False):
        report = await audited.audit(repair=repair)
        assert wrong(report) == {kind: [name]}
        assert not report.is_clean


async def test_a_cached_copy_is_kept_beside_a_row_that_was_altered() -> None:
    audited = Audited()
    row = await audited.persisted(content="what was sent")
    audited.alter_row(row.id, content="what was s")

    report = await audited.audit(repair=True)

    assert wrong(report) == {
        Defect.ROW_ALTERED: [str(row.id)],
        Defect.DETAIL_DIFFERS: [str(row.id)],
    }
    assert audited.service.cache.details[row.id].content == "what was sent"


async def test_a_recalled_message_comes_back_from_the_log_without_its_content(
    tmp_path: Path,
) -> None:
    audited = Audited()
    row = await audited.persisted()
    await audited.append(row.recalled(row.send_time + 1))
    await audited.service.consume()
    audited.service.store.rows.clear()
    audited.service.store.heads.clear()
    audited.service.store.changes.clear()
    audited.forget(row.id)
    receipts = tmp_path / "receipts"
    receipts.write_text(f"{row.id}\n")

    report = await audited.audit(receipts=receipts, repair=True)

    assert report.is_clean
    assert audited.service.store.rows[row.id].content == ""
    assert fates(report, "receipts") == {Fate.RECALLED: 1}


async def lost_but_for_the_log(audited: Audited) -> int:
    """Persist a message, then take it from the database and the cache; the log still has it."""
    row = await audited.persisted()
    audited.service.store.rows.clear()
    audited.service.store.heads.clear()
    audited.service.store.changes.clear()
    audited.forget(row.id)
    return row.id


async def test_what_is_under_a_recall_mark_comes_back_as_its_tombstone() -> None:
    audited = Audited()
    lost = await lost_but_for_the_log(audited)
    await audited.service.cache.set_recall_mark(lost, Recall(9))

    report = await audited.audit(whole_log=True, repair=True)

    assert wrong(report) == {Defect.UNACCOUNTED: [str(lost)]}
    assert report.is_clean
    assert audited.service.store.rows[lost].content == ""
    assert audited.service.store.rows[lost].recall_time == 9


async def test_what_was_lost_and_is_appended_again_is_under_way(tmp_path: Path) -> None:
    audited = Audited()
    lost = await lost_but_for_the_log(audited)
    ((sent,),) = audited.service.broker.records.values()
    await audited.append(decode_event(sent.value))
    receipts = tmp_path / "receipts"
    receipts.write_text(f"{lost}\n")

    report = await audited.audit(receipts=receipts)

    assert wrong(report) == {}
    assert fates(report, "receipts") == {Fate.UNDER_WAY: 1}


async def test_a_recall_that_the_consumer_has_yet_to_read_is_no_news() -> None:
    audited = Audited()
    row = await audited.persisted()
    await audited.service.cache.set_recall_mark(row.id, Recall(row.send_time + 1))
    await audited.append(row.recalled(row.send_time + 1))
    await audited.service.cache.confirm_recall(row.recalled(row.send_time + 1))

    assert wrong(await audited.audit()) == {}


async def test_a_repeat_with_another_body_is_accounted_for_by_its_own_row(
    tmp_path: Path,
) -> None:
    audited = Audited()
    first = await audited.persisted(client_msg_id="a")
    audited.forget(first.id)
    body = {"to_id": 2, "chat_type": 1, "msg_type": 1, "url": None, "at_user_ids": ()}
    other = structs.replace(
        message(content="other", client_msg_id="a"),
        body_hash=hash_body(content="other", **body),  # type: ignore[arg-type]
    )
    await audited.append(other)
    await audited.service.consume()
    receipts = tmp_path / "receipts"
    receipts.write_text(f"{other.id}\n")

    report = await audited.audit(receipts=receipts)
    assert wrong(report) == {}
    assert fates(report, "receipts") == {Fate.PERSISTED: 1}

    store = audited.service.store
    store.heads[store.rows.pop(other.id).conversation_id] = Head(last_seq=1)
    audited.forget(other.id)
    report = await audited.audit(receipts=receipts)
    # The first message does not account for the other.
    assert wrong(report)[Defect.UNACCOUNTED] == [str(other.id)]


async def test_an_unreadable_record_without_a_letter_is_kept_for_people() -> None:
    audited = Audited()
    row = await audited.persisted()
    (position,) = [
        record.position for records in audited.service.broker.records.values() for record in records
    ]
    audited.service.broker.unreadable.add((position.partition, int(position.offset)))

    told = await audited.audit(whole_log=True)
    assert wrong(told) == {Defect.LETTER_MISSING: [f"{position.topic}/{position.partition}/0"]}
    assert told.unreadable == 1
    assert (await audited.audit(whole_log=True, repair=True)).is_clean

    assert wrong(await audited.audit(whole_log=True)) == {}
    assert [letter.source for letter in audited.service.store.dead_letters] == [position]
    assert row.id in audited.service.store.rows


async def test_what_looks_wrong_only_for_a_moment_does_not_count() -> None:
    """The message is stored and marked between the audit's first look and its next one."""
    audited = Audited()
    name = await stored_and_pending(audited)
    pending_among = audited.backends.cached.pending_among
    repeats = 0

    async def stored_between(ids: list[int]) -> dict[int, int]:
        nonlocal repeats
        repeats += 1
        if repeats == 2:
            audited.service.cache.pending_set.remove(int(name))
        return await pending_among(ids)

    object.__setattr__(
        audited.backends, "cached", _BetweenRepeats(audited.backends.cached, stored_between)
    )

    report = await audited.audit()

    assert repeats >= 2
    assert wrong(report) == {}


class _BetweenRepeats:
    """Wrap the inspector so that something happens between two looks."""

    def __init__(self, inspector: object, pending_among: object) -> None:
        self._inspector = inspector
        self.pending_among = pending_among

    def __getattr__(self, name: str) -> object:
        return getattr(self._inspector, name)


async def test_a_floor_that_the_membership_tells_may_be_missing_in_the_cache() -> None:
    audited = Audited()
    await audited.persisted()
    participant = Participant(user_id=1, conversation_id="g7", floor_id=9, floor_seq=1)
    audited.service.store.participants[1, "g7"] = participant
    await know_deletes(audited.service.cache, 1)
    assert Defect.FLOORS_DIFFER not in wrong(await audited.audit())
