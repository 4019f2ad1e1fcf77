"""Check what holds for every message from its send to its row, on real parts.

Redis may lose whatever it may lose (`forget`), everybody writes at once, the database is away.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace

import pytest
import redis
from django.contrib.auth import get_user_model

from messaging.cache import keys
from messaging.conf import settings
from messaging.domain.errors import IdsUnavailable
from messaging.domain.events import encode_event
from messaging.domain.ids import SnowflakeIdGenerator
from messaging.models import Conversation, DeadLetter, Message
from messaging.ports.log import OutgoingRecord
from messaging.runtime import wiring
from messaging.runtime.assembly import compensator, sweep
from messaging.runtime.worker_lease import WorkerLeaseKeeper
from messaging.service.recall import recall
from tests.integration.database import held_conversation
from tests.integration.log_in_redis import lengths, lose_log, positions
from tests.integration.scene import Scene
from tests.support.messages import make_message
from tests.support.service import Service, User, listed, with_settings


class TestASend:
    @with_settings(private_mode="sync")
    async def test_is_heard_on_both_sides_when_two_write_to_each_other_first(
        self, scene: Scene
    ) -> None:
        await self.write_to_each_other(scene)

    async def test_is_heard_on_both_sides_whoever_stores_it(self, scene: Scene) -> None:
        await self.write_to_each_other(scene)

    async def write_to_each_other(self, scene: Scene) -> None:
        alice, bob = next(scene.pairs)
        sends = [scene.sent(*pair) for _ in range(20) for pair in ((alice, bob), (bob, alice))]
        sent = await asyncio.gather(*sends)
        await scene.persist()
        assert await scene.listed(alice, bob, size=100) == sorted(sent, reverse=True)
        assert sorted(row.seq or 0 for row in await scene.rows(*sent)) == list(range(1, 41))

    @pytest.mark.parametrize("mode", ["sync", "async"])
    def test_to_a_group_costs_the_same_however_many_are_in_it(
        self, service: Service, alice: User, bob: User, statements: list[str], mode: str
    ) -> None:
        users = get_user_model().objects
        users.bulk_create([users.model(username=f"member {n}") for n in range(300)])
        everybody = [User(str(pk), alice.client) for pk in users.values_list("pk", flat=True)]
        costs = []
        for members in ((alice, bob), everybody):
            group_id = service.make_group(*members, mode=mode)
            alice.send_to_group(group_id)
            statements.clear()
            assert alice.send_to_group(group_id).status == 200
            costs.append(len(statements))
        assert costs[0] == costs[1]
        assert (costs[0] > 0) is (mode == "sync")

    def test_that_is_repeated_is_one_message_though_redis_forgot_the_first(
        self, service: Service, alice: User, bob: User, forget: Callable[[], None]
    ) -> None:
        first = alice.sent(bob, "once", clientMsgId="c")
        service.persist()
        forget()
        assert alice.send(bob, "once", clientMsgId="c").status == 200
        service.persist()
        assert alice.sent(bob, "once", clientMsgId="c") == first
        for _ in range(2):
            page = bob.history(alice).data
            assert [message["messageId"] for message in page["list"]] == [first]
            assert page["total"] == 1
            forget()

    async def test_under_a_worker_id_that_was_lost_is_one_message_with_another_id(
        self, scene: Scene, redis_url: str
    ) -> None:
        alice, bob = next(scene.pairs)
        lost = scene.backends.ids.lease
        assert lost is not None
        with redis.Redis.from_url(redis_url) as client:
            client.set(keys.worker(lost.node), "somebody else")
            sent = await scene.sent(alice, bob)
            assert client.get(keys.worker(lost.node)) == b"somebody else"
        kept = scene.backends.ids.lease
        assert kept is not None
        assert kept.node != lost.node
        assert sent >> 12 & 1023 == kept.node
        await scene.persist()
        assert await scene.listed(bob, alice) == [sent]

    async def test_never_gets_an_id_that_another_process_may_give(self, scene: Scene) -> None:
        current = replace(settings(), datacenter_id=31)
        cache, store = scene.backends.cache, scene.backends.store
        generators = [SnowflakeIdGenerator() for _ in range(40)]
        keepers = [
            WorkerLeaseKeeper(ids=ids, cache=cache, store=store, settings=current)
            for ids in generators
        ]
        outcomes = await asyncio.gather(*(k.ensure() for k in keepers), return_exceptions=True)
        nodes = [lease.node for ids in generators if (lease := ids.lease)]
        for keeper in keepers:
            await keeper.close()
        own = scene.backends.ids.lease  # of any datacenter, by chance of this one
        free = sorted(set(range(31 * 32, 32 * 32)) - ({own.node} if own else set()))
        assert sorted(nodes) == free
        assert sum(isinstance(outcome, IdsUnavailable) for outcome in outcomes) == 40 - len(free)

    async def test_with_anothers_id_is_set_aside_and_never_mixed_up(self, scene: Scene) -> None:
        alice, bob = next(scene.pairs)
        carol, dave = next(scene.pairs)
        theirs = make_message(1, from_user_id=alice, to_id=bob, content="first")
        other = make_message(1, from_user_id=carol, to_id=dave, content="second")
        for message in (theirs, other):
            record = OutgoingRecord(message.conversation_id.encode(), encode_event(message))
            (future,) = await scene.backends.log.append(settings().topic, [record])
            await future
            await scene.consumer.step()
        assert [m.content for m in await scene.rows(theirs.id)] == ["first"]
        assert await scene.listed(dave, carol) == []
        letter = await asyncio.to_thread(DeadLetter.objects.get)
        assert (letter.reason, bytes(letter.value)) == ("id_conflict", encode_event(other))


class TestAStoredMessage:
    def test_is_known_to_be_stored_when_redis_has_forgotten_it(
        self, service: Service, alice: User, bob: User, forget: Callable[[], None]
    ) -> None:
        message_id = alice.sent(bob, "secret")
        service.persist()
        forget()
        assert Message.objects.get(pk=message_id).persist_status == "PERSISTED"
        assert bob.read(message_id).data["persistStatus"] == "PERSISTED"
        assert alice.recall(message_id).status == 200
        service.persist()
        forget()
        assert bob.read(message_id).data["content"] == ""
        row = Message.objects.get(pk=message_id)
        assert (row.content, row.persist_status) == ("", "PERSISTED")

    async def test_never_moves_its_conversation_back(self, scene: Scene) -> None:
        alice, bob = next(scene.pairs)
        late, newest = [make_message(n, from_user_id=alice, to_id=bob) for n in (1, 2)]
        for message in (newest, late):
            await scene.backends.store.apply([message])
        conversation = await Conversation.objects.aget(pk=newest.conversation_id)
        assert (conversation.last_message_id, conversation.last_seq) == (newest.id, 2)


class TestABatch:
    async def cost(
        self, scene: Scene, count: int, statements: list[str], redis_url: str
    ) -> tuple[int, int]:
        """Return the statements of the database and the trips to Redis for one batch."""
        alice, bob = next(scene.pairs)
        for number in range(count):
            await scene.sent(alice, bob, client_msg_id=f"c{number}")
        statements.clear()
        with redis.Redis.from_url(redis_url) as client:
            client.config_resetstat()
            assert await scene.consumer.step() == count
            calls = client.info("commandstats")
        asked = ("cmdstat_evalsha", "cmdstat_eval", "cmdstat_mget", "cmdstat_xread")
        return len(statements), sum(calls[name]["calls"] for name in asked if name in calls)

    async def test_costs_the_same_however_large_it_is(
        self, scene: Scene, statements: list[str], redis_url: str
    ) -> None:
        # The first batch makes connections and loads scripts.
        await self.cost(scene, 1, statements, redis_url)
        of_two, _ = await self.cost(scene, 2, statements, redis_url)
        of_many, trips = await self.cost(scene, 200, statements, redis_url)
        assert of_two == of_many < 12
        # A trip reads at most 50 records of a partition; now and then one renews leases.
        assert trips < 20

    @with_settings(store_timeout_s=0.5)
    async def test_waits_for_a_database_that_is_blocked_and_is_stored_then(
        self, scene: Scene, redis_url: str
    ) -> None:
        alice, bob = next(scene.pairs)
        await scene.sent(alice, bob)
        await scene.persist()
        sent = await scene.sent(alice, bob)
        with redis.Redis.from_url(redis_url) as client:
            committed = positions(client)
            with held_conversation(f"{alice}_{bob}"):
                step = asyncio.create_task(scene.consumer.step())
                done, _ = await asyncio.wait([step], timeout=1.5)
                assert not done
                assert positions(client) == committed
                assert await scene.backends.cache.pending_count() == 1
            await step
            assert positions(client) != committed
        assert [row.seq for row in await scene.rows(sent)] == [2]
        assert await scene.backends.cache.pending_count() == 0


class TestAPendingMessage:
    """The message was acknowledged; the consumer has been away ever since."""

    def test_is_read_and_stored_when_redis_has_lost_what_it_may_lose(
        self, service: Service, alice: User, bob: User, forget: Callable[[], None]
    ) -> None:
        stored = alice.sent(bob, "before")
        service.persist()
        sent = [alice.sent(bob, f"message {n}") for n in range(30)]
        assert alice.recall(sent[7]).status == 200
        forget()
        for reader, other in ((alice, bob), (bob, alice)):
            page = reader.history(other, size=100)
            assert listed(page) == [*sent[::-1], stored]
            assert page.data["total"] == 31
        assert bob.read(sent[7]).data["content"] == ""
        forget()
        service.persist()
        assert listed(bob.history(alice, size=100)) == [*sent[::-1], stored]

    async def test_is_stored_by_the_sweep_when_the_log_has_lost_it(
        self, scene: Scene, redis_url: str
    ) -> None:
        alice, bob = next(scene.pairs)
        sent = [await scene.sent(alice, bob, f"message {n}") for n in range(3)]
        await recall(scene.backends, sent[1], user_id=alice)
        for _ in range(settings().compensate_attempts + 1):
            with redis.Redis.from_url(redis_url) as client:
                lose_log(client)
            scene.forget()
            await sweep(scene.an_hour_later())
        assert await scene.backends.cache.pending_count() == 0
        rows = await scene.rows(*sent)
        assert [row.content for row in rows] == ["message 0", "", "message 2"]
        assert {row.seq for row in rows} == {1, 2, 3}

    async def test_is_appended_again_once_however_many_sweep(
        self, scene: Scene, redis_url: str
    ) -> None:
        alice, bob = next(scene.pairs)
        for _ in range(5):
            await scene.sent(alice, bob)
        sweeps = [sweep(scene.an_hour_later()) for _ in range(4)]
        done = await asyncio.gather(*sweeps)
        assert sorted(sweep.appended for sweep in done) == [0, 0, 0, 5]
        with redis.Redis.from_url(redis_url) as client:
            assert lengths(client) == [10]

    def test_that_was_deleted_stays_deleted_when_it_is_stored(
        self, service: Service, alice: User, bob: User, forget: Callable[[], None]
    ) -> None:
        hidden, kept = alice.sent(bob), alice.sent(bob)
        assert bob.delete(hidden).status == 200
        forget()
        assert listed(bob.history(alice)) == [kept]
        service.persist()
        for _ in range(2):
            assert listed(bob.history(alice)) == [kept]
            assert bob.read(hidden).status == 404
            assert listed(alice.history(bob)) == [kept, hidden]
            forget()


def test_nothing_of_what_is_stored_stays_in_redis_for_ever(
    service: Service, alice: User, bob: User, redis_url: str
) -> None:
    sent = [alice.sent(bob, clientMsgId=f"c{n}") for n in range(3)]
    group_id = service.make_group(alice, bob)
    grouped = alice.send_to_group(group_id).data["messageId"]
    alice.recall(sent[0])
    bob.delete(sent[1])
    for reader, other in ((alice, bob), (bob, alice)):
        reader.history(other)
        reader.group_history(group_id)
    wiring.run(lambda backends: compensator(backends).repair([int(i) for i in sent]))
    service.persist()
    alice.recall(sent[2])
    alice.recall(grouped)
    service.persist()
    with redis.Redis.from_url(redis_url) as client:
        lasting = {name for name in client.scan_iter("msg:*") if client.ttl(name) < 0}
    assert lasting == {name.encode() for name in (keys.INCARNATION, keys.USED)}
