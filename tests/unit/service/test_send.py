"""Test sends: permission, the answer to a repeat, and the durability in the receipt."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from messaging.domain.errors import (
    Blocked,
    ClientMsgIdReused,
    GroupNotFound,
    IdsUnavailable,
    NotAMember,
    SendFailed,
    TemporarilyUnavailable,
    TooManyRequests,
    UserNotFound,
)
from messaging.domain.ids import time_of_id
from messaging.domain.message import ChatType, PersistStatus
from messaging.domain.requests import Ack, HistoryRequest
from messaging.pipeline.queued_send import Durability
from messaging.ports.cached import IdempotencyRecord
from messaging.service.history import history
from messaging.service.send import send
from messaging.testing.cache import MemoryCache
from tests.support.memory import (
    ALICE,
    BOB,
    GROUP,
    MALLORY,
    SETTINGS,
    MemoryService,
    to_bob,
    to_group,
    with_bob,
    with_group,
)
from tests.support.messages import make_message


@pytest.fixture
def service() -> MemoryService:
    return MemoryService()


async def listed(service: MemoryService, request: HistoryRequest) -> list[int]:
    page = await history(service.backends, request, reader_id=ALICE)
    return [message.id for message in page.messages]


async def test_a_private_message_is_pending_and_in_the_log(service: MemoryService) -> None:
    receipt = await send(service.backends, to_bob(), sender_id=ALICE)
    assert receipt.persist_status is PersistStatus.PENDING
    assert receipt.durability is Durability.LOG
    assert receipt.conversation_id == "1_2"
    assert receipt.send_time == time_of_id(receipt.message_id) == service.clock.now_ms


@pytest.mark.parametrize("mode", ["async", "sync"])
@pytest.mark.parametrize("step_ms", [3_000, 600_000])
async def test_goes_on_when_the_clock_is_set_back(
    service: MemoryService, step_ms: int, mode: str
) -> None:
    other = service.restarted_with(private_mode=mode)
    sent = [(await send(other.backends, to_bob(), sender_id=ALICE)).message_id]
    service.clock.now_ms -= step_ms
    for _ in range(3):
        sent.append((await send(other.backends, to_bob(), sender_id=ALICE)).message_id)
    assert sent == sorted(set(sent))
    assert await listed(other, with_bob()) == sent[::-1]


async def test_the_conversation_is_the_same_from_both_sides(service: MemoryService) -> None:
    there = await send(service.backends, to_bob(), sender_id=ALICE)
    back = await send(service.backends, to_bob(target_id=ALICE), sender_id=BOB)
    assert there.conversation_id == back.conversation_id


async def test_a_note_to_oneself_is_allowed(service: MemoryService) -> None:
    receipt = await send(service.backends, to_bob(target_id=ALICE), sender_id=ALICE)
    assert receipt.conversation_id == "1_1"


async def test_an_unknown_receiver_is_refused(service: MemoryService) -> None:
    with pytest.raises(UserNotFound):
        await send(service.backends, to_bob(target_id=99), sender_id=ALICE)


@pytest.mark.parametrize("mode", ["async", "sync"])
async def test_who_is_blocked_leaves_no_trace(service: MemoryService, mode: str) -> None:
    other = service.restarted_with(private_mode=mode)
    other.directory.blocks.add((BOB, ALICE))
    with pytest.raises(Blocked):
        await send(other.backends, to_bob(client_msg_id="k"), sender_id=ALICE)
    assert other.cache.details == other.cache.idempotency_records == other.store.rows == {}
    assert other.broker.records == {}


async def test_a_block_is_one_way_and_no_matter_of_groups(service: MemoryService) -> None:
    service = service.restarted_with(group_mode="sync")
    service.directory.blocks.add((BOB, ALICE))
    await send(service.backends, to_bob(target_id=ALICE), sender_id=BOB)
    await send(service.backends, to_bob(), sender_id=MALLORY)
    await send(service.backends, to_group(), sender_id=ALICE)
    # The group's message is in both.
    assert len(service.cache.details) + len(service.store.rows) == 4


@pytest.mark.parametrize("mode", ["async", "sync"])
@pytest.mark.parametrize("known_by", ["cache", "store", "store alone"])
async def test_a_repeat_is_told_the_first_id_though_its_sender_was_blocked_since(
    mode: str, known_by: str
) -> None:
    service = MemoryService().restarted_with(private_mode=mode)
    request = to_bob(client_msg_id="k")
    first = await send(service.backends, request, sender_id=ALICE)
    if known_by != "cache":
        await service.consume()
        service.cache.idempotency_records.clear()
    service.cache.down = known_by == "store alone"
    service.directory.blocks.add((BOB, ALICE))
    again = await send(service.backends, request, sender_id=ALICE)
    assert again.message_id == first.message_id
    for refused in (
        to_bob(),
        to_bob(client_msg_id="l"),
        to_bob("another", client_msg_id="k"),
    ):
        with pytest.raises(Blocked):
            await send(service.backends, refused, sender_id=ALICE)
    assert len(service.cache.details.keys() | service.store.rows) == 1


@pytest.mark.parametrize("mode", ["async", "sync"])
async def test_a_repeat_is_told_the_first_id_though_its_sender_has_left(mode: str) -> None:
    service = MemoryService().restarted_with(group_mode=mode)
    request = to_group(client_msg_id="k")
    first = await send(service.backends, request, sender_id=ALICE)
    service.directory.groups[GROUP].remove(ALICE)
    assert (await send(service.backends, request, sender_id=ALICE)).message_id == first.message_id
    with pytest.raises(NotAMember):
        await send(service.backends, to_group("more", client_msg_id="l"), sender_id=ALICE)
    del service.directory.groups[GROUP]
    waiting = to_group(client_msg_id="k", ack=Ack.STORE)
    again = asyncio.create_task(send(service.backends, waiting, sender_id=ALICE))
    await asyncio.sleep(0.01)
    await service.consume()
    assert (await again).durability is Durability.STORE


async def test_asking_again_and_again_about_what_is_refused_has_a_rate(
    service: MemoryService,
) -> None:
    service = service.restarted_with(send_rate=1, send_burst=2)
    service.directory.blocks.add((BOB, ALICE))
    for _ in range(2):
        with pytest.raises(Blocked):
            await send(service.backends, to_bob(client_msg_id="k"), sender_id=ALICE)
    with pytest.raises(TooManyRequests):
        await send(service.backends, to_bob(client_msg_id="k"), sender_id=ALICE)


@pytest.mark.parametrize("is_cached", [True, False], ids=["shared", "without the cache"])
async def test_a_conversation_may_have_a_rate_for_all_its_senders(is_cached: bool) -> None:
    service = MemoryService().restarted_with(conversation_rate=0.001, conversation_burst=2)
    service.cache.down = not is_cached
    for sender_id in (ALICE, BOB):
        await send(service.backends, to_group(), sender_id=sender_id)
    if is_cached:  # another process counts with this one
        service = service.restarted_with()
    for sender_id in (ALICE, BOB):
        with pytest.raises(TooManyRequests):
            await send(service.backends, to_group(), sender_id=sender_id)
    await send(service.backends, to_bob(), sender_id=ALICE)


async def test_with_the_directory_away_a_private_message_goes_out(service: MemoryService) -> None:
    service.directory.down = True
    await send(service.backends, to_bob(), sender_id=ALICE)
    with pytest.raises(TemporarilyUnavailable):
        await send(service.backends, to_group(), sender_id=ALICE)


async def test_a_group_message_is_stored_before_the_answer(service: MemoryService) -> None:
    service = service.restarted_with(group_mode="sync")
    receipt = await send(service.backends, to_group(), sender_id=ALICE)
    assert receipt.persist_status is PersistStatus.PERSISTED
    assert receipt.durability is Durability.STORE
    assert receipt.message_id in await service.store.get([receipt.message_id])
    assert service.broker.records == {}


async def test_a_group_may_be_asynchronous_and_a_private_chat_synchronous(
    service: MemoryService,
) -> None:
    other = service.restarted_with(private_mode="sync", group_mode="async")
    assert (await send(other.backends, to_bob(), sender_id=ALICE)).durability is Durability.STORE
    assert (await send(other.backends, to_group(), sender_id=ALICE)).durability is Durability.LOG


async def test_only_members_write_to_a_group(service: MemoryService) -> None:
    with pytest.raises(NotAMember):
        await send(service.backends, to_group(), sender_id=MALLORY)
    with pytest.raises(GroupNotFound):
        await send(service.backends, to_group(target_id=99), sender_id=ALICE)


@pytest.mark.parametrize("mode", ["async", "sync"])
async def test_a_repeat_gets_the_first_id_back(service: MemoryService, mode: str) -> None:
    other = service.restarted_with(private_mode=mode)
    request = to_bob(client_msg_id="k")
    first = await send(other.backends, request, sender_id=ALICE)
    again = await send(other.backends, request, sender_id=ALICE)
    assert (again.message_id, again.send_time) == (first.message_id, first.send_time)
    await other.consume()
    assert len(other.store.rows) == 1


async def test_a_repeat_of_a_synchronous_send_that_died_unseen_is_seen(
    service: MemoryService,
) -> None:
    service = service.restarted_with(group_mode="sync")
    assert (await history(service.backends, with_group(), reader_id=BOB)).total == 0
    died = make_message(
        1, to_id=GROUP, chat_type=ChatType.GROUP, content="hello", client_msg_id="k"
    )
    await service.store.apply([died])
    receipt = await send(service.backends, to_group(client_msg_id="k"), sender_id=ALICE)
    page = await history(service.backends, with_group(), reader_id=BOB)
    assert [m.id for m in page.messages] == [receipt.message_id] == [died.id]


@pytest.mark.parametrize("mode", ["async", "sync"])
async def test_a_repeat_of_what_was_stored_without_an_answer_shows_it(
    service: MemoryService, mode: str
) -> None:
    other = service.restarted_with(private_mode=mode)
    await send(other.backends, to_bob(), sender_id=ALICE)
    await other.consume()
    assert len(await listed(other, with_bob())) == 1  # the list is complete by now
    first = make_message(100, content="hello", client_msg_id="k")
    await other.store.apply([first])
    repeat = await send(other.backends, to_bob(client_msg_id="k"), sender_id=ALICE)
    await other.consume()
    assert first.id in await listed(other, with_bob())
    assert mode == "async" or repeat.message_id == first.id


async def test_a_repeat_of_what_is_recorded_and_not_shown_yet_shows_it(
    service: MemoryService,
) -> None:
    service = service.restarted_with(group_mode="sync")
    await send(service.backends, to_group(), sender_id=ALICE)
    assert len(await listed(service, with_group())) == 1
    first = make_message(
        100, content="hello", client_msg_id="k", chat_type=ChatType.GROUP, to_id=GROUP
    )
    await service.store.apply([first])
    await service.cache.add_idempotency_record(first)
    repeat = await send(service.backends, to_group(client_msg_id="k"), sender_id=ALICE)
    assert repeat.message_id == first.id
    assert first.id in await listed(service, with_group())


async def test_a_repeat_of_what_cannot_be_shown_now_is_refused(service: MemoryService) -> None:
    """The sender may have died after the store and before the cache: no reader finds the row."""
    service = service.restarted_with(group_mode="sync")
    first = make_message(
        100, content="hello", client_msg_id="k", chat_type=ChatType.GROUP, to_id=GROUP
    )
    await service.store.apply([first])
    await service.cache.add_idempotency_record(first)
    service.store.delay_s = 1.0
    with pytest.raises(SendFailed):
        await send(service.backends, to_group(client_msg_id="k"), sender_id=ALICE)


async def test_a_repeat_is_refused_where_the_cache_was_lost_after_its_claim_was_found(
    service: MemoryService, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The row may exist where no reader finds it, and neither cache nor store can be asked."""
    service = service.restarted_with(group_mode="sync")
    first = make_message(
        100, content="hello", client_msg_id="k", chat_type=ChatType.GROUP, to_id=GROUP
    )
    await service.store.apply([first])
    await service.cache.add_idempotency_record(first)
    find_idempotency_record = service.cache.find_idempotency_record

    async def find_the_last(user_id: int, client_msg_id: str) -> IdempotencyRecord | None:
        record = await find_idempotency_record(user_id, client_msg_id)
        service.cache.down = service.store.down = True
        return record

    monkeypatch.setattr(MemoryCache, "find_idempotency_record", lambda _, *key: find_the_last(*key))
    with pytest.raises(SendFailed):
        await send(service.backends, to_group(client_msg_id="k"), sender_id=ALICE)


async def test_a_repeat_of_what_this_process_will_show_is_answered_with_nobody_to_ask(
    service: MemoryService,
) -> None:
    service.cache.down = service.store.down = True
    first = await send(service.backends, to_bob(client_msg_id="k"), sender_id=ALICE)
    again = await send(service.backends, to_bob(client_msg_id="k"), sender_id=ALICE)
    assert again.message_id == first.message_id


async def test_what_a_store_that_is_away_made_pending_is_not_stored_under_another_id(
    service: MemoryService,
) -> None:
    service = service.restarted_with(group_mode="sync")
    request = to_group(client_msg_id="k")
    service.store.down = True
    first = await send(service.backends, request, sender_id=ALICE)
    service.store.down = False
    again = await send(service.backends, request, sender_id=ALICE)
    assert again.message_id == first.message_id
    assert service.store.rows == {}
    await service.consume()
    assert [*service.store.rows] == [first.message_id]


async def test_of_two_attempts_at_once_the_one_that_the_cache_knows_counts(
    service: MemoryService,
) -> None:
    service = service.restarted_with(group_mode="sync")
    pending = make_message(
        100, content="hello", client_msg_id="k", chat_type=ChatType.GROUP, to_id=GROUP
    )

    async def accept_soon() -> None:
        await asyncio.sleep(0.02)  # after the send has looked for its idempotency record
        await service.acceptor.accept(pending, ack=Ack.LOG)

    service.store.delay_s = 0.2
    receipt, _ = await asyncio.gather(
        send(service.backends, to_group(client_msg_id="k"), sender_id=ALICE), accept_soon()
    )
    assert receipt.message_id == pending.id
    await service.consume()
    (row,) = service.store.rows.values()
    assert await listed(service, with_group()) == [row.id]


@pytest.mark.parametrize("mode", ["async", "sync"])
async def test_the_same_client_msg_id_with_another_body_is_refused(
    service: MemoryService, mode: str
) -> None:
    other = service.restarted_with(private_mode=mode)
    await send(other.backends, to_bob(client_msg_id="k"), sender_id=ALICE)
    for changed in (to_bob("other", client_msg_id="k"), to_bob(target_id=3, client_msg_id="k")):
        with pytest.raises(ClientMsgIdReused):
            await send(other.backends, changed, sender_id=ALICE)


async def test_two_senders_may_use_one_client_msg_id(service: MemoryService) -> None:
    one = await send(service.backends, to_bob(client_msg_id="k"), sender_id=ALICE)
    two = await send(service.backends, to_bob(client_msg_id="k"), sender_id=MALLORY)
    assert one.message_id != two.message_id


async def test_parallel_repeats_get_one_id(service: MemoryService) -> None:
    request = to_bob(client_msg_id="k")
    receipts = await asyncio.gather(
        *(send(service.backends, request, sender_id=ALICE) for _ in range(10))
    )
    assert len({receipt.message_id for receipt in receipts}) == 1


async def test_ack_store_waits_until_it_is_stored(service: MemoryService) -> None:
    async def consume_soon() -> None:
        await asyncio.sleep(0.05)
        await service.consume()

    receipt, _ = await asyncio.gather(
        send(service.backends, to_bob(ack=Ack.STORE), sender_id=ALICE), consume_soon()
    )
    assert receipt.durability is Durability.STORE
    assert receipt.persist_status is PersistStatus.PERSISTED


async def test_ack_store_answers_at_its_bound_with_what_was_reached(service: MemoryService) -> None:
    receipt = await send(service.backends, to_bob(ack=Ack.STORE), sender_id=ALICE)
    assert receipt.durability is Durability.LOG
    assert receipt.persist_status is PersistStatus.PENDING


async def test_without_a_worker_id_nothing_is_written(service: MemoryService) -> None:
    service.ids.use(None)
    with pytest.raises(IdsUnavailable):
        await send(service.backends, to_bob(), sender_id=ALICE)
    assert await service.cache.pending_count() == 0


async def test_a_synchronous_send_is_accepted_as_the_others_when_the_store_is_away(
    service: MemoryService,
) -> None:
    service = service.restarted_with(group_mode="sync")
    service.store.down = True
    receipt = await send(service.backends, to_group(), sender_id=ALICE)
    assert receipt.durability is Durability.LOG
    service.store.down = False
    await service.consume()
    assert receipt.message_id in await service.store.get([receipt.message_id])


@pytest.mark.parametrize("ack", list(Ack))
async def test_a_synchronous_send_does_not_wait_for_a_slow_store(ack: Ack) -> None:
    service = MemoryService(replace(SETTINGS, send_timeout_s=0.2, group_mode="sync"))
    service.store.delay_s = 0.3
    receipt = await send(service.backends, to_group(ack=ack), sender_id=ALICE)
    assert receipt.durability is Durability.LOG


async def test_a_synchronous_send_fails_when_nothing_confirms_it(service: MemoryService) -> None:
    service = service.restarted_with(group_mode="sync")
    service.store.down = service.cache.down = service.broker.down = True
    with pytest.raises(SendFailed):
        await send(service.backends, to_group(), sender_id=ALICE)


async def test_a_synchronous_send_without_the_cache_is_listed_once_it_is_back(
    service: MemoryService,
) -> None:
    service = service.restarted_with(group_mode="sync")
    first = await send(service.backends, to_group(), sender_id=ALICE)
    assert await listed(service, with_group()) == [first.message_id]
    service.cache.down = True
    receipt = await send(service.backends, to_group(), sender_id=ALICE)
    assert receipt.durability is Durability.STORE
    service.cache.down = False
    assert await service.hints.breaker.try_now()
    assert await listed(service, with_group()) == [receipt.message_id, first.message_id]
    assert not service.store.hinted
