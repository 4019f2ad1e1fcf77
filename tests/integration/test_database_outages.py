"""Test the consumer while MariaDB is killed, frozen, full, locked or slow.

The consumer holds its batch, and then goes on. Each trouble is made on a MariaDB of our own, with
real Kafka and real Redis. In no case is a message lost, set aside or given a wrong number, and the
group keeps its member.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from copy import deepcopy
from dataclasses import replace
from pathlib import Path

import MySQLdb
import pytest
from django.db import connections
from pytest_django import DjangoDbBlocker, Settings

from messaging.domain.message import Message
from messaging.pipeline.consumer import Consumer
from tests.integration.pipeline import MAX_POLL_INTERVAL_S, PARTITIONS, Pipeline, pipeline
from tests.support.mariadb import MariadbServer
from tests.support.messages import make_message
from tests.support.processes import clean_environment
from tests.support.proxy import Mode, Proxy
from tests.support.real_services import ROOT, connected

pytestmark = [
    pytest.mark.connected,
    pytest.mark.long,
    pytest.mark.skipif(connections["default"].vendor != "mysql", reason="MySQL and MariaDB alone"),
]

STORE_TIMEOUT_S = 2.0
OUTAGE_S = 1.5 * MAX_POLL_INTERVAL_S  # the group would put out a consumer that did not keep alive
CONVERSATIONS = 5
TABLES = (
    "message",
    "message_key",
    "message_alias",
    "conversation",
    "message_delete",
    "dead_letter",
)


@pytest.fixture(scope="module")
def started(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MariadbServer]:
    server = MariadbServer(tmp_path_factory.mktemp("mariadb"))
    try:
        server.start()
        server.migrate()
        yield server
    finally:
        server.close()


@pytest.fixture
def server(started: MariadbServer) -> MariadbServer:
    """Return the server with empty tables."""
    started.ask(*(f"TRUNCATE im.{table}" for table in TABLES))
    return started


@pytest.fixture
def proxy(server: MariadbServer) -> Iterator[Proxy]:
    with contextlib.closing(Proxy(f"mysql://127.0.0.1:{server.port}/im")) as proxy:
        yield proxy


@pytest.fixture
async def pipe(
    proxy: Proxy,
    redis_url: str,
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
    django_db_blocker: DjangoDbBlocker,
) -> AsyncIterator[Pipeline]:
    """Open a pipeline whose stores reach the server by the proxy, under the settings' options."""
    account = {"HOST": "127.0.0.1", "USER": "im", "PASSWORD": "im", "NAME": "im"}
    there = deepcopy(connections.databases["default"]) | account | {"PORT": str(proxy.port)}
    seconds = round(STORE_TIMEOUT_S)
    there["OPTIONS"] |= dict.fromkeys(("read_timeout", "write_timeout", "connect_timeout"), seconds)
    there["OPTIONS"]["init_command"] += f", innodb_lock_wait_timeout={seconds - 1}"
    monkeypatch.setitem(connections.databases, "default", there)
    address = connected("IM_EVENT_LOG_URL")
    ours = {"redis_url": redis_url, "store_timeout_s": STORE_TIMEOUT_S, "consumer_batch": 100}
    with django_db_blocker.unblock():
        async with pipeline(address, settings, **ours) as opened:
            yield opened


def messages(numbers: range, *, keyed: bool = True) -> list[Message]:
    """Return messages in a few conversations, each with a clientMsgId if `keyed`."""
    return [
        make_message(n, to_id=2 + n % CONVERSATIONS, client_msg_id=f"k{n}" if keyed else None)
        for n in numbers
    ]


class OutageWatch:
    """Watch the group's members and the reader's keep-alives while the consumer is in trouble."""

    def __init__(self, pipe: Pipeline, consumer: Consumer) -> None:
        self._pipe = pipe
        self.members = pipe.members()
        self.kept_alive = 0
        keep_alive = consumer.reader.keep_alive

        async def counted() -> None:
            self.kept_alive += 1
            await keep_alive()

        consumer.reader.keep_alive = counted  # type: ignore[method-assign]

    def check(self, server: MariadbServer, *, held: bool = True) -> None:
        assert self._pipe.members() == self.members
        assert self.kept_alive or not held
        assert server.ask("SELECT COUNT(*) FROM im.dead_letter") == [(0,)]


@contextlib.contextmanager
def locked(server: MariadbServer, rows: str) -> Iterator[None]:
    """Lock these rows as another client, for longer than a call may take."""
    with contextlib.closing(server.connect()) as connection, connection.cursor() as cursor:
        cursor.execute(f"SELECT * FROM im.{rows} FOR UPDATE")
        yield
        connection.rollback()


def reasons(caplog: pytest.LogCaptureFixture) -> str:
    """Return the reasons that the consumer logs for holding its batch."""
    told = [record for record in caplog.records if record.message == "holding the batch"]
    return " | ".join(sorted({str(record.__dict__["reason"]) for record in told}))


Trouble = Callable[[MariadbServer], contextlib.AbstractContextManager[None]]
TROUBLES: dict[str, tuple[Trouble, str]] = {
    "killed": (MariadbServer.killed, r"20(02|06|13)"),
    "frozen": (MariadbServer.frozen, r"no answer|2013"),
    "read only": (MariadbServer.read_only, r"1290"),
    "out of connections": (MariadbServer.out_of_connections, r"1040"),
    "a full disk": (MariadbServer.full_disk, r"1021|1030|1114"),
    "a held lock": (lambda server: locked(server, "conversation WHERE id = '1_2'"), r"1205"),
}


@pytest.mark.parametrize(("trouble", "reason"), TROUBLES.values(), ids=TROUBLES.keys())
async def test_is_waited_out(
    pipe: Pipeline,
    server: MariadbServer,
    caplog: pytest.LogCaptureFixture,
    trouble: Trouble,
    reason: str,
) -> None:
    if trouble is MariadbServer.full_disk and not server.is_mounted:
        pytest.skip("no file system may be mounted here")
    sent = messages(range(600))
    consumer = pipe.consumer()
    async with pipe.running(consumer):
        await pipe.accept(sent[:50])
        await pipe.await_drained()
        watch = OutageWatch(pipe, consumer)
        async with befallen(trouble(server)):
            await pipe.accept(sent[50:])
            await asyncio.sleep(OUTAGE_S)
            assert await pipe.lag()
        await pipe.await_drained()
        watch.check(server)
    assert re.search(reason, reasons(caplog))
    is_outage = trouble in (MariadbServer.killed, MariadbServer.frozen)
    opened = [r for r in caplog.records if r.__dict__.get("backend") == "store"]
    # In the other troubles the server answers, if only with a refusal.
    assert bool(opened) == is_outage
    await pipe.check_stored(sent)


@contextlib.asynccontextmanager
async def befallen(trouble: contextlib.AbstractContextManager[None]) -> AsyncIterator[None]:
    """Begin and end the trouble in a thread beside the loop."""
    await asyncio.to_thread(trouble.__enter__)
    try:
        yield
    finally:
        await asyncio.to_thread(trouble.__exit__, None, None, None)


@pytest.mark.parametrize("mode", [Mode.MUTE, Mode.BLACK_HOLE])
@pytest.mark.parametrize("statement", [b"INSERT INTO message ", b"COMMIT"])
async def test_killed_in_mid_batch_is_stored_once(
    pipe: Pipeline, server: MariadbServer, proxy: Proxy, statement: bytes, mode: Mode
) -> None:
    """The outcome is unknown: a lost COMMIT stored nothing, a lost answer stored everything."""
    sent = messages(range(300))
    consumer = pipe.consumer()
    async with pipe.running(consumer):
        await pipe.accept(sent[:50])
        await pipe.await_drained()
        watch = OutageWatch(pipe, consumer)
        proxy.turn(mode, after=statement)
        await pipe.accept(sent[50:])
        while not proxy.count:
            await asyncio.sleep(0.01)
        async with befallen(server.killed()):
            proxy.heal()
        await pipe.await_drained()
        watch.check(server, held=False)
    await pipe.check_stored(sent)


async def test_an_unknown_outcome_again_and_again_is_stored_once(
    pipe: Pipeline, server: MariadbServer, proxy: Proxy
) -> None:
    sent = messages(range(300))
    consumer = pipe.consumer()
    async with pipe.running(consumer):
        await pipe.accept(sent[:50])
        await pipe.await_drained()
        watch = OutageWatch(pipe, consumer)
        proxy.turn(Mode.CUT, after=b"COMMIT")
        await pipe.accept(sent[50:])
        while proxy.count < 3:
            await asyncio.sleep(0.01)
        proxy.heal()
        await pipe.await_drained()
        watch.check(server, held=False)
    await pipe.check_stored(sent)


async def test_deadlocks_are_tried_again(
    pipe: Pipeline, server: MariadbServer, caplog: pytest.LogCaptureFixture
) -> None:
    sent = messages(range(50))
    consumer = pipe.consumer()
    async with pipe.running(consumer):
        await pipe.accept(sent)
        await pipe.await_drained()
        watch = OutageWatch(pipe, consumer)
        with deadlocking(server):
            for first in range(50, 4_000, 50):
                sent += (more := messages(range(first, first + 50)))
                await pipe.accept(more)
                await asyncio.sleep(0.02)
                if "1213" in reasons(caplog):
                    break
        assert "1213" in reasons(caplog)
        await pipe.await_drained()
        watch.check(server, held=False)
    await pipe.check_stored(sent)


@contextlib.contextmanager
def deadlocking(server: MariadbServer) -> Iterator[None]:
    """Lock rows in another order, as a client with too many rows to be the deadlock's victim."""
    ends = threading.Event()
    weight = ", ".join(f"(1, {n})" for n in range(2_000))

    def lock() -> None:
        with contextlib.closing(server.connect()) as connection, connection.cursor() as cursor:
            cursor.execute("SET innodb_lock_wait_timeout = 1")
            while not ends.is_set():
                with contextlib.suppress(MySQLdb.OperationalError):
                    cursor.execute(f"INSERT INTO im.message_delete VALUES {weight}")
                    for id_ in ("1_6", "1_5", "1_4", "1_3", "1_2"):
                        cursor.execute(
                            f"SELECT * FROM im.conversation WHERE id = '{id_}' FOR UPDATE"
                        )
                        time.sleep(0.01)
                connection.rollback()

    thread = threading.Thread(target=lock)
    thread.start()
    try:
        yield
    finally:
        ends.set()
        thread.join()


async def test_a_recall_waits_for_the_row_that_it_takes_back(
    pipe: Pipeline, server: MariadbServer, caplog: pytest.LogCaptureFixture
) -> None:
    sent = messages(range(20))
    recalled = sent[3].recalled(sent[3].send_time + 1)
    consumer = pipe.consumer()
    async with pipe.running(consumer):
        await pipe.accept(sent[:10])
        await pipe.await_drained()
        watch = OutageWatch(pipe, consumer)
        async with befallen(locked(server, f"message WHERE id = {recalled.id}")):
            await pipe.append(recalled)
            await asyncio.sleep(0.1)
            await pipe.accept(sent[10:])
            await asyncio.sleep(OUTAGE_S)
            assert await pipe.lag()
        await pipe.await_drained()
        watch.check(server, held=False)
    assert "1205" in reasons(caplog)
    await pipe.check_stored([*sent[:3], recalled, *sent[4:]])


async def test_a_consumer_frozen_in_mid_transaction_holds_up_the_next_one_for_seconds_only(
    pipe: Pipeline, server: MariadbServer, redis_url: str, tmp_path: Path
) -> None:
    """The group puts out a frozen consumer, but the server could keep its locks while it is silent.

    The consumer is stopped while it waits for a row, and gets the row then. The consumer wakes with
    a batch that another consumer has stored.
    """
    sent = messages(range(100))
    recalled = sent[3].recalled(sent[3].send_time + 1)
    zombie = consumer_process(pipe, server, redis_url, tmp_path / "zombie")
    successor = None
    try:
        await pipe.accept(sent[:50])
        await pipe.await_drained()
        async with befallen(locked(server, f"message WHERE id = {recalled.id}")):
            await pipe.append(recalled)
            await pipe.accept(sent[50:])
            while not server.ask(WAITING)[0][0]:
                await asyncio.sleep(0.3)
            zombie.send_signal(signal.SIGSTOP)
        successor = consumer_process(pipe, server, redis_url, tmp_path / "successor")
        await pipe.await_drained()
        zombie.send_signal(signal.SIGCONT)
        await pipe.accept(late := messages(range(100, 150)))
        await pipe.await_drained()
        await asyncio.sleep(1)
        assert zombie.poll() is None and successor.poll() is None
    finally:
        for process in filter(None, (zombie, successor)):
            process.kill()
            process.wait(10)
    await pipe.check_stored([*sent[:3], recalled, *sent[4:], *late])
    assert server.ask("SELECT COUNT(*) FROM im.dead_letter") == [(0,)]


# The server refreshes this table only when nobody has asked for a tenth of a second.
WAITING = "SELECT COUNT(*) FROM information_schema.innodb_trx WHERE trx_state = 'LOCK WAIT'"


def consumer_process(
    pipe: Pipeline, server: MariadbServer, redis_url: str, directory: Path
) -> subprocess.Popen[bytes]:
    """Start a consumer as a person does, on the same topic and group."""
    environment = clean_environment(
        VAR_DIR=str(directory),
        LOG_DIR=str(directory),
        IM_DATABASE_URL=f"mysql://im:im@127.0.0.1:{server.port}/im",
        IM_REDIS_URL=redis_url,
        IM_EVENT_LOG_URL=f"kafka://{pipe.link.servers[0]}",
        IM_TOPIC=pipe.topic,
        IM_DEAD_LETTER_TOPIC=f"{pipe.topic}-dead",
        IM_CONSUMER_GROUP=pipe.topic,
        IM_PARTITIONS=str(PARTITIONS),
        IM_CONSUMER_INTERVAL_S="0.5",
    )
    return subprocess.Popen(
        [sys.executable, ROOT / "manage.py", "run_kafka_consumer"], env=environment
    )


async def test_a_slow_server_is_kept_up_with(
    pipe: Pipeline, server: MariadbServer, proxy: Proxy, settings: Settings
) -> None:
    """For its timeout, the server is as slow as one with 200 ms a round trip; batches take more."""
    settings.IM = replace(settings.IM, consumer_batch=2_000)
    sent = messages(range(4_000))
    consumer = pipe.consumer()
    async with pipe.running(consumer):
        await pipe.accept(sent[:50])
        await pipe.await_drained()
        watch = OutageWatch(pipe, consumer)
        proxy.turn(Mode.DELAY, STORE_TIMEOUT_S / 50)  # in each direction
        for first in range(50, len(sent), 250):
            await pipe.accept(sent[first : first + 250])
        await pipe.await_drained()
        watch.check(server, held=False)
    proxy.heal()
    await pipe.check_stored(sent)
