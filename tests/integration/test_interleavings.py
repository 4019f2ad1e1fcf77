"""Check invariants under every order of the parts' calls, on real parts.

Each test plays the calls that a few actors make on Redis, the log and the database, in every order
there is, or in many drawn at random where there are too many.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

import pytest
import redis

from messaging.conf import Mode
from messaging.domain.message import Message
from messaging.runtime import adapters
from messaging.runtime.assembly import sweep
from messaging.service.delete import delete
from messaging.service.recall import recall
from tests.integration.interleaving import Choose, EveryOrder, PortTurns, some_orders
from tests.integration.log_in_redis import lose_leases
from tests.integration.scene import Scene

# Calls at which a cold read can meet other calls.
READ = ("cached_tail", "begin_fill", "tail", "fill")


def first(ready: Sequence[str]) -> str:
    return ready[0]


@dataclass(slots=True)
class Recalled:
    """Hold a message of alice's to bob that alice takes back while other actors work."""

    scene: Scene
    alice: int
    bob: int
    message_id: int
    turns: PortTurns = field(default_factory=PortTurns)
    is_acknowledged: bool = False

    async def take_back(self) -> None:
        backends = self.turns.backends("recall", self.scene.backends)
        await recall(backends, self.message_id, user_id=self.alice)
        self.is_acknowledged = True

    async def consume(self, steps: int) -> None:
        consumer = self.turns.consumer("consumer", self.scene.consumer)
        for _ in range(steps):
            await consumer.step()

    async def read(self) -> None:
        backends = self.turns.backends("reader", self.scene.backends)
        told_before = self.is_acknowledged
        page = await self.scene.history(self.bob, self.alice, backends=backends)
        if told_before:
            assert self.contents(page.messages) == [""]

    async def sweep(self) -> None:
        backends = self.turns.backends("sweep", self.scene.an_hour_later())
        await sweep(backends)

    async def observe(self) -> None:
        """Check that nobody reads the content once the recall is acknowledged."""
        if self.is_acknowledged:
            seen = await self.scene.seen(self.message_id, self.bob, self.alice)
            assert self.contents(seen) == ["", ""]

    def contents(self, messages: Iterable[Message]) -> list[str]:
        return [message.content for message in messages if message.id == self.message_id]

    async def check(self) -> None:
        """Check that nobody reads the content, warm or cold, and the recall leaves no work."""
        for _ in range(2):
            for reader, other in ((self.alice, self.bob), (self.bob, self.alice)):
                seen = await self.scene.seen(self.message_id, reader, other)
                assert [(m.content, m.is_recalled) for m in seen] == [("", True)] * 2
            await self.scene.persist()
            self.scene.forget()
        (row,) = await self.scene.rows(self.message_id)
        assert (row.content, row.is_recalled) == ("", True)
        assert await self.scene.backends.cache.recall_marks([self.message_id]) == {}


async def secret_of(scene: Scene) -> Recalled:
    alice, bob = next(scene.pairs)
    return Recalled(scene, alice, bob, await scene.sent(alice, bob, "secret"))


class TestARecall:
    async def test_is_for_good_wherever_the_consumer_is(self, scene: Scene) -> None:
        orders = EveryOrder()
        for choose in orders:
            told = await secret_of(scene)
            actors = {"recall": told.take_back(), "consumer": told.consume(1)}
            await told.turns.play(actors, choose)
            await told.check()
        assert orders.count > 100

    async def test_is_for_good_while_its_own_record_is_stored(self, scene: Scene) -> None:
        for choose in some_orders(60, seed=1):
            told = await secret_of(scene)
            actors = {"recall": told.take_back(), "consumer": told.consume(2)}
            await told.turns.play(actors, choose, between=told.observe)
            await told.check()

    async def test_is_for_good_with_readers_and_a_sweep_about(self, scene: Scene) -> None:
        for choose in some_orders(80, seed=2):
            told = await secret_of(scene)
            scene.forget()  # the list is cold, and the last sweep's lease has run out
            actors = {
                "recall": told.take_back(),
                "consumer": told.consume(2),
                "reader": told.read(),
                "sweep": told.sweep(),
            }
            await told.turns.play(actors, choose, between=told.observe)
            await told.check()


class TestASender:
    async def test_that_dies_between_any_two_steps_leaves_one_message_or_none(
        self, scene: Scene
    ) -> None:
        ended, deaths = False, 0
        while not ended:
            alice, bob = next(scene.pairs)
            turns = PortTurns()
            backends = turns.backends("sender", scene.backends)
            send = scene.sent(alice, bob, backends=backends, client_msg_id="c")
            ended = "sender" in await turns.play({"sender": send}, first, turns=deaths)
            deaths += 1
            # Redis loses the last sweep's lease, and the idempotency record of the send.
            scene.forget()
            await sweep(scene.an_hour_later())
            await scene.persist()
            left = await scene.listed(bob, alice)
            assert len(left) <= 1
            sent = await scene.sent(alice, bob, client_msg_id="c")
            await scene.persist()
            assert await scene.listed(bob, alice) == (left or [sent])
            assert (await scene.history(bob, alice)).total == 1
        assert deaths > 2


class TestAConsumer:
    async def test_that_dies_between_any_two_steps_leaves_nothing_undone(
        self, scene: Scene
    ) -> None:
        ended, deaths = False, 0
        while not ended:
            alice, bob = next(scene.pairs)
            oldest = await scene.sent(alice, bob, "first", client_msg_id="c")
            scene.forget()
            # Redis has lost the idempotency record.
            await scene.sent(alice, bob, "first", client_msg_id="c")
            secret = await scene.sent(alice, bob, "secret")
            last = await scene.sent(alice, bob, "last")
            await recall(scene.backends, secret, user_id=alice)

            turns = PortTurns()
            consumer = turns.consumer("consumer", scene.consumer)
            ended = "consumer" in await turns.play(
                {"consumer": consumer.step()}, first, turns=deaths
            )
            deaths += 1

            # The next consumer begins with the records that were not committed.
            await scene.consumer.reader.rewind()
            await scene.persist()
            rows = await scene.rows(oldest, secret, last)
            assert [row.content for row in rows] == ["first", "", "last"]
            assert {row.seq for row in rows} == {1, 2, 3}
            assert await scene.listed(bob, alice) == [last, secret, oldest]
        assert deaths > 5

    async def take_over(self, scene: Scene, choose: Choose, redis_url: str) -> None:
        alice, bob = next(scene.pairs)
        sent = [await scene.sent(alice, bob) for _ in range(3)]
        consumers = {"stale": adapters.open_consumer(), "successor": adapters.open_consumer()}
        turns = PortTurns()
        played = 0

        def chosen(ready: Sequence[str]) -> str:
            # The stale consumer gets its batch before any other call.
            return choose(ready) if played else "stale"

        async def hand_over() -> None:
            nonlocal played
            played += 1
            with redis.Redis.from_url(redis_url) as client:
                if played == 1:
                    lose_leases(client)

        steps = {name: turns.consumer(name, each).step() for name, each in consumers.items()}
        told = await turns.play(steps, chosen, between=hand_over)
        assert told == {"stale": 3, "successor": 3}
        await replace(scene, consumer=consumers["successor"]).persist()
        for consumer in consumers.values():
            await adapters.close_consumer(consumer)
        assert [row.seq for row in await scene.rows(*sent)] == [1, 2, 3]
        assert (await scene.history(alice, bob)).total == 3

    async def test_that_goes_on_with_a_batch_of_anothers_does_no_harm(
        self, scene: Scene, redis_url: str
    ) -> None:
        for choose in some_orders(40, seed=3):
            await self.take_over(scene, choose, redis_url)


FILL_DELETES = ("begin_deletes", "deleted_among", "fill_deletes")


class TestADelete:
    async def test_holds_against_a_read_that_is_under_way(self, scene: Scene) -> None:
        orders = EveryOrder()
        for choose in orders:
            alice, bob = next(scene.pairs)
            hidden, kept = [await scene.sent(alice, bob) for _ in range(2)]
            await scene.persist()
            scene.forget()
            turns = PortTurns(
                ("delete_for_user", "deletes_of", "add_deletes", *FILL_DELETES, *READ)
            )
            by_bob = turns.backends("delete", scene.backends)
            reader = turns.backends("reader", scene.backends)
            actors = {
                "delete": delete(by_bob, hidden, user_id=bob),
                "reader": scene.history(bob, alice, backends=reader),
            }
            await turns.play(actors, choose)
            for _ in range(2):
                assert await scene.listed(bob, alice) == [kept]
                assert await scene.listed(alice, bob) == [kept, hidden]
                scene.forget()
        assert orders.count > 20


class TestAColdRead:
    """A list that has run out is loaded again while the conversation goes on."""

    async def play(
        self,
        scene: Scene,
        choose: Choose,
        *,
        is_stored: bool = True,
        consumes: bool = False,
        mode: Mode = "async",
    ) -> None:
        alice, bob = next(scene.pairs)
        known = [await scene.sent(alice, bob) for _ in range(2)]
        if is_stored:
            await scene.persist()
        scene.forget()
        if consumes:
            known.append(await scene.sent(bob, alice))
        due: list[int] = []
        turns = PortTurns(("accept", "apply", "mark_stored", *READ))

        async def write() -> None:
            backends = turns.backends("sender", scene.backends)
            settings = replace(backends.settings, private_mode=mode)
            backends = replace(backends, settings=settings)
            known.append(await scene.sent(alice, bob, backends=backends))

        def chosen(ready: Sequence[str]) -> str:
            name = choose(ready)
            if name == "reader" and not due:
                due.extend(known)  # these messages were acknowledged before the read begins
            return name

        reader = turns.backends("reader", scene.backends)
        consumer = turns.consumer("consumer", scene.consumer)
        actors = {"reader": scene.listed(bob, alice, backends=reader), "sender": write()}
        told = await turns.play(
            actors | ({"consumer": consumer.step()} if consumes else {}), chosen
        )

        read = told["reader"]
        assert isinstance(read, list)
        assert read[-len(due) :] == due[::-1]
        for _ in range(2):
            for one, other in ((alice, bob), (bob, alice)):
                page = await scene.history(one, other)
                assert [message.id for message in page.messages] == known[::-1]
                assert (page.total, page.has_more) == (len(known), False)
            await scene.persist()

    @pytest.mark.parametrize("is_stored", [False, True])
    @pytest.mark.parametrize("mode", ["async", "sync"])
    async def test_misses_nothing_that_is_sent_meanwhile(
        self, scene: Scene, is_stored: bool, mode: Mode
    ) -> None:
        orders = EveryOrder()
        for choose in orders:
            await self.play(scene, choose, is_stored=is_stored, mode=mode)
        assert orders.count > 5

    async def test_misses_nothing_that_is_stored_meanwhile(self, scene: Scene) -> None:
        orders = EveryOrder()
        for choose in orders:
            await self.play(scene, choose, consumes=True)
        assert orders.count > 100
