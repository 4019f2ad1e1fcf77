"""Check that a trace tells what each place knows, and the fate that the audit finds."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from messaging.audit.findings import Fate
from messaging.domain.backend_errors import LogUnavailable
from messaging.domain.events import Action, encode_event
from messaging.domain.message import Message, PersistStatus, Recall
from messaging.ports.audit import Extent, LogInspector, Piece
from messaging.ports.log import OutgoingRecord
from messaging.ports.store import CacheHint, DeadLetter, DeadLetterState
from messaging.testing.inspectors import MemoryLogInspector
from messaging.trace import log
from messaging.trace.evidence import Place, Row, Trace
from messaging.trace.report import document_of, lines
from messaging.trace.texts import Text
from messaging.trace.tracer import TraceBackends, Tracer
from tests.support.memory import message
from tests.support.planting import Audited, fates

TIMEOUT_S = 30.0  # nothing in memory is late
Plant = Callable[[Audited], Awaitable[Message]]


@pytest.fixture
def audited() -> Audited:
    return Audited()


def tracer(
    audited: Audited, *, log: LogInspector | None = None, timeout_s: float = TIMEOUT_S
) -> Tracer:
    parts = audited.backends
    backends = TraceBackends(
        cache=parts.cache, cached=parts.cached, stored=parts.stored, log=log or parts.log
    )
    return Tracer(backends, timeout_s=timeout_s)


async def trace(audited: Audited, of: Message | int) -> Trace:
    message_id = of if isinstance(of, int) else of.id
    return await tracer(audited).trace(message_id)


def letter_of(sent: Message) -> DeadLetter:
    value = encode_event(sent)
    return DeadLetter("t", 0, "0", b"1_2", value, "bad_data", "", message_id=sent.id)


async def pending(audited: Audited) -> Message:
    return await audited.accepted(client_msg_id="a")


async def persisted(audited: Audited) -> Message:
    return await audited.persisted(client_msg_id="a")


async def recalled(audited: Audited) -> Message:
    row = await audited.persisted()
    await audited.append(row.recalled(row.send_time + 9))
    await audited.service.consume()
    return row


async def duplicate(audited: Audited) -> Message:
    first = await audited.persisted(client_msg_id="a")
    audited.forget(first.id)
    return await audited.persisted_repeat(first)


async def duplicate_without_alias(audited: Audited) -> Message:
    repeat = await duplicate(audited)
    audited.service.store.aliases.clear()
    return repeat


async def dead_letter(audited: Audited) -> Message:
    audited.service.store.refuses = lambda each: True
    sent = await audited.accepted()
    await audited.service.consume()
    return sent


async def discarded(audited: Audited) -> Message:
    sent = await dead_letter(audited)
    (letter,) = audited.service.store.dead_letters
    await audited.service.store.settle_dead_letters([letter.source], DeadLetterState.DISCARDED)
    return sent


async def under_way(audited: Audited) -> Message:
    sent = message()
    await audited.append(sent)
    return sent


async def lost(audited: Audited) -> Message:
    sent = await audited.accepted()
    audited.forget(sent.id)
    audited.service.broker.records.clear()
    return sent


CASES: dict[Plant, Fate] = {
    pending: Fate.PENDING,
    persisted: Fate.PERSISTED,
    recalled: Fate.RECALLED,
    duplicate: Fate.DUPLICATE,
    duplicate_without_alias: Fate.DUPLICATE,
    dead_letter: Fate.DEAD_LETTER,
    discarded: Fate.DISCARDED,
    under_way: Fate.UNDER_WAY,
    lost: Fate.UNACCOUNTED,
}
every_case = pytest.mark.parametrize("plant", CASES, ids=[plant.__name__ for plant in CASES])


@every_case
async def test_the_fate_is_the_one_that_the_audit_finds(
    audited: Audited, plant: Plant, tmp_path: Path
) -> None:
    sent = await plant(audited)
    receipts = tmp_path / "receipts"
    receipts.write_text(f"{sent.id}\n")

    found = await trace(audited, sent)

    assert (found.fate, found.is_certain) == (CASES[plant], True)
    assert fates(await audited.audit(receipts=receipts), "receipts") == {CASES[plant]: 1}


@every_case
@pytest.mark.parametrize(
    "away", [c for n in (1, 2, 3) for c in itertools.combinations(Place, n)], ids=" and ".join
)
async def test_a_fate_that_is_called_certain_is_the_true_one(
    audited: Audited, plant: Plant, away: tuple[Place, ...]
) -> None:
    sent = await plant(audited)
    audited.service.cache.down = Place.CACHE in away
    audited.service.broker.down = Place.LOG in away
    audited.service.store.down = Place.STORE in away

    found = await trace(audited, sent)

    assert tuple(found.away) == away
    if found.is_certain:
        assert found.fate is CASES[plant]
    if Place.STORE in away:
        assert not found.is_certain
    told = "\n".join(lines(found))
    assert told.count("away: no answer in time") == len(away)


async def test_a_pending_message_shows_its_marks(audited: Audited) -> None:
    sent = await pending(audited)
    await audited.service.cache.count_attempt([sent])

    found = await trace(audited, sent)

    assert found.cached is not None
    assert found.logged is not None
    assert found.stored is not None
    assert found.cached.detail is PersistStatus.PENDING
    assert found.cached.pending_since_ms == sent.send_time
    assert (found.cached.attempts, found.cached.is_listed) == (1, True)
    assert found.cached.record_of == sent.id
    (event,) = found.logged.events
    assert (event.action, event.is_committed, event.partition) == (
        Action.PERSIST,
        False,
        found.partition,
    )
    assert (found.logged.lag, found.logged.is_whole) == (1, True)
    assert not found.stored.knows_it


async def test_a_stored_message_shows_its_row_and_what_names_it(audited: Audited) -> None:
    row = await persisted(audited)
    await audited.service.store.delete_for_user(2, [row.id], row.conversation_id)
    await audited.service.store.record_hints([CacheHint(row.id)])

    found = await trace(audited, row)

    assert found.stored is not None
    assert found.logged is not None
    assert found.cached is not None
    assert found.stored.row == Row(1, None, PersistStatus.PERSISTED, row.id)
    assert (found.stored.deletes, found.stored.hints) == (1, 1)
    assert [event.is_committed for event in found.logged.events] == [True]
    assert (found.cached.detail, found.cached.pending_since_ms) == (PersistStatus.PERSISTED, None)
    assert found.conversation_id == row.conversation_id


async def test_a_recall_that_is_not_stored_yet_is_told(audited: Audited) -> None:
    row = await persisted(audited)
    recall = Recall(row.send_time + 7)
    await audited.service.cache.set_recall_mark(row.id, recall)
    await audited.service.cache.confirm_recall(row.under(recall))
    await audited.append(row.under(recall))

    found = await trace(audited, row)

    assert found.logged is not None
    assert found.cached is not None
    assert [event.action for event in found.logged.events] == [Action.PERSIST, Action.RECALL]
    assert (found.cached.has_recall_mark, found.cached.recall_ms) == (True, recall.time)
    told = [" ".join(line.split()) for line in lines(found)]
    assert "+7 ms recalled the tombstone is not stored yet" in told
    await audited.service.consume()
    told = [" ".join(line.split()) for line in lines(await trace(audited, row))]
    assert "+7 ms recalled the tombstone is stored" in told


async def test_a_recall_mark_alone_tells_the_recall(audited: Audited) -> None:
    row = await persisted(audited)
    await audited.service.cache.set_recall_mark(row.id, Recall(row.send_time + 7))

    found = await trace(audited, row)

    assert found.cached is not None
    assert (found.cached.has_recall_mark, found.cached.recall_ms) == (True, row.send_time + 7)


async def test_a_duplicate_leads_to_the_message_that_was_kept(audited: Audited) -> None:
    repeat = await duplicate(audited)
    (kept,) = audited.service.store.rows

    found = await trace(audited, repeat)

    assert found.repeats == kept
    assert document_of(found)["repeats"] == str(kept)
    assert f"the send repeats message {kept}" in list(lines(found))[-1]
    audited.service.store.aliases.clear()
    assert (await trace(audited, repeat)).repeats == kept


async def test_an_id_that_nobody_knows_is_unknown_and_a_lost_one_is_too(audited: Audited) -> None:
    await persisted(audited)

    found = await trace(audited, 12_345)

    assert (found.fate, found.is_certain, found.is_known) == (Fate.UNACCOUNTED, True, False)
    assert "unknown: no place knows this id" in list(lines(found))[-1]
    assert (document_of(found)["fate"], document_of(found)["known"]) == (None, False)


@pytest.mark.parametrize("away", ["cache", "broker", "store"])
async def test_an_id_is_called_neither_unknown_nor_lost_while_a_place_is_away(
    audited: Audited, away: str
) -> None:
    unmarked = await pending(audited)
    audited.service.cache.pending_set.remove(unmarked.id)
    unknown, forgotten = 12_345, await lost(audited)
    getattr(audited.service, away).down = True
    for each in (unknown, forgotten.id, unmarked.id):
        found = await trace(audited, each)
        assert list(lines(found))[-1].endswith(Text.IS_NOT_CLEAR)
        assert (document_of(found)["fate"], document_of(found)["certain"]) == (None, False)


async def test_a_detail_without_its_pending_mark_is_unaccounted(audited: Audited) -> None:
    sent = await pending(audited)
    audited.service.cache.pending_set.remove(sent.id)
    audited.service.broker.records.clear()

    found = await trace(audited, sent)

    assert (found.fate, found.is_known) == (Fate.UNACCOUNTED, True)
    assert "unaccounted" in list(lines(found))[-1]
    assert document_of(found)["fate"] == "unaccounted"


async def test_a_message_without_a_conversation_is_searched_in_every_partition(
    audited: Audited,
) -> None:
    sent = await under_way(audited)

    found = await trace(audited, sent)

    assert found.conversation_id == sent.conversation_id
    assert found.logged is not None
    assert [event.partition for event in found.logged.events] == [found.partition]


async def test_only_the_partition_of_a_known_conversation_is_searched(audited: Audited) -> None:
    row = await persisted(audited)
    settings, broker = audited.service.settings, audited.service.broker
    for n in range(40):
        broker.write(settings.topic, OutgoingRecord(b"%d_9" % n, b"another's"))

    found = await trace(audited, row)

    assert found.logged is not None
    assert found.partition is not None
    in_partition = len(broker.records[settings.topic, found.partition])
    assert found.logged.searched == in_partition < 41


async def test_an_event_that_only_names_the_id_is_another_messages(audited: Audited) -> None:
    row = await persisted(audited)
    await audited.append(message(content=f"see {row.id}"))

    found = await trace(audited, row)

    assert found.logged is not None
    assert (found.logged.found, found.logged.searched) == (1, 2)


async def test_many_events_are_counted_and_a_few_shown(
    audited: Audited, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log, "MOST_EVENTS", 2)
    row = await persisted(audited)
    for _ in range(4):
        await audited.append(row)

    found = await trace(audited, row)

    assert found.logged is not None
    assert (len(found.logged.events), found.logged.found) == (2, 5)
    assert found.logged.in_tail
    assert "further events: 3" in "\n".join(lines(found))


class StalledLog(MemoryLogInspector):
    """Answer `answers` readings, then fail; where `answers` is negative, never answer at all."""

    answers = 1

    async def extents(self, *, since_ms: int | None = None) -> list[Extent]:
        if self.answers < 0:
            await asyncio.Event().wait()
        return await super().extents(since_ms=since_ms)

    async def read(self, partition: int, *, start: str, until: str, max_records: int) -> Piece:
        self.answers -= 1
        if self.answers < 0:
            raise LogUnavailable
        return await super().read(partition, start=start, until=until, max_records=1)


def stalled(audited: Audited) -> StalledLog:
    settings = audited.service.settings
    return StalledLog(audited.service.broker, settings.topic, settings.consumer_group)


async def test_a_search_that_is_cut_off_tells_what_it_has_found(audited: Audited) -> None:
    sent = await lost(audited)
    for _ in range(2):
        await audited.append(sent)
    # A cached detail tells the conversation, so that the first reading is of its partition.
    audited.service.cache.details[sent.id] = sent

    found = await tracer(audited, log=stalled(audited)).trace(sent.id)

    assert found.logged is not None
    assert (found.logged.found, found.logged.searched, found.logged.is_whole) == (1, 1, False)
    assert (found.fate, found.is_certain) == (Fate.UNDER_WAY, False)
    told = list(lines(found))
    assert any("search cut off after 1 records" in line for line in told)
    assert "not certain" in told[-1]


async def test_a_place_that_never_answers_is_away(audited: Audited) -> None:
    row = await persisted(audited)
    silent = stalled(audited)
    silent.answers = -1

    async with asyncio.timeout(60):
        found = await tracer(audited, log=silent, timeout_s=1.0).trace(row.id)

    assert Place.LOG in found.away


async def test_a_clientmsgid_leads_to_every_message_of_its_name(audited: Audited) -> None:
    row = await persisted(audited)
    other = message(client_msg_id="a", content="another body")
    await audited.service.store.apply([other])
    asking = tracer(audited)

    named = await asking.ids_of((row.from_user_id, "a"))

    assert named.message_ids == (row.id, other.id)
    assert named.away == ()
    assert (await asking.ids_of((row.from_user_id, "b"))).message_ids == ()
    audited.service.store.down = True
    named = await asking.ids_of((row.from_user_id, "a"))
    assert (named.message_ids, named.away) == ((row.id,), (Place.STORE,))
    audited.service.cache.down = True
    named = await asking.ids_of((row.from_user_id, "a"))
    assert (named.message_ids, named.away) == ((), (Place.CACHE, Place.STORE))
