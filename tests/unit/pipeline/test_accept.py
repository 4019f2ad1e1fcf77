"""Test the group commit: an answer says what was confirmed; neighbours do not hurt each other."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest
from msgspec import structs

from messaging.domain.backend_errors import LeaseLost
from messaging.domain.errors import RightsDoubted, SendFailed, TooManyRequests
from messaging.domain.ids import WorkerLease, node_of_id, time_of_id
from messaging.domain.message import ChatType, Message
from messaging.domain.requests import Ack
from messaging.pipeline import accept
from messaging.pipeline.queued_send import Durability, QueuedSend
from messaging.ports.cached import IdempotencyRecord
from tests.support.memory import GROUP, SETTINGS, MemoryService, message
from tests.support.messages import make_message


@pytest.fixture
def service() -> MemoryService:
    return MemoryService()


async def test_a_message_in_cache_and_log_is_durable_in_the_log(service: MemoryService) -> None:
    accepted = await service.acceptor.accept(message(), ack=Ack.LOG)
    assert accepted.durability is Durability.LOG
    assert accepted.message.id in await service.cache.get([accepted.message.id])


async def test_ack_cache_answers_before_the_log(service: MemoryService) -> None:
    service.broker.down = True
    accepted = await service.acceptor.accept(message(), ack=Ack.CACHE)
    assert accepted.durability is Durability.CACHE


async def test_without_the_log_the_cache_is_told(service: MemoryService) -> None:
    service.broker.down = True
    accepted = await service.acceptor.accept(message(), ack=Ack.LOG)
    assert accepted.durability is Durability.CACHE
    assert await service.cache.pending_count() == 1


async def test_without_the_cache_the_log_is_told(service: MemoryService) -> None:
    service.cache.down = True
    accepted = await service.acceptor.accept(message(), ack=Ack.LOG)
    assert accepted.durability is Durability.LOG


async def test_without_both_the_store_is_written(service: MemoryService) -> None:
    service.cache.down = service.broker.down = True
    accepted = await service.acceptor.accept(message(), ack=Ack.LOG)
    assert accepted.durability is Durability.STORE
    assert accepted.message.id in await service.store.get([accepted.message.id])


async def test_callers_who_all_went_away_make_no_group(
    service: MemoryService, caplog: pytest.LogCaptureFixture
) -> None:
    service.cache.down = True
    calls = [asyncio.create_task(service.acceptor.accept(message(), ack=Ack.LOG)) for _ in "ab"]
    await asyncio.sleep(0)
    for call in calls:
        call.cancel()
    await asyncio.gather(*calls, return_exceptions=True)
    await service.acceptor.close()
    assert "a group failed" not in caplog.messages


async def test_without_any_the_send_fails(service: MemoryService) -> None:
    service.cache.down = service.broker.down = service.store.down = True
    with pytest.raises(SendFailed):
        await service.acceptor.accept(message(), ack=Ack.LOG)


async def test_without_the_cache_a_repeat_is_told_what_its_first_is_told(
    service: MemoryService,
) -> None:
    service.cache.down = True
    service.broker.down = True
    first, repeat = message(client_msg_id="c"), message(client_msg_id="c")
    told = await asyncio.gather(*(service.acceptor.accept(m, ack=Ack.LOG) for m in (first, repeat)))
    assert [t.durability for t in told] == [Durability.STORE] * 2
    assert told[1].repeats == IdempotencyRecord(first.id, first.body_hash)
    assert list(service.store.rows) == [first.id]


async def test_without_any_a_repeat_fails_with_its_first(service: MemoryService) -> None:
    service.cache.down = service.broker.down = service.store.down = True
    sends = [service.acceptor.accept(message(client_msg_id="c"), ack=Ack.LOG) for _ in range(3)]
    told = await asyncio.gather(*sends, return_exceptions=True)
    assert [type(each) for each in told] == [SendFailed] * 3


async def test_many_sends_share_few_trips(service: MemoryService) -> None:
    trips = 0
    accept = service.cache.accept

    async def counted(messages, lease, **options):  # type: ignore[no-untyped-def]
        nonlocal trips
        trips += 1
        await asyncio.sleep(0)
        return await accept(messages, lease, **options)

    service.acceptor.commit.cache = _Replaced(service.cache, accept=counted)  # type: ignore[assignment]
    await asyncio.gather(*(service.acceptor.accept(message(), ack=Ack.LOG) for _ in range(500)))
    assert trips <= 500 / 256 + 3
    assert await service.cache.pending_count() == 500


class TestAGroup:
    @pytest.fixture
    def sizes(self, service: MemoryService) -> list[int]:
        """The sizes of the groups that the service commits."""
        sizes: list[int] = []
        run = service.acceptor.commit.run

        async def counted(group: list[QueuedSend]) -> None:
            sizes.append(len(group))
            await run(group)

        service.acceptor.commit = _Replaced(service.acceptor.commit, run=counted)  # type: ignore[assignment]
        return sizes

    async def test_waits_under_load_for_as_many_sends_as_the_group_before(
        self, service: MemoryService, sizes: list[int], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(accept, "GATHER_S", 30.0)
        await asyncio.gather(*(self.send(service) for _ in range(3)))
        late = []
        for _ in range(3):
            late.append(asyncio.create_task(self.send(service)))
            await asyncio.sleep(0.02)
        async with asyncio.timeout(10):
            await asyncio.gather(*late)
        assert sizes == [3, 3]

    async def test_waits_for_a_moment_only(
        self, service: MemoryService, sizes: list[int], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(accept, "GATHER_S", 0.05)
        await asyncio.gather(*(self.send(service) for _ in range(3)))
        async with asyncio.timeout(10):
            await self.send(service)
        assert sizes == [3, 1]

    async def test_waits_for_none_when_the_service_was_idle(
        self, service: MemoryService, sizes: list[int], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        await asyncio.gather(*(self.send(service) for _ in range(3)))
        await asyncio.sleep(2 * accept.GATHER_S)
        calls: list[object] = []
        monkeypatch.setattr(service.acceptor._gathered, "wait", lambda: calls.append("waits"))
        await self.send(service)
        assert (sizes, calls) == ([3, 1], [])

    async def test_that_is_held_up_lets_the_next_one_go(self, service: MemoryService) -> None:
        held_up = asyncio.Event()
        append = service.log.append

        async def slow_once(topic, records):  # type: ignore[no-untyped-def]
            if not held_up.is_set():
                held_up.set()
                await asyncio.sleep(30)
            return await append(topic, records)

        service.acceptor.commit.log = _Replaced(service.log, append=slow_once)  # type: ignore[assignment]
        first = asyncio.create_task(self.send(service))
        await held_up.wait()
        async with asyncio.timeout(10):
            await self.send(service)
        assert not first.done()
        first.cancel()
        for task in service.acceptor._tasks:
            task.cancel()

    async def send(self, service: MemoryService) -> None:
        await service.acceptor.accept(message(), ack=Ack.LOG)


async def test_a_full_queue_refuses_and_nothing_is_written() -> None:
    service = MemoryService(replace(SETTINGS, accept_queue=5, accept_group=1))
    sends = [service.acceptor.accept(message(), ack=Ack.LOG) for _ in range(20)]
    outcomes = await asyncio.gather(*sends, return_exceptions=True)
    refused = [o for o in outcomes if isinstance(o, TooManyRequests)]
    assert len(refused) == 20 - 5
    assert await service.cache.pending_count() == 5


async def test_a_request_that_goes_away_leaves_its_neighbours_alone(service: MemoryService) -> None:
    sends = [asyncio.create_task(service.acceptor.accept(message(), ack=Ack.LOG)) for _ in "abc"]
    await asyncio.sleep(0)
    sends[1].cancel()
    outcomes = await asyncio.gather(*sends, return_exceptions=True)
    assert [type(o).__name__ for o in outcomes] == ["Accepted", "CancelledError", "Accepted"]


async def test_an_oversized_record_is_kept_by_its_pending_mark_alone(
    service: MemoryService,
) -> None:
    service.broker.max_record_bytes = 2_000
    small, large = await asyncio.gather(
        service.acceptor.accept(message(), ack=Ack.LOG),
        service.acceptor.accept(message("x" * 3_000), ack=Ack.LOG),
    )
    assert (small.durability, large.durability) == (Durability.LOG, Durability.CACHE)


async def test_a_lost_lease_means_a_new_id_and_one_message(service: MemoryService) -> None:
    lost = iter([True])
    accept = service.cache.accept

    async def fenced(messages, lease, **options):  # type: ignore[no-untyped-def]
        if next(lost, False):
            raise LeaseLost
        return await accept(messages, lease, **options)

    service.acceptor.commit.cache = _Replaced(service.cache, accept=fenced)  # type: ignore[assignment]
    first = message()
    accepted = await service.acceptor.accept(first, ack=Ack.LOG)
    assert accepted.message.id != first.id
    assert service.leases_taken == 1
    await service.consume()
    assert list(await service.store.get([first.id, accepted.message.id])) == [accepted.message.id]


async def test_ids_of_an_earlier_lease_are_not_accepted_under_another(
    service: MemoryService,
) -> None:
    first = message()
    # The lease changes while the message waits.
    service.ids.use(WorkerLease(node=5, owner="me", valid_until_s=float("inf"), fenced=True))
    accepted = await service.acceptor.accept(first, ack=Ack.LOG)
    assert node_of_id(accepted.message.id) == 5
    assert accepted.message.send_time == time_of_id(accepted.message.id)
    await service.consume()
    assert list(await service.store.get([first.id, accepted.message.id])) == [accepted.message.id]


async def test_without_a_lease_one_is_taken_before_anything_is_written(
    service: MemoryService,
) -> None:
    service.ids.use(None)
    accepted = await service.acceptor.accept(message(), ack=Ack.LOG)
    assert service.leases_taken == 1
    assert node_of_id(accepted.message.id) == 1


async def test_a_repeat_answers_with_the_first_and_is_not_appended(service: MemoryService) -> None:
    one = message(client_msg_id="k")
    two = message(client_msg_id="k")
    await service.acceptor.accept(one, ack=Ack.LOG)
    accepted = await service.acceptor.accept(two, ack=Ack.LOG)
    assert accepted.repeats is not None
    assert accepted.repeats.message_id == one.id
    assert sum(map(len, service.broker.records.values())) == 1


async def test_a_repeat_is_found_in_the_store_when_the_cache_is_away(
    service: MemoryService,
) -> None:
    one = message(client_msg_id="k")
    await service.acceptor.accept(one, ack=Ack.LOG)
    await service.consume()
    service.cache.down = True
    accepted = await service.acceptor.accept(message(client_msg_id="k"), ack=Ack.LOG)
    assert accepted.repeats is not None
    assert accepted.repeats.message_id == one.id


class _Replaced:
    """Wrap a port and replace some of its methods."""

    def __init__(self, port: object, **methods: object) -> None:
        self._port = port
        self.__dict__.update(methods)

    def __getattr__(self, name: str) -> object:
        return getattr(self._port, name)


async def test_without_the_cache_a_sender_is_held_to_the_rate_of_this_process() -> None:
    service = MemoryService(replace(SETTINGS, send_rate=1.0, send_burst=2))
    service.cache.down = True
    for _ in range(2):
        assert (await service.acceptor.accept(message(), ack=Ack.LOG)).durability is Durability.LOG
    with pytest.raises(TooManyRequests) as refused:
        await service.acceptor.accept(message(), ack=Ack.LOG)
    assert refused.value.retry_after_s == 1
    assert sum(map(len, service.broker.records.values())) == 2


async def test_a_message_that_cannot_be_encoded_fails_alone(service: MemoryService) -> None:
    bad = structs.replace(message(), content="half of a pair: \ud800")
    outcomes = await asyncio.gather(
        *(service.acceptor.accept(m, ack=Ack.LOG) for m in (message(), bad, message())),
        return_exceptions=True,
    )
    assert [isinstance(outcome, UnicodeEncodeError) for outcome in outcomes] == [False, True, False]


async def test_a_message_that_the_store_refuses_fails_alone(service: MemoryService) -> None:
    service.cache.down = service.broker.down = True
    service.store.refuses = lambda m: m.content == "poison"
    sent = [message(), message("poison"), message()]
    outcomes = await asyncio.gather(
        *(service.acceptor.accept(m, ack=Ack.LOG) for m in sent), return_exceptions=True
    )
    assert [isinstance(outcome, SendFailed) for outcome in outcomes] == [False, True, False]
    assert set(await service.store.get([m.id for m in sent])) == {sent[0].id, sent[2].id}


async def test_a_group_that_breaks_leaves_the_next_its_turn(service: MemoryService) -> None:
    service.acceptor.settings = replace(SETTINGS, accept_group=1)
    broken = iter([True])
    accept = service.cache.accept

    async def breaking(messages, lease, **options):  # type: ignore[no-untyped-def]
        if next(broken, False):
            raise ZeroDivisionError
        return await accept(messages, lease, **options)

    service.acceptor.commit.cache = _Replaced(service.cache, accept=breaking)  # type: ignore[assignment]
    outcomes = await asyncio.gather(
        *(service.acceptor.accept(message(), ack=Ack.LOG) for _ in range(3)),
        return_exceptions=True,
    )
    assert [isinstance(outcome, SendFailed) for outcome in outcomes] == [True, False, False]


class TestAGroupsMessage:
    @pytest.fixture
    def said(self) -> Message:
        return make_message(1, to_id=GROUP, chat_type=ChatType.GROUP, client_msg_id="k")

    async def test_is_refused_by_a_newer_score_with_nothing_written(
        self, service: MemoryService, said: Message
    ) -> None:
        await service.cache.distrust(said.conversation_id, [said.from_user_id])
        private = service.acceptor.accept(message(), ack=Ack.LOG)
        doubted = service.acceptor.accept(said, ack=Ack.LOG, asked_after=0)
        results = await asyncio.gather(private, doubted, return_exceptions=True)
        doubt = results[1]
        assert isinstance(doubt, RightsDoubted)
        assert doubt.score > 0
        assert said.id not in service.cache.details
        assert sum(map(len, service.broker.records.values())) == 1
        accepted = await service.acceptor.accept(said, ack=Ack.LOG, asked_after=doubt.score)
        assert accepted.durability is Durability.LOG

    async def test_is_refused_without_the_cache_until_the_database_was_asked(
        self, service: MemoryService, said: Message
    ) -> None:
        service.cache.down = True
        with pytest.raises(RightsDoubted) as doubt:
            await service.acceptor.accept(said, ack=Ack.LOG, asked_after=9)
        assert (doubt.value.score, doubt.value.not_before_ms) == (0, 0)
        assert service.broker.records == {}
        assert service.store.idempotency_records == {}
        accepted = await service.acceptor.accept(said, ack=Ack.LOG, asked_after=9, past_cache=True)
        assert accepted.message == said
