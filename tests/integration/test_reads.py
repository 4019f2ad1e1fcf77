"""Test the cost of a read: trips to Redis, work in its scripts, statements, and rows."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
import redis
from django.db import connection
from django.db.backends.utils import CursorWrapper

from messaging.domain.errors import MessageNotFound
from messaging.domain.message import Message
from messaging.models import MessageDelete
from messaging.service.delete import delete
from messaging.service.fetch import fetch
from messaging.service.recall import recall
from tests.integration.database_work import gather_statistics, work
from tests.integration.scene import Scene
from tests.support.deletes import know_deletes
from tests.support.messages import FIRST_ID, make_message
from tests.support.service import with_settings

pytestmark = with_settings(send_rate=0, redis_timeout_s=5.0)
OF_MESSAGES = (b"msg:conv:", b"msg:detail:", b"msg:deleted:")
PART = 200
Read = Callable[[], Awaitable[object]]


@dataclass
class Costs:
    """Count a read's cost: `trips` are commands of clients, `inside` the scripts' calls by name."""

    trips: list[str]
    inside: dict[str, int]
    statements: list[tuple[str, Any]]

    def rows(self) -> int:
        """Return the rows (or steps) that the database reads for these statements, run again."""
        with work() as done, connection.cursor() as cursor:
            for statement, values in self.statements:
                cursor.execute(statement, values)
                cursor.fetchall()
        connection.close()
        return done[0]


@pytest.fixture
def cost(redis_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[Read], Any]]:
    """Yield a function that returns a read's cost on messages, in whatever thread it runs."""
    statements: list[tuple[str, Any]] = []
    execute = CursorWrapper.execute

    def noting(self: CursorWrapper, sql: str, params: Any = None) -> Any:
        if "message" in sql or "conversation" in sql:
            statements.append((sql, params))
        return execute(self, sql, params)

    monkeypatch.setattr(CursorWrapper, "execute", noting)

    with redis.Redis.from_url(redis_url) as client, client.monitor() as monitor:

        def seen() -> Costs:
            client.echo("end")
            costs, is_of_messages = Costs([], {}, list(statements)), False
            while (entry := monitor.next_command())["command"] != "ECHO end":
                name = entry["command"].split()[0].lower()
                if entry["client_type"] != "lua":  # the commands of a script follow the script
                    is_of_messages = any(part in entry["command"].encode() for part in OF_MESSAGES)
                    costs.trips += [name] * is_of_messages
                elif is_of_messages:
                    costs.inside[name] = costs.inside.get(name, 0) + 1
            return costs

        async def of(read: Read) -> Costs:
            await asyncio.to_thread(seen)
            statements.clear()
            await read()
            return await asyncio.to_thread(seen)

        yield of


@dataclass
class Talk:
    """Hold a conversation of stored messages, ids newest first; alice is the reader."""

    scene: Scene
    alice: int
    bob: int
    ids: list[int]

    async def history(self, **changes: Any) -> list[int]:
        return await self.scene.listed(self.alice, self.bob, **changes)

    async def fetch(self, message_id: int) -> Message:
        return await fetch(self.scene.backends, message_id, reader_id=self.alice)


async def talk(scene: Scene, count: int, *, cached: bool = True) -> Talk:
    """Store this many messages; if `cached`, list them from the first on, up to the list's cap."""
    alice, bob = next(scene.pairs)
    cache, store = scene.backends.cache, scene.backends.store
    if cached:
        await scene.history(alice, bob)
    for start in range(0, count, PART):
        numbers = range(start, min(start + PART, count))
        messages = [make_message(n, from_user_id=bob, to_id=alice) for n in numbers]
        if cached:
            await cache.accept(messages, None)
        stored = await store.apply(messages)
        if cached:
            await cache.mark_stored(stored.rows)
    return Talk(scene, alice, bob, [FIRST_ID + n for n in range(count)][::-1])


async def warm_for(reader: Talk) -> None:
    """Load the reader's deletes and the scripts as well."""
    await reader.history()
    for message_id in reader.ids[:1]:
        await reader.fetch(message_id)


class TestAWarmFirstPage:
    @pytest.mark.parametrize("count", [0, 1, 20, 30, 1_000, 1_300])
    async def test_is_one_round_trip_and_no_query(
        self, scene: Scene, cost: Any, count: int
    ) -> None:
        reader = await talk(scene, count)
        await warm_for(reader)

        costs = await cost(reader.history)

        assert await reader.history() == reader.ids[:20]
        assert (costs.trips, costs.statements) == (["evalsha"], [])
        assert sum(costs.inside.values()) <= 12

    async def test_is_that_for_a_reader_of_thousands_of_deletes_elsewhere(
        self, scene: Scene, cost: Any
    ) -> None:
        reader = await talk(scene, 30)
        await warm_for(reader)
        few = await cost(reader.history)
        elsewhere = [reader.ids[0] + n for n in range(1, 5_000)]
        await scene.backends.cache.add_deletes(reader.alice, elsewhere)

        many = await cost(reader.history)

        assert (many.trips, many.statements) == (["evalsha"], [])
        assert sum(many.inside.values()) <= sum(few.inside.values()) + 2
        assert not {name for name in many.inside if name in ("sscan", "smembers")}

    async def test_is_that_however_much_of_the_top_its_reader_has_deleted(
        self, scene: Scene, cost: Any
    ) -> None:
        reader = await talk(scene, 1_000)
        await warm_for(reader)
        await scene.backends.cache.add_deletes(reader.alice, reader.ids[:900])

        costs = await cost(reader.history)

        assert await reader.history() == reader.ids[900:920]
        assert (costs.trips, costs.statements) == (["evalsha"], [])
        assert sum(costs.inside.values()) <= 25

    @pytest.mark.parametrize("depth", [0, 20, 480, 970])
    async def test_is_as_any_other_page_of_the_cached_list(
        self, scene: Scene, cost: Any, depth: int
    ) -> None:
        reader = await talk(scene, 1_000)
        await warm_for(reader)
        before = reader.ids[depth - 1] if depth else None

        costs = await cost(lambda: reader.history(before_id=before))

        assert await reader.history(before_id=before) == reader.ids[depth : depth + 20]
        assert (costs.trips, costs.statements) == (["evalsha"], [])


class TestAMessageByItsId:
    async def test_that_is_cached_is_one_round_trip_and_no_query(
        self, scene: Scene, cost: Any
    ) -> None:
        reader = await talk(scene, 30)
        await warm_for(reader)

        costs = await cost(lambda: reader.fetch(reader.ids[5]))

        assert (costs.trips, costs.statements) == (["evalsha"], [])

    async def test_is_that_from_the_second_reading_on(self, scene: Scene, cost: Any) -> None:
        reader = await talk(scene, 3)

        first = await cost(lambda: reader.fetch(reader.ids[1]))
        second = await cost(lambda: reader.fetch(reader.ids[2]))

        assert len(first.statements) == 1  # the one statement reads the reader's deletes
        assert (second.trips, second.statements) == (["evalsha"], [])

    async def test_that_its_reader_has_deleted_is_that_too(self, scene: Scene, cost: Any) -> None:
        reader = await talk(scene, 30)
        await warm_for(reader)
        await delete(scene.backends, reader.ids[5], user_id=reader.alice)

        async def gone() -> None:
            with pytest.raises(MessageNotFound):
                await reader.fetch(reader.ids[5])

        costs = await cost(gone)

        assert (costs.trips, costs.statements) == (["evalsha"], [])
        assert await fetch(scene.backends, reader.ids[5], reader_id=reader.bob)

    async def test_older_than_the_known_deletes_is_asked_for_alone(
        self, scene: Scene, cost: Any
    ) -> None:
        reader = await talk(scene, 30)
        await know_deletes(scene.backends.cache, reader.alice, floor=reader.ids[10])

        newer = await cost(lambda: reader.fetch(reader.ids[9]))
        older = await cost(lambda: reader.fetch(reader.ids[10]))

        assert newer.statements == []
        assert len(older.statements) == 1
        assert "message_delete" in older.statements[0][0]

    async def test_that_was_recalled_is_that_too(self, scene: Scene, cost: Any) -> None:
        alice, bob = next(scene.pairs)
        message_id = await scene.sent(bob, alice, "spoken too soon")
        await scene.persist()
        await scene.seen(message_id, alice, bob)
        await recall(scene.backends, message_id, user_id=bob)
        seen: list[Message] = []

        async def read() -> None:
            seen.append(await fetch(scene.backends, message_id, reader_id=alice))

        costs = await cost(read)

        assert (costs.trips, costs.statements) == (["evalsha"], [])
        assert [message.content for message in seen] == [""]


class TestAPageOfAnySize:
    """No work is done once for each message."""

    async def pages(self, reader: Talk, cost: Any, **where: Any) -> list[Costs]:
        found = []
        for size in (1, 100):
            with redis.Redis.from_url(reader.scene.backends.settings.redis_url) as client:
                ageing = [name for name in client.scan_iter("msg:*") if client.ttl(name) >= 0]
                client.delete(*ageing, "none")
            found.append(await cost(lambda size=size: reader.history(size=size, **where)))
        return found

    async def test_costs_the_same_from_a_cold_cache(self, scene: Scene, cost: Any) -> None:
        reader = await talk(scene, 250, cached=False)

        one, hundred = await self.pages(reader, cost)

        assert len(one.statements) == 2  # the tail, and the reader's deletes
        assert len(hundred.statements) <= 3  # one page more, below the hundred that were cached
        assert len(hundred.trips) <= len(one.trips) + 2

    async def test_costs_the_same_in_the_depth(self, scene: Scene, cost: Any) -> None:
        reader = await talk(scene, 450, cached=False)

        one, hundred = await self.pages(reader, cost, before_id=reader.ids[200])

        assert len(one.statements) == len(hundred.statements) == 3
        assert one.trips == hundred.trips

    async def test_costs_the_same_below_a_loaded_list(self, scene: Scene, cost: Any) -> None:
        reader = await talk(scene, 450, cached=False)
        await warm_for(reader)
        before = reader.ids[200]

        one = await cost(lambda: reader.history(size=1, before_id=before))
        hundred = await cost(lambda: reader.history(size=100, before_id=before))

        assert len(one.statements) == len(hundred.statements) == 1
        assert one.trips == hundred.trips == ["evalsha", "evalsha"]


class TestALongConversation:
    LENGTH = 6_000

    async def test_is_as_quick_at_its_beginning_as_at_its_end(
        self, scene: Scene, cost: Any
    ) -> None:
        reader = await talk(scene, self.LENGTH, cached=False)
        await asyncio.to_thread(gather_statistics, "message")
        await warm_for(reader)
        spent = []
        for depth in (150, self.LENGTH // 2, self.LENGTH - 21):
            before = reader.ids[depth - 1]
            costs = await cost(lambda before=before: reader.history(before_id=before))
            assert await reader.history(before_id=before) == reader.ids[depth : depth + 20]
            rows = await asyncio.to_thread(costs.rows)
            spent.append((len(costs.trips), len(costs.statements), rows))

        near, *far = spent
        for trips, statements, rows in far:
            assert (trips, statements) == near[:2] == (2, 1)
            assert rows <= near[2] * 1.5 + 20

    async def test_is_counted_without_looking_at_its_rows(self, scene: Scene, cost: Any) -> None:
        reader = await talk(scene, self.LENGTH, cached=False)
        short = await talk(scene, 120, cached=False)
        await asyncio.to_thread(gather_statistics, "message")
        assert (await scene.history(reader.alice, reader.bob)).total == self.LENGTH

        long_cold, short_cold = [
            await asyncio.to_thread((await cost(each.history)).rows) for each in (reader, short)
        ]
        assert long_cold <= short_cold * 1.5 + 20

    async def test_is_read_past_thousands_of_deletes_in_few_steps(
        self, scene: Scene, cost: Any
    ) -> None:
        reader = await talk(scene, 3_000, cached=False)
        deletes = [
            MessageDelete(user_id=reader.alice, message_id=message_id)
            for message_id in reader.ids[:2_500]
        ]
        await asyncio.to_thread(MessageDelete.objects.bulk_create, deletes)
        await reader.history()

        costs = await cost(reader.history)

        assert await reader.history() == reader.ids[2_500:2_520]
        assert len(costs.statements) <= 40  # each reads 200 rows, or asks for their deletes
