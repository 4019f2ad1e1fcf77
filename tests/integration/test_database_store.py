"""Test the store on the database of the settings in force: statements, limits and outages."""

from __future__ import annotations

import asyncio
import itertools
import random
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from typing import Any, TypeVar

import pytest
from django.db import connection, connections, transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from django.test.utils import CaptureQueriesContext
from msgspec import structs

from messaging.conf import settings
from messaging.database.threads import DatabaseThreads
from messaging.domain.backend_errors import BadData, StoreUnavailable
from messaging.domain.conversations import Head
from messaging.domain.message import ID_MAX, Message
from messaging.models import Conversation
from messaging.models import DeadLetter as DeadLetterRow
from messaging.models import Message as MessageRow
from messaging.pipeline.write_through import WriteThrough
from messaging.ports.store import DeadLetter
from messaging.store.apply import apply_batch
from messaging.store.database import DatabaseStore
from messaging.store.statements import BYTES_PER_STATEMENT
from messaging.store.tables import Tables
from messaging.testing.cache import MemoryCache
from tests.integration.database import held_conversation
from tests.support.messages import FIRST_ID, make_message

T = TypeVar("T")

pytestmark = pytest.mark.django_db(transaction=True)
on_mysql = pytest.mark.skipif(
    connections["default"].vendor != "mysql", reason="MySQL and MariaDB alone"
)


@pytest.fixture
async def store() -> AsyncIterator[DatabaseStore]:
    opened = DatabaseStore(settings())
    yield opened
    await opened.close()


@pytest.fixture
async def other() -> AsyncIterator[DatabaseThreads]:
    """Open another client of the same database, with a long timeout."""
    threads = DatabaseThreads(name="other", threads=1, timeout_s=30)
    yield threads
    await threads.close()


class TestStatements:
    @staticmethod
    def count(messages: list[Message]) -> int:
        words: list[str] = []

        def note(execute: Any, sql: str, *rest: Any) -> Any:
            words.append(sql.partition(" ")[0])
            return execute(sql, *rest)

        with connection.execute_wrapper(note):
            apply_batch(connection, messages)
        return sum(word in ("SELECT", "INSERT", "UPDATE", "DELETE") for word in words)

    def test_do_not_grow_with_the_batch(self) -> None:
        first = [make_message(1_000 + n, to_id=2 + n % 7) for n in range(500)]
        batch = [make_message(n, to_id=2 + n % 7, client_msg_id=f"k{n}") for n in range(500)]

        # Look, conversations and their numbers, messages, participants of new conversations.
        assert self.count(first) == 5
        assert self.count(batch) == 5  # look, keys, conversations and their numbers, messages
        assert self.count(batch) == 1  # all messages are known already
        # Look, conversations and their numbers, messages, changes.
        assert self.count([m.recalled(9) for m in batch]) == 5
        # All messages are repeats.
        assert self.count([structs.replace(m, id=m.id + 2_000) for m in batch]) == 8

    def test_stay_below_the_packet_limit(self) -> None:
        batch = [make_message(n, content="\\" * 5_000, url="/" + "𝒳" * 2_047) for n in range(500)]

        with CaptureQueriesContext(connection) as captured:
            apply_batch(connection, batch)

        longest = max(len(query["sql"].encode()) for query in captured.captured_queries)
        assert 1024 * 1024 < longest <= BYTES_PER_STATEMENT
        assert MessageRow.objects.filter(content="\\" * 5_000).count() == 500

    def test_work_beyond_one_statements_worth_of_rows(self) -> None:
        batch = [make_message(n, to_id=2 + n, client_msg_id=f"k{n}") for n in range(1_201)]

        result = apply_batch(connection, batch)

        assert apply_batch(connection, batch).rows == result.rows
        assert len(result.rows) == 1_201

    def test_never_take_a_recall_back(self) -> None:
        message = make_message(1)
        tables = Tables(connection)
        tables.insert_messages([structs.replace(message.recalled(9), seq=1)])

        tables.raise_messages([structs.replace(message, seq=2)])

        assert tables.messages([message.id]) == {
            message.id: structs.replace(message.recalled(9), seq=1)
        }

    def test_never_move_a_conversation_back(self) -> None:
        tables = Tables(connection)
        first = Head(last_seq=5, last_rev=2, last_id=50)
        assert tables.extend_conversations({"1_2": first}) == {"1_2": (5, 2)}
        second = Head(last_seq=4, last_rev=1, last_id=40)
        assert tables.extend_conversations({"1_2": second}) == {"1_2": (9, 3)}

        row = Conversation.objects.get(pk="1_2")
        assert (row.last_seq, row.last_rev, row.last_message_id) == (9, 3, 50)


class TestWriters:
    """SQLite lets one writer in at a time; on other databases locks must not meet crosswise."""

    @on_mysql
    async def test_of_the_same_conversations_never_deadlock(self, store: DatabaseStore) -> None:
        shuffle = random.Random(3)
        numbers = itertools.count()

        async def write() -> None:
            for _ in range(100):
                receivers = shuffle.sample(range(2, 30), k=20)
                await store.apply([make_message(next(numbers), to_id=to_id) for to_id in receivers])

        await asyncio.gather(*(write() for _ in range(4)))

        assert len(await store.get([make_message(n).id for n in range(8_000)])) == 8_000

    @on_mysql
    async def test_of_the_same_keys_never_deadlock(self, store: DatabaseStore) -> None:
        shuffle = random.Random(3)
        numbers = itertools.count()
        keys = [f"k{n}" for n in range(50)]

        async def write(to_id: int) -> None:
            for turn in range(25):
                shuffle.shuffle(keys)
                mine = [f"{turn} {key}" for key in keys]
                messages = [make_message(next(numbers), to_id=to_id, client_msg_id=k) for k in mine]
                await store.apply([structs.replace(m, body_hash="0" * 32) for m in messages])

        await asyncio.gather(*(write(2 + n) for n in range(4)))

        tails = [await store.tail(f"1_{2 + n}", limit=1) for n in range(4)]
        assert sum(tail.total for tail in tails) == 25 * len(keys)

    @on_mysql
    async def test_of_reserved_keys_store_each_send_once(self, store: DatabaseStore) -> None:
        """The first writer takes a key over, while the one that has reserved the key comes too."""
        groups = [
            [make_message(100 * a + n, content="x", client_msg_id=f"k{n}") for n in range(40)]
            for a in range(3)
        ]
        shuffle = random.Random(5)
        await store.reserve(groups[2])

        async def write(messages: list[Message]) -> None:
            shuffle.shuffle(messages)
            for first in range(0, 40, 8):
                await _until_applied(store, messages[first : first + 8])

        await asyncio.gather(*(write(list(group)) for group in groups))

        assert (await store.tail("1_2", limit=1)).total == 40
        assert len(await store.find([m.id for group in groups for m in group])) == 120

    @pytest.mark.parametrize("is_begun", [True, False])
    async def test_a_delete_waits_for_the_one_who_is_deduplicating_the_message(
        self, store: DatabaseStore, other: DatabaseThreads, is_begun: bool
    ) -> None:
        """The deduplicating transaction began before the delete, and so has not seen the delete.

        A transaction that begins the conversation has the lock of the new participant as well.
        """
        if is_begun:
            await store.apply([make_message(0)])
        first, repeat = (make_message(n, content="x", client_msg_id="k") for n in (1, 2))
        has_deduplicated = threading.Event()

        def deduplicate(connection: BaseDatabaseWrapper) -> None:
            with transaction.atomic(using=connection.alias):
                apply_batch(connection, [first, repeat])
                has_deduplicated.set()
                time.sleep(0.5)

        deduplicating = asyncio.create_task(other.run(deduplicate))
        await asyncio.to_thread(has_deduplicated.wait)
        hiding = asyncio.create_task(store.delete_for_user(2, [repeat.id], "1_2", repeat=repeat))
        # SQLite has one writer at a time, so there this call waits from its start.
        if connection.vendor == "mysql":
            await asyncio.sleep(0.2)
            hidden = {repeat.id} if is_begun else set()
            assert await store.deleted_among(2, [first.id, repeat.id]) == hidden
        assert await hiding == [repeat.id, first.id]
        await deduplicating
        assert await store.deleted_among(2, [first.id]) == {first.id}


class TestBadData:
    @pytest.mark.parametrize(
        "bad",
        [
            structs.replace(make_message(1), content="lone \ud800 surrogate"),
            structs.replace(make_message(1), id=ID_MAX + 1),
            structs.replace(make_message(1), url="/" * 2_049),
            structs.replace(make_message(1), client_msg_id="k" * 65),
            structs.replace(make_message(1), conversation_id="1" * 65),
            structs.replace(make_message(1), at_user_ids=tuple([ID_MAX] * 200)),
            structs.replace(make_message(1), body_hash="0" * 33),
        ],
    )
    async def test_is_refused_with_its_whole_batch(
        self, store: DatabaseStore, bad: Message
    ) -> None:
        with pytest.raises(BadData):
            await store.apply([make_message(0, to_id=9), bad])

        assert (await store.tail("1_9", limit=1)).total == 0

    async def test_is_a_conversation_that_only_looks_like_another(
        self, store: DatabaseStore
    ) -> None:
        await store.apply([make_message(1)])
        lookalike = structs.replace(make_message(2), conversation_id="1_2 ")
        try:
            await store.apply([lookalike])
        except BadData:
            assert await store.get([lookalike.id]) == {}

        assert (await store.tail("1_2", limit=9)).total == 1


class TestATableThatIsBehind:
    """A table that is behind refuses good messages, and they wait for the table."""

    TEXT = "CHARACTER SET utf8mb4 COLLATE utf8mb4_bin"
    CONTENT = f"MODIFY content varchar(5000) {TEXT} NOT NULL"
    ALTERED = (
        (f"MODIFY content varchar(5) {TEXT} NOT NULL", CONTENT),
        ("MODIFY content varchar(5000) CHARACTER SET ascii NOT NULL", CONTENT),
        (f"MODIFY url varchar(2048) {TEXT} NOT NULL", f"MODIFY url varchar(2048) {TEXT} NULL"),
        (
            f"PARTITION BY RANGE (id) (PARTITION p VALUES LESS THAN ({FIRST_ID}))",
            "REMOVE PARTITIONING",
        ),
        ("ADD COLUMN more int NOT NULL", "DROP COLUMN more"),
        ("ADD CONSTRAINT one CHECK (from_user_id <> 1)", "DROP CONSTRAINT one"),
    )

    @on_mysql
    @pytest.mark.parametrize(("change", "back"), ALTERED)
    async def test_holds_the_batch(self, store: DatabaseStore, change: str, back: str) -> None:
        good = make_message(1, content="\u4f60\u597d, world")
        writes = WriteThrough(MemoryCache(), store)
        await _alter(change)
        try:
            for batch in ([good], [good, make_message(2)]):
                with pytest.raises(StoreUnavailable):
                    await writes.store_states(batch)
        finally:
            await _alter(back)
        assert (await writes.store_states([good])).rows != []


async def _alter(change: str) -> None:
    def alter() -> None:
        with connection.cursor() as cursor:
            cursor.execute(f"ALTER TABLE message {change}")
        connection.close()

    await asyncio.to_thread(alter)


class TestDeadLetters:
    async def test_are_kept_once_a_position_and_cut_to_their_columns(
        self, store: DatabaseStore, other: DatabaseThreads
    ) -> None:
        letter = DeadLetter(
            *("im-message-private", 3, "17-0", b"\xff", bytes(range(256)) * 2_000),
            *("bad_data" * 20, "👩‍👩‍👧‍👦\ud800" * 1_000, 2, ID_MAX),
        )

        await store.save_dead_letters([letter, replace(letter, offset="18-0")])
        await store.save_dead_letters([replace(letter, reason="again")])

        first, _ = await other.run(lambda _: list(DeadLetterRow.objects.order_by("id")))
        assert (first.topic, first.partition, first.offset) == ("im-message-private", 3, "17-0")
        assert (bytes(first.key), bytes(first.value)) == (letter.key, letter.value)
        assert (first.attempts, first.message_id, first.state) == (2, ID_MAX, "OPEN")
        assert first.reason == letter.reason[:64]
        assert first.error.startswith("👩‍👩‍👧‍👦\\ud800")


class TestOutages:
    async def test_a_connection_that_failed_is_not_used_again(self, other: DatabaseThreads) -> None:
        with pytest.raises(StoreUnavailable):
            await other.run(lambda c: c.cursor().execute("SELECT 1 FROM nowhere"))

        assert await other.run(lambda c: c.connection is None)

    @pytest.mark.alone
    async def test_a_held_lock_is_told_in_time_and_leaves_nothing_half_done(
        self, store: DatabaseStore
    ) -> None:
        impatient = DatabaseStore(replace(settings(), store_timeout_s=0.3))
        message = make_message(1, client_msg_id="k")
        await store.apply([make_message(0)])

        with held_conversation("1_2"):
            started_s = asyncio.get_running_loop().time()
            with pytest.raises(StoreUnavailable):
                await impatient.apply([message])
            assert asyncio.get_running_loop().time() - started_s < 1

        (row,) = (await store.apply([message])).rows
        assert row.seq == 2
        await impatient.close()

    async def test_a_store_that_is_full_of_stuck_calls_answers_in_time(self) -> None:
        impatient = DatabaseStore(replace(settings(), store_timeout_s=0.3))
        await impatient.apply([make_message(0)])

        with held_conversation("1_2"):
            calls = (impatient.apply([make_message(n)]) for n in range(1, 30))
            outcomes = await asyncio.gather(*calls, return_exceptions=True)
        assert all(isinstance(outcome, StoreUnavailable) for outcome in outcomes)
        await impatient.close()

    @on_mysql
    async def test_a_killed_connection_is_replaced(
        self, store: DatabaseStore, other: DatabaseThreads
    ) -> None:
        before = await other.run(connection_ids)
        await asyncio.gather(*(store.ping() for _ in range(8)))
        await other.run(lambda c: kill(c, connection_ids(c) - before))

        await asyncio.gather(*(store.apply([make_message(n)]) for n in range(8)))
        assert (await store.tail("1_2", limit=1)).total == 8

    @on_mysql
    async def test_a_silent_server_is_given_up_by_the_driver(
        self, other: DatabaseThreads, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        options = connections.databases["default"]["OPTIONS"]
        monkeypatch.setitem(options, "read_timeout", 1)

        with pytest.raises(StoreUnavailable):
            await other.run(lambda c: c.cursor().execute("SELECT SLEEP(20)"))
        assert await again(lambda: other.run(read_one)) == 1

    @on_mysql
    async def test_a_lock_is_given_up_by_the_server_before_the_driver(
        self, other: DatabaseThreads
    ) -> None:
        """Otherwise the server would go on waiting, holding the locks of the transaction."""
        options = connections.databases["default"]["OPTIONS"]

        def lock_wait_s(connection: BaseDatabaseWrapper) -> int:
            with connection.cursor() as cursor:
                cursor.execute("SELECT @@innodb_lock_wait_timeout")
                return int(cursor.fetchone()[0])

        assert await other.run(lock_wait_s) < options["read_timeout"]


async def again(call: Callable[[], Awaitable[T]]) -> T:
    """Return the call's result once the breaker lets the call pass and the store takes it."""
    async with asyncio.timeout(10):
        while True:
            try:
                return await call()
            except StoreUnavailable:
                await asyncio.sleep(0.02)


def connection_ids(connection: BaseDatabaseWrapper) -> set[int]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT id FROM information_schema.processlist WHERE db = DATABASE()")
        return {row[0] for row in cursor.fetchall()}


def kill(connection: BaseDatabaseWrapper, ids: set[int]) -> None:
    with connection.cursor() as cursor:
        for connection_id in ids:
            cursor.execute("KILL %s", [connection_id])


def read_one(connection: BaseDatabaseWrapper) -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
        return int(cursor.fetchone()[0])


async def _until_applied(store: DatabaseStore, messages: list[Message]) -> None:
    """Apply as the consumer does: again, for as long as a race or a deadlock refuses the batch."""
    for _ in range(50):
        try:
            await store.apply(messages)
        except StoreUnavailable:
            await asyncio.sleep(0.02)
        else:
            return
    raise AssertionError("the store stays unavailable")
