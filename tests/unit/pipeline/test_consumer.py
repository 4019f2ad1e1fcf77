"""Check that the consumer stores, then marks in the cache, then commits, whatever fails between."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

import pytest
from msgspec import structs

from messaging.domain.events import encode_event
from messaging.domain.message import PersistStatus, Recall
from messaging.domain.requests import Ack
from messaging.pipeline.consumer import TooManyDeadLetters
from messaging.ports.log import OutgoingRecord, Record
from messaging.service.history import history
from messaging.service.send import send
from tests.support.memory import ALICE, NOW_MS, MemoryService, message, to_bob, with_bob


@pytest.fixture
def service() -> MemoryService:
    return MemoryService()


async def append(service: MemoryService, *values: bytes, key: bytes = b"1_2") -> None:
    records = [OutgoingRecord(key=key, value=value) for value in values]
    for future in await service.log.append(service.settings.topic, records):
        await future


def committed(service: MemoryService) -> int:
    return sum(service.broker.committed.values())


async def test_a_batch_is_stored_marked_and_committed(service: MemoryService) -> None:
    sent = [message(f"turn {n}") for n in range(5)]
    for one in sent:
        await service.acceptor.accept(one, ack=Ack.LOG)
    await service.consume()
    rows = await service.store.get([m.id for m in sent])
    assert [rows[m.id].seq for m in sent] == [1, 2, 3, 4, 5]
    assert [rows[m.id].content for m in sent] == [m.content for m in sent]
    cached = await service.cache.get([m.id for m in sent])
    assert {m.persist_status for m in cached.values()} == {PersistStatus.PERSISTED}
    assert await service.cache.pending_count() == 0
    assert committed(service) == 5


async def test_a_record_is_not_committed_while_the_store_is_away(service: MemoryService) -> None:
    await append(service, encode_event(message()))
    service.store.down = True
    step = asyncio.create_task(service.consumer.step())
    await asyncio.sleep(0.3)
    assert not step.done()
    assert committed(service) == 0
    service.store.down = False
    await step
    assert committed(service) == 1


async def test_a_stop_while_holding_commits_nothing_and_loses_nothing(
    service: MemoryService,
) -> None:
    sent = message()
    await append(service, encode_event(sent))
    service.store.down = True
    run = asyncio.create_task(service.consumer.run())
    await asyncio.sleep(0.2)
    service.consumer.stop.set()
    await asyncio.wait_for(run, 5)
    assert committed(service) == 0
    service.store.down = False
    service.consumer = service.new_consumer()
    await service.consume()
    assert sent.id in await service.store.get([sent.id])


async def test_a_store_that_answers_late_keeps_the_membership(service: MemoryService) -> None:
    service.broker.max_poll_interval_s = 1.5
    service.store.delay_s = 2.5
    await append(service, encode_event(message()))
    await service.consumer.step()
    assert committed(service) == 1


async def test_while_the_cache_is_away_it_stores_on_and_commits_later(
    service: MemoryService,
) -> None:
    sent = [message(f"{n}") for n in range(3)]
    for one in sent:
        await service.acceptor.accept(one, ack=Ack.LOG)
    service.cache.down = True
    await service.consume()
    assert len(await service.store.get([m.id for m in sent])) == 3
    assert committed(service) == 0
    service.cache.down = False
    await service.consume()
    assert committed(service) == 3
    assert await service.cache.pending_count() == 0


async def test_what_the_log_did_not_let_it_commit_is_committed_though_nothing_follows(
    service: MemoryService,
) -> None:
    await append(service, encode_event(message()))
    commit = service.consumer.reader.commit

    async def broken_off(last: Mapping[int, Record]) -> None:
        service.broker.down = True
        await commit(last)

    service.consumer.reader.commit = broken_off  # type: ignore[method-assign]
    await service.consumer.step()
    service.broker.down = False
    service.consumer.reader.commit = commit  # type: ignore[method-assign]
    assert committed(service) == 0
    assert await service.consumer.step() == 1
    assert committed(service) == 1


async def test_poison_goes_to_the_dead_letters_and_its_neighbours_are_stored(
    service: MemoryService,
) -> None:
    good = [message(), message()]
    await append(service, encode_event(good[0]), b"not json", b"", encode_event(good[1]))
    await service.consume()
    assert len(await service.store.get([m.id for m in good])) == 2
    assert [letter.value for letter in service.store.dead_letters] == [b"not json", b""]
    assert committed(service) == 4
    dead = [r for (t, _), rs in service.broker.records.items() if "dead" in t for r in rs]
    assert [record.value for record in dead] == [b"not json", b""]
    assert dict(dead[0].headers)["reason"] == b"unreadable"


class TestAnEventOfANewerRelease:
    """The web processes were upgraded before the consumers."""

    NEWER = b'{"v":3,"what":"nobody here knows"}'

    async def test_holds_its_partition_and_no_other(self, service: MemoryService) -> None:
        before, after, elsewhere = message(), message(), message()
        await append(service, encode_event(before), self.NEWER, encode_event(after))
        await append(service, encode_event(elsewhere), key=b"g7")
        await service.consume()
        await append(service, encode_event(message()))
        await service.consume()
        assert set(service.store.rows) == {before.id, elsewhere.id}
        assert committed(service) == 2
        await service.hints.heartbeat()
        assert service.hints.has_held
        assert service.store.dead_letters == []

    async def test_waits_for_a_consumer_of_that_release(
        self, service: MemoryService, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        later = message()
        newer = encode_event(later).replace(b'{"v":1,', b'{"v":3,')
        await append(service, newer)
        await service.consume()
        await service.consumer.reader.close()
        monkeypatch.setattr("messaging.domain.events.VERSION", 3)
        service.consumer = service.new_consumer()
        await service.consume()
        assert set(service.store.rows) == {later.id}
        assert committed(service) == 1

    async def test_is_looked_at_again_after_a_while(
        self, service: MemoryService, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The partition looks as if another consumer had taken it and given it back."""
        later = message()
        await append(service, self.NEWER, encode_event(later))
        await service.consume()
        ((topic, partition),) = service.broker.records
        service.broker.committed[service.settings.consumer_group, topic, partition] = 1
        monkeypatch.setattr(service.consumer, "_reread_held_s", 0.0)
        await service.consume()
        assert set(service.store.rows) == {later.id}

    async def test_is_garbage_when_it_only_looks_like_one(self, service: MemoryService) -> None:
        good = message()
        garbage = [b'{"v":0}', b'{"v":"2"}', b'{"v":1}', b'[{"v":2}]', b'{"v":2', b'{"v":1000}']
        await append(service, *garbage, encode_event(good))
        await service.consume()
        assert set(service.store.rows) == {good.id}
        assert [letter.value for letter in service.store.dead_letters] == garbage


async def test_refused_data_is_bisected_until_it_is_alone(service: MemoryService) -> None:
    sent = [message(f"{n}") for n in range(16)]
    service.store.refuses = lambda m: m.content in ("3", "11")
    await append(service, *(encode_event(m) for m in sent))
    await service.consume()
    assert len(await service.store.get([m.id for m in sent])) == 14
    assert {d.message_id for d in service.store.dead_letters} == {sent[3].id, sent[11].id}
    assert committed(service) == 16


async def test_a_dead_letter_is_no_longer_pending(service: MemoryService) -> None:
    await service.acceptor.accept(message("bad"), ack=Ack.LOG)
    service.store.refuses = lambda m: True
    await service.consume()
    assert await service.cache.pending_count() == 0


async def test_dead_letters_wait_for_their_topic_before_the_commit(service: MemoryService) -> None:
    await append(service, b"poison")
    original = service.log.append

    async def refused(topic, records):  # type: ignore[no-untyped-def]
        if topic == service.settings.dead_letter_topic:
            service.broker.down = True
        try:
            return await original(topic, records)
        finally:
            service.broker.down = False

    service.log.append = refused  # type: ignore[method-assign]
    step = asyncio.create_task(service.consumer.step())
    await asyncio.sleep(0.3)
    assert (step.done(), committed(service)) == (False, 0)
    service.log.append = original  # type: ignore[method-assign]
    await step
    assert committed(service) == 1


async def test_a_dead_letter_that_its_topic_has_no_room_for_is_whole_in_the_store_alone(
    service: MemoryService,
) -> None:
    # With its key the record is as large as the log takes.
    poison = b"x" * (service.broker.max_record_bytes - 3)
    await append(service, poison)
    service.broker.max_record_bytes -= 200  # the memory log does not count headers
    await service.consumer.step()
    assert [letter.value for letter in service.store.dead_letters] == [poison]
    topic = service.settings.dead_letter_topic
    kept = [
        r for (name, _), found in service.broker.records.items() for r in found if name == topic
    ]
    assert [(r.value, dict(r.headers)["source-offset"]) for r in kept] == [(b"", b"0")]
    assert committed(service) == 1


async def test_too_many_dead_letters_in_a_row_stop_it_before_they_are_set_aside(
    service: MemoryService,
) -> None:
    await append(service, *[b"poison"] * 4)
    with pytest.raises(TooManyDeadLetters):
        await service.consumer.run()
    assert (committed(service), service.store.dead_letters) == (0, [])


async def test_a_recall_mark_makes_the_tombstone_the_first_thing_stored(
    service: MemoryService,
) -> None:
    sent = message("secret")
    await service.acceptor.accept(sent, ack=Ack.LOG)
    await service.cache.set_recall_mark(sent.id, Recall(NOW_MS))
    await service.consume()
    row = (await service.store.get([sent.id]))[sent.id]
    assert (row.is_recalled, row.content, row.seq) == (True, "", 1)


async def test_a_full_replay_changes_nothing(service: MemoryService) -> None:
    sent = [message(f"{n}") for n in range(4)]
    await append(service, *(encode_event(m) for m in sent))
    await append(service, encode_event(sent[1].recalled(NOW_MS)))
    await service.consume()
    before = await service.store.get([m.id for m in sent])
    service.broker.committed.clear()
    service.consumer = service.new_consumer()
    service.broker.groups.clear()
    service.consumer = service.new_consumer()
    await service.consume()
    assert await service.store.get([m.id for m in sent]) == before


async def test_a_repeated_send_that_redis_forgot_is_deduplicated_into_the_first(
    service: MemoryService,
) -> None:
    first = message(client_msg_id="k")
    repeat = message(client_msg_id="k")
    await service.acceptor.accept(first, ack=Ack.LOG)
    await service.consume()
    await append(service, encode_event(repeat))
    await service.consume()
    assert list(await service.store.get([first.id, repeat.id])) == [first.id]
    assert await service.store.find([repeat.id]) == {repeat.id: service.store.rows[first.id]}
    assert service.store.dead_letters == []


@pytest.mark.parametrize("by_cache", [True, False])
async def test_the_first_of_a_deduplicated_send_is_listed_though_nobody_told_the_cache(
    service: MemoryService, by_cache: bool
) -> None:
    first, repeat = message(client_msg_id="k"), message(client_msg_id="k")
    await service.acceptor.accept(message(), ack=Ack.LOG)
    await service.consume()
    await history(service.backends, with_bob(), reader_id=ALICE)
    await service.store.apply([first])
    if by_cache:
        await service.acceptor.accept(repeat, ack=Ack.LOG)
    else:
        await append(service, encode_event(repeat))
    await service.consume()
    page = await history(service.backends, with_bob(), reader_id=ALICE)
    assert page.total == 2
    assert first.id in {one.id for one in page.messages}


async def test_an_id_that_belongs_to_another_message_is_a_dead_letter(
    service: MemoryService,
) -> None:
    first = message("mine")
    other = message("yours", id=first.id, from_user_id=9, conversation_id="2_9")
    await append(service, encode_event(first))
    await service.consume()
    await append(service, encode_event(other))
    await service.consume()
    assert (await service.store.get([first.id]))[first.id].content == "mine"
    assert [d.reason for d in service.store.dead_letters] == ["id_conflict"]


async def test_two_messages_with_one_id_in_one_batch_are_not_merged(service: MemoryService) -> None:
    first = message("mine")
    other = message("yours", id=first.id, from_user_id=9)
    await append(service, encode_event(first), encode_event(other.recalled(NOW_MS)))
    await service.consume()
    row = (await service.store.get([first.id]))[first.id]
    assert (row.content, row.is_recalled) == ("mine", False)
    assert [d.reason for d in service.store.dead_letters] == ["id_conflict"]


async def test_it_waits_out_a_log_that_is_away(service: MemoryService) -> None:
    sent = message()
    await append(service, encode_event(sent))
    service.broker.down = True
    run = asyncio.create_task(service.consumer.run())
    await asyncio.sleep(0.3)
    service.broker.down = False
    async with asyncio.timeout(5):
        while not await service.store.get([sent.id]):
            await asyncio.sleep(0.05)
    service.consumer.stop.set()
    await run


async def test_another_message_under_a_used_client_msg_id_is_kept(service: MemoryService) -> None:
    """The second message was acknowledged while the cache had lost the first one's record."""
    first = message("one", client_msg_id="c")
    other = structs.replace(message("another", client_msg_id="c"), body_hash="another")
    await append(service, encode_event(first))
    await append(service, encode_event(other))
    await service.consume()
    assert [row.content for row in service.store.rows.values()] == ["one", "another"]
    assert service.store.dead_letters == []
    assert await service.cache.pending_count() == 0


async def test_what_a_client_does_never_stops_the_consumer(service: MemoryService) -> None:
    """Each clientMsgId is reused for another text after its record was lost; all answer 200."""
    more = service.settings.dead_letters_in_a_row + 5
    for text in ("one", "two"):
        for n in range(more):
            request = to_bob(f"{text} {n}", client_msg_id=f"k{n}")
            receipt = await send(service.backends, request, sender_id=ALICE)
            assert receipt.client_msg_id == f"k{n}"
        await service.consume()
        service.cache.idempotency_records.clear()
    assert len(service.store.rows) == 2 * more
    assert service.store.dead_letters == []
