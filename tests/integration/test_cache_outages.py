"""Test the consumer while Redis is away, refuses to write, or has lost everything.

The consumer goes on storing, commits nothing that Redis has not heard of, and catches up by itself.
The tests run on real Kafka, so that the log outlives Redis, and on a Redis of our own.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import redis
from pytest_django import Settings

from messaging.cache.redis_cache import RedisMessageCache
from messaging.conf import settings as current_settings
from messaging.domain.ids import SnowflakeIdGenerator, WorkerLease
from messaging.domain.message import Message, PersistStatus
from messaging.models import DeadLetter
from messaging.runtime import adapters
from messaging.runtime.assembly import assemble
from messaging.service.backends import Backends
from messaging.service.delete import delete
from messaging.service.fetch import fetch
from messaging.service.recall import recall
from messaging.store.database import DatabaseStore
from tests.integration.pipeline import Pipeline, pipeline
from tests.integration.scene import Scene, running
from tests.support.messages import make_message
from tests.support.real_services import connected, free_port, running_redis

pytestmark = [
    pytest.mark.connected,
    pytest.mark.long,
    pytest.mark.django_db(transaction=True),
]

FILLERS = 1_000
FILLER_BYTES = 20_000  # Redis answers once for each 2 MB that it loads
SLOW_LOADING = ("--key-load-delay", "2000")


class RedisServer:
    """Run a Redis that can be ended and started again on its data."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._port = free_port()
        self._running = contextlib.ExitStack()
        self.url = f"redis://127.0.0.1:{self._port}/0"

    def start(self, *options: str) -> None:
        """Start the server, and return when it answers."""
        self._running.enter_context(running_redis(self._directory, *options, port=self._port))

    def kill(self) -> None:
        with self.client() as client:
            os.kill(int(client.info("server")["process_id"]), signal.SIGKILL)
        self._running.close()

    def close(self) -> None:
        self._running.close()

    def client(self) -> redis.Redis:
        return redis.Redis.from_url(self.url)

    # troubles of the server; each is over when its block ends

    @contextlib.contextmanager
    def killed(self) -> Iterator[None]:
        self.kill()
        yield
        self.start()

    @contextlib.contextmanager
    def frozen(self) -> Iterator[None]:
        with self.client() as client:
            pid = int(client.info("server")["process_id"])
        os.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(pid, signal.SIGCONT)

    @contextlib.contextmanager
    def loading(self) -> Iterator[None]:
        """Restart the server on so much data that it answers each command with LOADING."""
        with self.client() as client:
            client.mset({f"filler {n}": os.urandom(FILLER_BYTES) for n in range(FILLERS)})
            client.bgrewriteaof()
            while client.info("persistence")["aof_rewrite_in_progress"]:
                time.sleep(0.02)
        self.kill()
        starting = threading.Thread(target=self.start, args=SLOW_LOADING)
        starting.start()
        with self.client() as client:
            while not _is_loading(client):
                assert starting.is_alive(), "the server has ended, or has loaded its data already"
                time.sleep(0.02)
        yield
        starting.join()

    @contextlib.contextmanager
    def read_only(self) -> Iterator[None]:
        """Make the server a replica, as after a failover that this side was not told of."""
        with self.client() as client:
            client.replicaof("127.0.0.1", 1)
            try:
                yield
            finally:
                client.replicaof("NO", "ONE")


def _is_loading(client: redis.Redis) -> bool:
    with contextlib.suppress(redis.ConnectionError):
        try:
            client.ping()
        except redis.BusyLoadingError:
            return True
    return False


@pytest.fixture(scope="module")
def started(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    server = RedisServer(tmp_path_factory.mktemp("redis"))
    server.start()
    yield server
    server.close()


@pytest.fixture
def server(started: RedisServer) -> RedisServer:
    with started.client() as client:
        client.flushall()
    return started


@pytest.fixture
async def pipe(
    configured: None, server: RedisServer, settings: Settings
) -> AsyncIterator[Pipeline]:
    address = connected("IM_EVENT_LOG_URL")
    ours = {"redis_url": server.url, "redis_timeout_s": 0.3, "consumer_batch": 50}
    async with pipeline(address, settings, **ours) as opened:
        yield opened


@pytest.fixture
async def scene(
    pipe: Pipeline, pairs: Iterator[tuple[int, int]], forget: Callable[[], None]
) -> AsyncIterator[Scene]:
    """Open the use cases on the same parts as the pipeline."""
    async with running(pairs, forget) as scene:
        yield scene


def messages(numbers: range) -> list[Message]:
    return [make_message(n, to_id=2 + n % 7, client_msg_id=f"k{n}") for n in numbers]


async def are_stored(pipe: Pipeline, sent: list[Message]) -> None:
    async with asyncio.timeout(20):
        while len(await pipe.store.get([m.id for m in sent])) < len(sent):
            await asyncio.sleep(0.05)


async def check_cached(pipe: Pipeline, sent: list[Message]) -> None:
    """Check that the cached states are stored ones, and the lists hold the sent messages."""
    found = await pipe.cache.get([m.id for m in sent])
    assert {m.persist_status for m in found.values()} <= {PersistStatus.PERSISTED}
    assert await asyncio.to_thread(DeadLetter.objects.count) == 0


Trouble = Callable[[RedisServer], contextlib.AbstractContextManager[None]]


@pytest.mark.parametrize(
    "trouble",
    [RedisServer.killed, RedisServer.frozen, RedisServer.loading, RedisServer.read_only],
    ids=["killed", "frozen", "loading", "read only"],
)
async def test_while_it_is_away_messages_are_stored_and_not_committed(
    pipe: Pipeline, server: RedisServer, trouble: Trouble
) -> None:
    sent = messages(range(300))
    async with pipe.running(pipe.consumer()):
        await pipe.accept(sent[:150])
        await pipe.await_drained()
        await pipe.cache.accept(sent[150:], None)
        block = trouble(server)
        await asyncio.to_thread(block.__enter__)
        try:
            await pipe.append(*sent[150:])
            await are_stored(pipe, sent)
            await asyncio.sleep(0.5)
            # More, where Kafka was slow to confirm an append, which then was written twice.
            assert await pipe.lag() >= 150
        finally:
            await asyncio.to_thread(block.__exit__, None, None, None)
        await pipe.await_drained()
    await pipe.check_stored(sent)
    await check_cached(pipe, sent)


async def test_when_it_is_out_of_memory_pending_messages_are_stored_and_make_room(
    pipe: Pipeline, server: RedisServer
) -> None:
    sent = messages(range(300))
    await pipe.accept(sent)
    with server.client() as client:
        client.config_set("maxmemory", "1mb")
        try:
            with pytest.raises(redis.exceptions.OutOfMemoryError):
                client.set("more", "x")
            async with pipe.running(pipe.consumer()):
                await pipe.await_drained()
        finally:
            client.config_set("maxmemory", "0")
    await pipe.check_stored(sent)
    await check_cached(pipe, sent)


@pytest.mark.parametrize("lost", ["scripts", "everything"])
async def test_what_it_loses_in_mid_run_is_made_up_for(
    pipe: Pipeline, server: RedisServer, lost: str
) -> None:
    sent: list[Message] = []
    async with pipe.running(pipe.consumer()):
        for first in range(0, 1_000, 50):
            more = messages(range(first, first + 50))
            await pipe.accept(more)
            sent += more
            with server.client() as client:
                client.script_flush()
                if lost == "everything":
                    client.flushall()
        await pipe.await_drained()
    await pipe.check_stored(sent)
    await check_cached(pipe, sent)


async def test_wiped_with_messages_pending_it_shows_nothing_again_that_was_taken_back(
    pipe: Pipeline, scene: Scene, server: RedisServer
) -> None:
    alice, bob = next(scene.pairs)
    consumer = pipe.consumer()
    async with pipe.running(consumer):
        stored = [await scene.sent(alice, bob, f"{n}", client_msg_id=f"k{n}") for n in range(10)]
        await recall(scene.backends, stored[2], user_id=alice)
        await delete(scene.backends, stored[3], user_id=bob)
        await pipe.await_drained()
    pending = [await scene.sent(alice, bob, f"{n}", client_msg_id=f"k{n}") for n in range(10, 20)]
    await recall(scene.backends, pending[2], user_id=alice)
    await recall(scene.backends, stored[4], user_id=alice)
    await delete(scene.backends, pending[3], user_id=bob)
    with server.client() as client:
        client.flushall()

    async def check(known: list[int], hidden: list[int], recalled: list[int]) -> None:
        for reader, other, unseen in ((alice, bob, []), (bob, alice, hidden)):
            page = await scene.history(reader, other, size=100)
            assert [m.id for m in page.messages] == [i for i in known[::-1] if i not in unseen]
            assert {m.content for m in page.messages if m.id in recalled} == {""}
            assert page.total == len(known)

    lease = scene.backends.ids.lease
    # Nobody knows that this send is a repeat.
    again = await scene.sent(alice, bob, "0", client_msg_id="k0")
    late = await scene.sent(alice, bob, "late")
    assert lease is not None and late >> 12 & 1023 == lease.node
    async with pipe.running(pipe.consumer()):
        await pipe.await_drained()
    sent = [*stored, *pending, late]
    for _ in range(2):
        await check(sent, [stored[3], pending[3]], [stored[2], stored[4], pending[2]])
        with server.client() as client:
            client.flushall()
    assert again == stored[0] or again not in sent
    assert await scene.sent(alice, bob, "0", client_msg_id="k0") != late
    async with pipe.running(pipe.consumer()):
        await pipe.await_drained()
    await check(sent, [stored[3], pending[3]], [stored[2], stored[4], pending[2]])


def second_process(backends: Backends) -> Backends:
    """Return a second process over the same parts, without the first one's memory."""
    ids = SnowflakeIdGenerator()
    ids.use(WorkerLease(node=1_000, owner="second", valid_until_s=float("inf"), fenced=False))
    second = assemble(
        cache=RedisMessageCache(current_settings()),
        log=backends.log,
        store=DatabaseStore(current_settings()),
        directory=backends.directory,
        groups=backends.groups,
        conversations=backends.conversations,
        publish=backends.publish,
        ids=ids,
        settings=replace(backends.settings, send_rate=0),
        open_inspector=adapters.inspector_of_log,
    ).backends
    second.acceptor.commit.renew_lease = backends.acceptor.commit.renew_lease
    return second


async def test_a_send_that_is_retried_elsewhere_while_it_is_away_has_one_id(
    pipe: Pipeline, scene: Scene, server: RedisServer
) -> None:
    """Each id that was told leads to the one message, which can be recalled by each."""
    alice, bob = next(scene.pairs)
    doors = [scene.backends, second_process(scene.backends)]

    async def retried(name: str) -> set[int]:
        told = await asyncio.gather(
            *(scene.sent(alice, bob, name, client_msg_id=name, backends=d) for d in doors * 2)
        )
        return set(told)

    async with pipe.running(pipe.consumer()):
        await retried("before")
        block = RedisServer.killed(server)
        await asyncio.to_thread(block.__enter__)
        try:
            during = [await retried(f"during {n}") for n in range(10)]
        finally:
            await asyncio.to_thread(block.__exit__, None, None, None)
        after = [await retried(f"after {n}") for n in range(10)]
        await pipe.await_drained()
        assert [len(told) for told in during] == [1] * 10
        for told in (*during, *after):
            seen = [await fetch(scene.backends, each, reader_id=bob) for each in told]
            assert len({message.id for message in seen}) == 1
        for told in (*during, *after):
            await recall(scene.backends, max(told), user_id=alice)
            for each in told:
                assert (await fetch(scene.backends, each, reader_id=bob)).content == ""
        page = await scene.history(bob, alice, size=100)
        assert [m.content for m in page.messages if m.content] == ["before"]
        assert page.total == 21
    await doors[1].hints.leave()
    await doors[1].cache.close()
    await doors[1].store.close()
