"""Check that a decision on a dead letter reaches the log, is noted, and can be repeated."""

from __future__ import annotations

from dataclasses import replace

import pytest

from messaging.domain.errors import TemporarilyUnavailable
from messaging.domain.events import encode_event
from messaging.domain.requests import Ack
from messaging.ports.store import DeadLetter, DeadLetterState
from messaging.service.dead_letters import discard, replay
from tests.support.memory import MemoryService, message


@pytest.fixture
def service() -> MemoryService:
    return MemoryService()


async def refused(service: MemoryService, count: int = 1) -> list[DeadLetter]:
    """Return dead letters of messages that the database refused; from now on it accepts them."""
    service.store.refuses = lambda m: True
    for _ in range(count):
        await service.acceptor.accept(message(), ack=Ack.LOG)
    await service.consume()
    service.store.refuses = lambda m: False
    assert len(service.store.dead_letters) == count
    return service.store.dead_letters[:]


async def test_a_replayed_message_is_persisted_when_its_reason_is_gone(
    service: MemoryService,
) -> None:
    (letter,) = await refused(service)

    assert await replay(service.backends, [letter]) == [letter]
    await service.consume()

    assert letter.message_id in service.store.rows
    assert service.store.settled == {letter.source: DeadLetterState.REPLAYED}


async def test_a_replay_that_is_repeated_stores_the_message_once(service: MemoryService) -> None:
    (letter,) = await refused(service)

    for _ in range(2):
        await replay(service.backends, [letter])
    await service.consume()

    assert [row.seq for row in service.store.rows.values()] == [1]


async def test_a_record_that_is_refused_again_becomes_another_letter(
    service: MemoryService,
) -> None:
    letter = DeadLetter("im-message-private", 3, "7", b"1_2", b"not json", "unreadable", "not JSON")
    await service.store.save_dead_letters([letter])

    await replay(service.backends, [letter])
    await service.consume()

    first, second = service.store.dead_letters
    assert (first.value, second.value) == (b"not json", b"not json")
    assert first.source != second.source
    assert second.source not in service.store.settled


async def test_a_recalled_message_stays_recalled_when_its_letter_is_replayed(
    service: MemoryService,
) -> None:
    (letter,) = await refused(service)
    sent = message()
    letter = replace(letter, value=encode_event(sent), message_id=sent.id)
    await service.store.apply([sent.recalled(sent.send_time + 1)])

    await replay(service.backends, [letter])
    await service.consume()

    assert service.store.rows[sent.id].content == ""


async def test_what_the_log_does_not_take_stays_open(service: MemoryService) -> None:
    letters = await refused(service, 2)
    service.broker.down = True

    assert await replay(service.backends, letters) == []

    assert service.store.settled == {}


async def test_a_replay_that_cannot_be_noted_says_so(service: MemoryService) -> None:
    (letter,) = await refused(service)
    service.store.down = True

    with pytest.raises(TemporarilyUnavailable):
        await replay(service.backends, [letter])


async def test_a_discarded_letter_is_kept_and_can_be_replayed_later(service: MemoryService) -> None:
    (letter,) = await refused(service)

    await discard(service.backends, [letter])
    await service.consume()
    assert service.store.settled == {letter.source: DeadLetterState.DISCARDED}
    assert letter.message_id not in service.store.rows

    await replay(service.backends, [letter])
    await service.consume()
    assert letter.message_id in service.store.rows


async def test_discarding_without_the_store_says_so(service: MemoryService) -> None:
    letters = await refused(service)
    service.store.down = True

    with pytest.raises(TemporarilyUnavailable):
        await discard(service.backends, letters)
