"""Check that readers see histories without holes and recalls without exceptions, on real parts."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable

import pytest
import redis
from msgspec.structs import replace

from messaging.domain.ids import NODE_SHIFT
from messaging.domain.requests import Ack
from messaging.models import Message
from messaging.service.delete import delete
from messaging.service.recall import recall
from tests.integration.log_in_redis import values
from tests.integration.scene import Scene
from tests.support.messages import make_message
from tests.support.service import Service, User, listed, with_settings


class TestARecall:
    def test_outlives_any_lag_of_the_consumer(
        self, service: Service, alice: User, bob: User, forget: Callable[[], None]
    ) -> None:
        message_id = alice.sent(bob, "secret")
        assert alice.recall(message_id).status == 200
        forget()
        assert bob.read(message_id).data["content"] == ""
        service.persist()
        forget()
        assert bob.read(message_id).data["content"] == ""
        assert Message.objects.get(pk=message_id).content == ""

    @with_settings(consumer_batch=1)
    async def test_comes_before_its_own_record_into_the_database(self, scene: Scene) -> None:
        alice, bob = next(scene.pairs)
        message_id = await scene.sent(alice, bob, "secret")
        await recall(scene.backends, message_id, user_id=alice)
        scene.forget()
        # One of two records: readers may have the database alone now.
        assert await scene.consumer.step() == 1
        assert [row.content for row in await scene.rows(message_id)] == [""]
        assert await scene.consumer.step() == 1

    def test_is_shown_alike_out_of_redis_and_out_of_the_database(
        self, service: Service, alice: User, bob: User, forget: Callable[[], None]
    ) -> None:
        message_id = alice.sent(bob, "secret", msgType=2, url="/x.png", atUserIds=[bob.id])
        alice.recall(message_id)
        service.persist()
        cached = [bob.history(alice).data, bob.read(message_id).data]
        forget()
        assert [bob.history(alice).data, bob.read(message_id).data] == cached
        assert b"secret" not in Message.objects.get(pk=message_id).content.encode()

    async def test_follows_its_message_in_the_log(self, scene: Scene, redis_url: str) -> None:
        for _ in range(4):
            alice, bob = next(scene.pairs)
            message_id = await scene.sent(alice, bob)
            await recall(scene.backends, message_id, user_id=alice)
        with redis.Redis.from_url(redis_url) as client:
            async with asyncio.timeout(5):  # a recall that is stored does not wait for the log
                while sum(map(len, partitions := values(client))) < 8:
                    await asyncio.sleep(0.01)
        keys = [key for partition in partitions for key in {key for key, _ in partition}]
        assert len(keys) == 4, "a conversation in two partitions"
        for partition in partitions:
            for key in keys:
                actions = [value.split(b'"')[5] for k, value in partition if k == key]
                assert actions in ([], [b"PERSIST", b"RECALL"])


class TestAHistory:
    def test_read_cold_from_a_later_page_hides_nothing_newer(
        self, service: Service, alice: User, bob: User, forget: Callable[[], None]
    ) -> None:
        sent = [alice.sent(bob) for _ in range(130)]
        service.persist()
        forget()
        sent += [alice.sent(bob) for _ in range(3)]
        newest_first = sent[::-1]
        for page in (3, 1, 7, 2):
            found = bob.history(alice, page=page, size=20)
            assert listed(found) == newest_first[20 * (page - 1) : 20 * page]
            assert found.data["total"] == 133

    def test_that_one_reader_brings_into_the_cache_is_whole_for_the_other(
        self, service: Service, alice: User, bob: User, forget: Callable[[], None]
    ) -> None:
        sent = [alice.sent(bob) for _ in range(30)]
        service.persist()
        for message_id in sent[-10:]:
            assert alice.delete(message_id).status == 200
        forget()
        assert listed(alice.history(bob)) == sent[-11::-1]
        assert listed(bob.history(alice)) == sent[:-21:-1]
        assert bob.delete(sent[-1]).status == 200
        assert listed(bob.history(alice)) == sent[-2:-22:-1]
        assert listed(alice.history(bob)) == sent[-11::-1]

    def test_has_ones_own_message_at_once_with_a_cold_cache(
        self, service: Service, alice: User, bob: User, forget: Callable[[], None]
    ) -> None:
        sent = [alice.sent(bob)]
        service.persist()
        forget()
        sent.append(alice.sent(bob))
        assert listed(alice.history(bob)) == sent[::-1]

    def test_asks_the_database_nothing_once_the_first_page_is_warm(
        self, service: Service, alice: User, bob: User, statements: list[str]
    ) -> None:
        sent = [alice.sent(bob) for _ in range(110)]
        service.persist()
        alice.recall(sent[-2])
        bob.delete(sent[-3])
        for reader, other in ((alice, bob), (bob, alice)):
            reader.history(other)
        assert statements
        statements.clear()
        for _ in range(2):
            assert len(listed(alice.history(bob))) == len(listed(bob.history(alice))) == 20
        sent.append(alice.sent(bob))
        assert listed(alice.history(bob))[0] == listed(bob.history(alice))[0] == sent[-1]
        assert statements == []
        service.persist()
        statements.clear()
        assert listed(alice.history(bob))[0] == listed(bob.history(alice))[0] == sent[-1]
        assert statements == []

    def test_costs_a_few_statements_when_it_is_cold_whatever_its_size(
        self,
        service: Service,
        alice: User,
        bob: User,
        statements: list[str],
        forget: Callable[[], None],
    ) -> None:
        for _ in range(60):
            alice.sent(bob)
        service.persist()
        costs = []
        for size in (2, 50):
            forget()
            statements.clear()
            assert len(listed(bob.history(alice, size=size))) == size
            costs.append(len(statements))
        assert costs[0] == costs[1] <= 5

    async def test_is_the_same_whatever_part_of_it_redis_has_evicted(
        self, scene: Scene, redis_url: str
    ) -> None:
        draw = random.Random(7)
        alice, bob = next(scene.pairs)
        sent: list[int] = []
        hidden: set[int] = set()
        for number in range(40):
            sent += [await scene.sent(*draw.sample([alice, bob], 2)) for _ in range(4)]
            if number % 3:
                await scene.persist()
            if number % 4 == 0:
                hidden.add(taken := draw.choice(sent))
                await delete(scene.backends, taken, user_id=bob)
            with redis.Redis.from_url(redis_url) as client:
                for name in client.keys("msg:*"):
                    if client.ttl(name) >= 0 and draw.random() < 0.4:
                        client.delete(name)
            for reader, other, unseen in ((alice, bob, set()), (bob, alice, hidden)):
                page = await scene.history(reader, other, size=30)
                due = [message_id for message_id in reversed(sent) if message_id not in unseen]
                assert [message.id for message in page.messages] == due[:30]
                assert (page.total, page.has_more) == (len(sent), len(due) > 30)

    @pytest.mark.parametrize("is_cold", [False, True])
    async def test_has_no_holes_and_no_repeats_among_messages_of_one_millisecond(
        self, scene: Scene, is_cold: bool
    ) -> None:
        alice, bob = next(scene.pairs)
        lease = scene.backends.ids.lease
        assert lease is not None
        made = [make_message(n, from_user_id=alice, to_id=bob) for n in range(60)]
        messages = [replace(m, id=m.id | lease.node << NODE_SHIFT) for m in made]
        assert len({message.send_time for message in messages}) == 1
        accepting = random.Random(6).sample(messages, len(messages))
        for message in accepting[:40]:
            await scene.backends.acceptor.accept(message, ack=Ack.LOG)
        await scene.persist()
        for message in accepting[40:]:
            await scene.backends.acceptor.accept(message, ack=Ack.LOG)
        newest_first = sorted((message.id for message in messages), reverse=True)
        walked: list[int] = []
        before = None
        while len(walked) < 60:
            if is_cold:
                scene.forget()
            page = await scene.history(bob, alice, size=7, before_id=before)
            walked += [message.id for message in page.messages]
            before = page.next_before_id
        assert walked == newest_first
        assert before is None
        for number in range(9):
            page = newest_first[7 * number : 7 * number + 7]
            assert await scene.listed(bob, alice, size=7, page=number + 1) == page
