"""Check that the audit accounts for every message that anything names as accepted."""

from __future__ import annotations

from pathlib import Path

import pytest

from messaging.audit.findings import Defect, Fate
from messaging.audit.sources import BadReceipts
from messaging.domain.backend_errors import CacheUnavailable, LogUnavailable, StoreUnavailable
from messaging.ports.store import DeadLetterState
from tests.support.memory import message
from tests.support.planting import Audited, fates, wrong


@pytest.fixture
def audited() -> Audited:
    return Audited()


async def test_a_service_that_works_has_nothing_to_tell(audited: Audited) -> None:
    await audited.persisted(client_msg_id="a")
    recalled = await audited.persisted()
    await audited.append(recalled.recalled(recalled.send_time + 1, 9))
    await audited.service.consume()
    await audited.accepted()

    report = await audited.audit()

    assert report.is_clean
    assert wrong(report) == {}
    assert fates(report, "pending set") == {Fate.PENDING: 1}
    assert fates(report, "cached details") == {
        Fate.PERSISTED: 1,
        Fate.RECALLED: 1,
        Fate.PENDING: 1,
    }
    assert fates(report, "cached idempotency records") == {Fate.PERSISTED: 1}
    assert fates(report, "log") == {Fate.PENDING: 1}
    assert (report.pending, sum(report.lag.values())) == (1, 1)


async def test_what_only_the_tail_of_the_log_has_is_under_way(audited: Audited) -> None:
    sent = message()
    await audited.append(sent)

    report = await audited.audit()

    assert report.is_clean
    assert fates(report, "log") == {Fate.UNDER_WAY: 1}


async def test_an_id_that_only_its_client_knows_is_unaccounted(
    audited: Audited, tmp_path: Path
) -> None:
    row = await audited.persisted()
    receipts = tmp_path / "receipts"
    receipts.write_text(f'{row.id}\n\n12345\n"{row.id}",bob\n')

    report = await audited.audit(receipts=receipts)

    assert not report.is_clean
    assert wrong(report) == {Defect.UNACCOUNTED: ["12345"]}
    assert fates(report, "receipts") == {Fate.PERSISTED: 2, Fate.UNACCOUNTED: 1}


async def test_receipts_that_are_no_ids_are_refused_with_their_line(
    audited: Audited, tmp_path: Path
) -> None:
    receipts = tmp_path / "receipts"
    receipts.write_text("1\nid\n")

    with pytest.raises(BadReceipts, match="receipts, line 2: 'id' is no message id"):
        await audited.audit(receipts=receipts)


async def test_a_receipt_that_only_the_tail_has_is_under_way(
    audited: Audited, tmp_path: Path
) -> None:
    sent = message()
    await audited.append(sent)
    receipts = tmp_path / "receipts"
    receipts.write_text(f"{sent.id}\n")

    report = await audited.audit(receipts=receipts)

    assert report.is_clean
    assert fates(report, "receipts") == {Fate.UNDER_WAY: 1}


async def test_a_pending_mark_without_its_message_is_not_accounted_for(audited: Audited) -> None:
    sent = await audited.accepted()
    audited.service.cache.details.clear()
    audited.service.broker.records.clear()

    assert wrong(await audited.audit()) == {Defect.UNACCOUNTED: [str(sent.id)]}


async def test_what_was_deduplicated_into_an_earlier_send_is_accounted_for(
    audited: Audited, tmp_path: Path
) -> None:
    first = await audited.persisted(client_msg_id="a")
    audited.forget(first.id)
    repeat = await audited.persisted_repeat(first)
    receipts = tmp_path / "receipts"
    receipts.write_text(f"{first.id}\n{repeat.id}\n")

    report = await audited.audit(receipts=receipts)

    assert report.is_clean
    assert fates(report, "receipts") == {Fate.PERSISTED: 1, Fate.DUPLICATE: 1}


async def test_a_receipt_of_what_was_deduplicated_needs_neither_its_key_nor_the_log(
    audited: Audited, tmp_path: Path
) -> None:
    first = await audited.persisted(client_msg_id="a")
    repeat = message(client_msg_id="a")
    await audited.service.store.apply([repeat])
    receipts = tmp_path / "receipts"
    receipts.write_text(f"{first.id}\n{repeat.id}\n")

    report = await audited.audit(receipts=receipts)

    assert report.is_clean
    assert fates(report, "receipts") == {Fate.PERSISTED: 1, Fate.DUPLICATE: 1}


async def test_an_idempotency_record_of_a_duplicate_would_mislead_a_client(
    audited: Audited,
) -> None:
    first = await audited.persisted(client_msg_id="a")
    repeat = message(client_msg_id="a")
    records = audited.service.cache.idempotency_records
    await audited.append(repeat)
    await audited.service.consume()
    for key, record in records.items():
        records[key] = type(record)(repeat.id, record.body_hash)

    report = await audited.audit(repair=True)

    assert wrong(report) == {Defect.RECORD_STALE: [str(repeat.id)]}
    assert [record.message_id for record in records.values()] == [first.id]
    assert report.is_clean


@pytest.mark.parametrize(
    ("state", "fate"),
    [
        (DeadLetterState.OPEN, Fate.DEAD_LETTER),
        (DeadLetterState.DISCARDED, Fate.DISCARDED),
        (DeadLetterState.REPLAYED, None),
    ],
)
async def test_a_dead_letter_accounts_for_its_message_until_it_is_replayed(
    audited: Audited, state: DeadLetterState, fate: Fate | None
) -> None:
    store = audited.service.store
    store.refuses = lambda m: True
    sent = await audited.accepted()
    await audited.service.consume()
    await store.settle_dead_letters([letter.source for letter in store.dead_letters], state)

    report = await audited.audit()

    assert report.is_clean == (fate is not None)
    assert fates(report, "cached details") == {fate or Fate.UNACCOUNTED: 1}
    assert wrong(report) == ({} if fate else {Defect.UNACCOUNTED: [str(sent.id)]})


async def test_the_whole_log_is_held_against_the_rows(audited: Audited) -> None:
    lost, altered, unrecalled = [await audited.persisted(content=f"text {n}") for n in range(3)]
    await audited.append(unrecalled.recalled(9))
    await audited.service.consume()
    del audited.service.store.rows[lost.id]
    audited.alter_row(altered.id, content="other")
    audited.service.store.rows[unrecalled.id] = unrecalled
    audited.forget(lost.id, altered.id, unrecalled.id)

    assert Defect.UNACCOUNTED not in wrong(await audited.audit())
    report = await audited.audit(whole_log=True)

    found = wrong(report)
    assert found[Defect.UNACCOUNTED] == [str(lost.id)]
    assert found[Defect.LOG_DIFFERS] == [str(altered.id)]
    assert found[Defect.RECALL_NOT_STORED] == [str(unrecalled.id)]


async def test_two_messages_of_one_id_are_told_unless_a_dead_letter_tells(
    audited: Audited,
) -> None:
    row = await audited.persisted()
    other = message(content="another", id=row.id, body_hash="0" * 32)
    await audited.append(other)
    await audited.service.consume()

    assert (await audited.audit(whole_log=True)).is_clean
    audited.service.store.dead_letters.clear()
    assert wrong(await audited.audit(whole_log=True)) == {Defect.LOG_DIFFERS: [str(row.id)]}


async def test_what_is_pending_for_too_long_is_told_and_no_failure(audited: Audited) -> None:
    sent = await audited.accepted()
    audited.service.clock.now_ms += 301_000

    report = await audited.audit()

    assert wrong(report) == {Defect.STUCK: [str(sent.id)]}
    assert fates(report, "pending set") == {Fate.PENDING: 1}
    assert report.is_clean
    assert report.oldest_pending_ms is not None
    assert report.oldest_pending_ms > 300_000


@pytest.mark.parametrize("away", ["cache", "log", "store"])
async def test_nothing_is_said_while_a_part_is_away(audited: Audited, away: str) -> None:
    service = audited.service
    part = {"cache": service.cache, "log": service.broker, "store": service.store}[away]
    await audited.accepted()
    part.down = True  # type: ignore[attr-defined]

    with pytest.raises((CacheUnavailable, LogUnavailable, StoreUnavailable)):
        await audited.audit()
