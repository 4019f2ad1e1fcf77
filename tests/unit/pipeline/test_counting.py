"""Test that the pipeline counts what becomes of messages, once each."""

from __future__ import annotations

from dataclasses import replace

import pytest

from messaging.domain.errors import (
    IdsUnavailable,
    NotAMember,
    QueueFull,
    SendFailed,
    TemporarilyUnavailable,
    TooManyRequests,
    TooMuchPending,
    UserNotFound,
)
from messaging.domain.ids import time_of_id
from messaging.domain.message import Recall
from messaging.domain.rates import Rates
from messaging.domain.requests import Ack
from messaging.metrics import catalogue
from messaging.pipeline import counting
from messaging.pipeline.dead_letters import set_aside
from messaging.ports.store import DeadLetter
from messaging.service.counting import REASONS, count_refused
from messaging.service.history import history
from messaging.service.recall import recall
from messaging.service.send import send
from tests.support.counted import Growth
from tests.support.memory import (
    ALICE,
    MALLORY,
    SETTINGS,
    MemoryService,
    message,
    to_bob,
    to_group,
    with_bob,
)


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch) -> MemoryService:
    service = MemoryService()
    monkeypatch.setattr(counting, "wall_clock_ms", service.clock)
    return service


async def test_counts_accepted_sends_by_durability_and_repeats_apart(
    service: MemoryService,
) -> None:
    sends = Growth(catalogue.sends)
    for _ in range(2):
        await send(service.backends, to_bob(client_msg_id="a"), sender_id=ALICE)
    await send(service.backends, to_group(ack=Ack.CACHE), sender_id=ALICE)
    assert sends.by_labels() == {
        ("private", "log", "new"): 1,
        ("private", "cache", "repeat"): 1,
        ("group", "cache", "new"): 1,
    }


async def test_counts_a_send_as_stored_only_when_its_sender_was_told_so(
    service: MemoryService,
) -> None:
    sends = Growth(catalogue.sends)
    synchronous = service.restarted_with(private_mode="sync")
    await send(synchronous.backends, to_bob(), sender_id=ALICE)
    assert sends.by_labels() == {("private", "store", "new"): 1}


async def test_counts_refused_sends_by_reason(service: MemoryService) -> None:
    accepted, refused = Growth(catalogue.sends), Growth(catalogue.sends_refused)
    with pytest.raises(UserNotFound):
        await send(service.backends, to_bob(target_id=99), sender_id=ALICE)
    with pytest.raises(NotAMember):
        await send(service.backends, to_group(), sender_id=MALLORY)
    fast = MemoryService()
    fast.cache.rates = Rates(rate=0.001, burst=1)
    await send(fast.backends, to_bob(), sender_id=ALICE)
    with pytest.raises(TooManyRequests):
        await send(fast.backends, to_bob(), sender_id=ALICE)
    none = MemoryService(replace(SETTINGS, accept_queue=0))
    with pytest.raises(QueueFull):
        await send(none.backends, to_bob(), sender_id=ALICE)
    full = MemoryService()
    await send(full.backends, to_bob(), sender_id=ALICE)
    full.cache.most_pending_bytes = 1
    with pytest.raises(TooMuchPending):
        await send(full.backends, to_bob(), sender_id=ALICE)
    away = MemoryService()
    away.cache.down = away.broker.down = away.store.down = True
    with pytest.raises(SendFailed):
        await send(away.backends, to_bob(), sender_id=ALICE)
    assert refused.by_labels() == {
        ("not_allowed",): 2,
        ("rate",): 1,
        ("queue",): 1,
        ("pending_full",): 1,
        ("unconfirmed",): 1,
    }
    assert sum(accepted.by_labels().values()) == 2


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (QueueFull(), "queue"),
        (TooManyRequests(2), "rate"),
        (TooMuchPending(), "pending_full"),
        (IdsUnavailable(), "no_id"),
        (TemporarilyUnavailable(), "unconfirmed"),
        (SendFailed(), "unconfirmed"),
        (UserNotFound(), "not_allowed"),
    ],
)
def test_a_refusal_has_one_reason(error: Exception, reason: str) -> None:
    refused = Growth(catalogue.sends_refused)
    count_refused(error)  # type: ignore[arg-type]
    assert refused.by_labels() == {(reason,): 1}


def test_the_kinds_of_refusals_come_before_their_parents() -> None:
    kinds = [kind for kind, _ in REASONS]
    for at, kind in enumerate(kinds):
        assert not any(issubclass(kind, earlier) for earlier in kinds[:at])


async def test_counts_a_group_and_its_steps(service: MemoryService) -> None:
    size, steps = Growth(catalogue.accept_group_size), Growth(catalogue.accept_step_seconds)
    await send(service.backends, to_bob(), sender_id=ALICE)
    assert size.by_labels() == {(): 1}
    assert steps.by_labels() == {("wait",): 1, ("cache",): 1, ("log",): 1}


async def test_counts_the_step_that_goes_to_the_store(service: MemoryService) -> None:
    service.cache.down = service.broker.down = True
    steps = Growth(catalogue.accept_step_seconds)
    lag = Growth(catalogue.persist_lag_seconds)
    await send(service.backends, to_bob(), sender_id=ALICE)
    assert steps.by_labels() == {("wait",): 1, ("cache",): 1, ("log",): 1, ("store",): 1}
    assert lag.by_labels() == {("direct",): 1}


async def test_counts_a_batch_its_rows_and_their_lag(service: MemoryService) -> None:
    for n in range(3):
        await service.acceptor.accept(message(f"{n}"), ack=Ack.LOG)
    rows, batches = Growth(catalogue.rows), Growth(catalogue.batch_rows)
    lag, steps = Growth(catalogue.persist_lag_seconds), Growth(catalogue.batch_step_seconds)
    await service.consume()
    assert rows.by_labels() == {("stored",): 3}
    assert batches.by_labels() == {(): 1}
    assert lag.by_labels() == {("consumer",): 3}
    assert steps.by_labels() == {("poll",): 1, ("store",): 1, ("mark",): 1, ("commit",): 1}


async def test_a_replayed_batch_is_not_counted_as_stored_again(service: MemoryService) -> None:
    await service.acceptor.accept(message(), ack=Ack.LOG)
    await service.consume()
    rows, lag = Growth(catalogue.rows), Growth(catalogue.persist_lag_seconds)
    service.broker.committed.clear()
    service.broker.groups.clear()
    service.consumer = service.new_consumer()
    await service.consume()
    assert rows.by_labels() == {("joined",): 1}
    assert lag.by_labels() == {}


def lag_of(ids: list[int], now_ms: int, monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Return the cell that one count of these ids adds to."""
    monkeypatch.setattr(counting, "wall_clock_ms", lambda: now_ms)
    before = list(catalogue.persist_lag_seconds.cells[("consumer",)])
    counting.count_lag(ids, "consumer")
    after = catalogue.persist_lag_seconds.cells[("consumer",)]
    return [new - old for new, old in zip(after, before, strict=True)]


def test_the_lag_runs_from_the_time_in_the_id(monkeypatch: pytest.MonkeyPatch) -> None:
    known = message()
    edges = list(catalogue.persist_lag_seconds.edges)
    grown = lag_of([known.id, known.id], time_of_id(known.id) + 2_500, monkeypatch)
    assert grown[edges.index(2.5)] == 2
    assert grown[-1] == pytest.approx(5)


def test_a_clock_that_was_set_back_makes_no_negative_lag(monkeypatch: pytest.MonkeyPatch) -> None:
    known = message()
    grown = lag_of([known.id], time_of_id(known.id) - 60_000, monkeypatch)
    assert grown[0] == 1
    assert grown[-1] == 0


async def test_counts_a_repeat_that_the_store_folds_and_a_tombstone(
    service: MemoryService,
) -> None:
    first, again = message("x", client_msg_id="k"), message("x", client_msg_id="k")
    gone = message("y")
    rows = Growth(catalogue.rows)
    tombstone = gone.under(Recall(time_of_id(gone.id) + 5, ALICE))
    await service.compensator()._writes.write([first, again, tombstone])
    assert rows.by_labels() == {("stored",): 1, ("folded",): 1, ("tombstone",): 1}


async def test_counts_refused_states_and_their_letters(service: MemoryService) -> None:
    bad = message("bad")
    service.store.refuses = lambda each: each.id == bad.id
    await service.acceptor.accept(bad, ack=Ack.LOG)
    await service.acceptor.accept(message("good"), ack=Ack.LOG)
    rows, letters = Growth(catalogue.rows), Growth(catalogue.dead_letters)
    await service.consume()
    assert rows.by_labels() == {("stored",): 1, ("refused",): 1}
    assert letters.by_labels() == {("bad_data",): 1}


async def test_a_letter_of_an_unknown_reason_is_counted(service: MemoryService) -> None:
    letters = Growth(catalogue.dead_letters)
    letter = DeadLetter(
        topic="t", partition=0, offset="1", key=b"k", value=b"v", reason="new", error="e"
    )
    await set_aside(
        [letter],
        [],
        topic=SETTINGS.dead_letter_topic,
        log=service.log,
        store=service.store,
        cache=service.cache,
    )
    assert letters.by_labels() == {("other",): 1}


async def test_counts_what_a_sweep_did_and_the_lag_of_what_it_confirmed(
    service: MemoryService,
) -> None:
    stored, stuck = message("stored"), message("stuck")
    service.broker.down = True
    for each in (stored, stuck):
        await service.acceptor.accept(each, ack=Ack.CACHE)
    await service.acceptor.close()
    service.broker.down = False
    await service.store.apply([stored])
    service.clock.now_ms += 60_000
    swept, lag = Growth(catalogue.compensation), Growth(catalogue.persist_lag_seconds)
    await service.compensator().sweep()
    assert swept.by_labels() == {("confirmed",): 1, ("appended",): 1}
    assert lag.by_labels() == {("compensation",): 1}
    await service.consume()
    assert lag.by_labels() == {("compensation",): 1, ("consumer",): 1}


async def test_counts_pages_by_where_they_came_from(service: MemoryService) -> None:
    await send(service.backends, to_bob(), sender_id=ALICE)
    await service.consume()
    pages = Growth(catalogue.pages)
    await history(service.backends, with_bob(), reader_id=ALICE)
    assert pages.by_labels() == {("store", "no"): 1}  # the cached tail is filled
    await history(service.backends, with_bob(), reader_id=ALICE)
    assert pages.by_labels() == {("store", "no"): 1, ("cache", "no"): 1}
    service.cache.down = True
    pages = Growth(catalogue.pages)
    await history(service.backends, with_bob(), reader_id=ALICE)
    assert pages.by_labels() == {("store", "yes"): 1}


async def test_a_recall_is_no_new_message(service: MemoryService) -> None:
    receipt = await send(service.backends, to_bob(), sender_id=ALICE)
    await service.consume()
    rows, lag = Growth(catalogue.rows), Growth(catalogue.persist_lag_seconds)
    await recall(service.backends, receipt.message_id, user_id=ALICE)
    await service.consume()
    assert set(rows.by_labels()) == {("tombstone",)}
    assert lag.by_labels() == {}
