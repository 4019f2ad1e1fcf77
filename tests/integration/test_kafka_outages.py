"""Test the pipeline while Kafka is killed, frozen, or behind a proxy that loses its traffic.

The broker is our own, all of its clients come through a proxy, and Redis is real.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import threading
import time
from collections.abc import AsyncIterator, Iterator

import psutil
import pytest
from pytest_django import Settings

from messaging.domain.backend_errors import LogUnavailable
from messaging.domain.events import encode_event
from messaging.domain.message import Message
from messaging.models import DeadLetter
from messaging.ports.log import OutgoingRecord, Position
from tests.integration.pipeline import Pipeline, pipeline
from tests.support.kafka import KafkaServer
from tests.support.messages import make_message
from tests.support.proxy import Mode, Proxy
from tests.support.real_services import connected, free_port

pytestmark = [
    pytest.mark.connected,
    pytest.mark.long,
    pytest.mark.django_db(transaction=True),
    # kafka-python leaves the sockets of failed connections to the garbage collector.
    pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning"),
]

BUDGET = 20  # dead letters in a row
LOG_TIMEOUT_S = 2.0
BUSY_S = 0.7
MEGABYTE = 1024 * 1024


@pytest.fixture(scope="module")
def way() -> Iterator[Proxy]:
    with contextlib.closing(Proxy(f"kafka://127.0.0.1:{free_port()}")) as way:
        yield way


@pytest.fixture(scope="module")
def server(way: Proxy, tmp_path_factory: pytest.TempPathFactory) -> Iterator[KafkaServer]:
    connected("IM_EVENT_LOG_URL")  # the broker of our own uses the jars of the real one
    server = KafkaServer(tmp_path_factory.mktemp("kafka"), port=way.leads_to, advertised=way.port)
    server.start()
    yield server
    server.kill()


@pytest.fixture
async def pipe(
    server: KafkaServer,
    redis_url: str,
    settings: Settings,
    transactional_db: None,
    caplog: pytest.LogCaptureFixture,
) -> AsyncIterator[Pipeline]:
    ours = {"redis_url": redis_url, "log_timeout_s": LOG_TIMEOUT_S, "dead_letters_in_a_row": BUDGET}
    async with pipeline(server.url, settings, **ours) as opened:
        yield opened
    caplog.get_records("call").clear()  # the logged errors keep references to those sockets
    gc.collect()


def messages(numbers: range) -> list[Message]:
    return [make_message(n, to_id=2 + n % 7, client_msg_id=f"k{n}") for n in numbers]


async def dead_letters() -> int:
    return await asyncio.to_thread(DeadLetter.objects.count)


class TestTheConsumer:
    @pytest.mark.parametrize("how", ["killed", "frozen", "silent"])
    async def test_commits_in_the_end_what_it_could_not_commit_at_once(
        self, pipe: Pipeline, server: KafkaServer, way: Proxy, how: str
    ) -> None:
        """No record comes after the batch, so no later commit can do the work of its own."""
        sent = messages(range(100))
        consumer = pipe.consumer()
        mark_stored, marked = consumer.cache.mark_stored, asyncio.Event()

        async def last_step(rows: list[Message]) -> None:
            await mark_stored(rows)
            if not marked.is_set():
                marked.set()
                begin_outage(server, way, how)

        async with pipe.running(consumer):
            await pipe.accept(sent[:10])
            await pipe.await_drained()
            consumer.cache.mark_stored = last_step  # type: ignore[method-assign]
            await pipe.accept(sent[10:])
            await marked.wait()
            await asyncio.sleep(4)
            await asyncio.to_thread(end_outage, server, way, how)
            await pipe.await_drained()
        await pipe.check_stored(sent)
        assert await dead_letters() == 0

    async def test_steps_over_a_whole_batch_that_the_disk_has_spoilt(
        self, pipe: Pipeline, server: KafkaServer
    ) -> None:
        """A spoilt batch is no deploy that went wrong, however many records it holds."""
        lost = [make_message(n) for n in range(3 * BUDGET)]
        sent = [make_message(n) for n in range(100, 110)]
        await pipe.append(*lost)
        await pipe.accept(sent)
        (partition,) = (p for p, end in pipe.ends(pipe.topic).items() if end)
        await asyncio.to_thread(server.spoil, pipe.topic, partition, 0)
        async with pipe.running(pipe.consumer()):
            await pipe.await_drained()
        await pipe.check_stored(sent)
        assert await dead_letters() == len(lost)


def begin_outage(server: KafkaServer, way: Proxy, how: str) -> None:
    if how == "killed":
        server.kill()
    elif how == "frozen":
        server.freeze()
    else:
        way.turn(Mode.MUTE)


def end_outage(server: KafkaServer, way: Proxy, how: str) -> None:
    if how == "killed":
        server.start()
    elif how == "frozen":
        server.thaw()
    else:
        way.heal()


class TestTheWriter:
    @pytest.mark.parametrize("mode", [Mode.MUTE, Mode.BLACK_HOLE])
    async def test_gives_up_what_is_never_answered(
        self, pipe: Pipeline, way: Proxy, mode: Mode
    ) -> None:
        """The broker lives, and may or may not do the request; no connection ends."""
        await pipe.append(*messages(range(10)))
        way.turn(mode)
        for first in range(10, 60, 10):
            began = time.monotonic()
            group = [
                OutgoingRecord(m.conversation_id.encode(), encode_event(m))
                for m in messages(range(first, first + 10))
            ]
            futures = await pipe.log.append(pipe.topic, group)
            ended = await asyncio.gather(*futures, return_exceptions=True)
            assert {type(outcome) for outcome in ended} == {LogUnavailable}
            assert time.monotonic() - began < LOG_TIMEOUT_S + BUSY_S
        way.heal()
        began = time.monotonic()
        await pipe.append(*messages(range(60, 70)))
        assert time.monotonic() - began < 5

    async def test_does_not_grow_while_nothing_is_confirmed(
        self, pipe: Pipeline, server: KafkaServer
    ) -> None:
        """The log is given 5,000 records of a kilobyte a second, for some seconds."""
        await pipe.append(*messages(range(10)))
        async with pipe.running(pipe.consumer()):
            await pipe.await_drained()
            process = psutil.Process()
            record = OutgoingRecord(b"1_2", encode_event(make_message(10, content="x" * 1_000)))
            server.freeze()
            sizes, threads, waiting = [], [], 0
            futures: list[asyncio.Future[Position]] = []
            for turn in range(160):
                futures += await pipe.log.append(pipe.topic, [record] * 250)
                futures = [future for future in futures if not future.done()]
                waiting = max(waiting, len(futures))
                await asyncio.sleep(0.05)
                if turn % 40 == 39:
                    sizes.append(process.memory_info().rss)
                    threads.append(threading.active_count())
            server.thaw()
            assert sizes[-1] - sizes[0] < 10 * MEGABYTE
            assert threads[-1] - threads[0] < 5
            await pipe.append(*messages(range(11, 20)))
            await pipe.await_drained()
