"""Test that the exporter tells which of MariaDB, Redis and Kafka is frozen or dead, and answers.

The servers are of our own, because the tests freeze and kill them.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from messaging.eventlog.kafka.reader import KafkaLogReader
from messaging.eventlog.kafka.topics import RETENTION_MS, create_kafka_topics
from messaging.eventlog.kafka.writer import KafkaEventLog
from messaging.links import KafkaLink
from messaging.ports.log import OutgoingRecord
from tests.support.exporter import Numbers, RunningExporter, migrate, running_exporter
from tests.support.processes import wait_until
from tests.support.real_services import connected, free_port
from tests.support.servers import NAMES, Servers

pytestmark = [pytest.mark.connected, pytest.mark.long, pytest.mark.timeout(600)]

LIMIT_S = 120.0
PARTITIONS = 10
TOPIC = "im-message-private"
GROUP = "im-message-consumer"
SOURCES = {
    "mariadb": {"store_clock", "dead_letters", "arrears", "audits"},
    "redis": {"pending", "redis", "redis_clock"},
    "kafka": {"lag", "retention", "members"},
}
SERIES = {
    "mariadb": {"im_dead_letters", "im_dead_letter_oldest_seconds", "im_arrears_noted"},
    "redis": {
        *("im_pending_messages", "im_pending_oldest_seconds", "im_pending_bytes"),
        *("im_pending_limit_bytes", "im_redis_memory_bytes", "im_redis_limit_bytes"),
        *("im_redis_evicted_total", "im_redis_aof_delayed_total", "im_redis_replicas"),
    },
    "kafka": {
        *("im_log_lag_records", "im_log_lag_seconds", "im_log_retention_seconds"),
        "im_log_members",
    },
}
BACKENDS = {"mariadb": "store", "redis": "cache", "kafka": "log"}


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    connected("IM_EVENT_LOG_URL")  # the servers of our own use the jars of the real broker
    taken: set[int] = set()
    ports: dict[str, int] = {}
    for name in NAMES:
        while (port := free_port()) in taken:
            pass
        ports[name] = port
        taken |= {port - 1, port, port + 1}
    opened = Servers(tmp_path_factory.mktemp("servers"), ports=ports, proxy_ports=ports)
    try:
        opened.start()
        yield opened
    finally:
        opened.close()


@pytest.fixture(scope="module")
def exporter(
    servers: Servers, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RunningExporter]:
    lines = (servers.home / "env").read_text().splitlines()
    variables = dict(line.removeprefix("export ").split("=", 1) for line in lines if "=" in line)
    variables = {name: value.strip("'") for name, value in variables.items()}
    directory = tmp_path_factory.mktemp("exporter")
    create_kafka_topics(_link(servers), topics=[TOPIC], partitions=PARTITIONS)
    migrate(directory, **variables)
    with running_exporter(directory, **variables) as running:
        yield running


def _link(servers: Servers) -> KafkaLink:
    return KafkaLink((f"127.0.0.1:{servers.ports['kafka']}",))


def settled(exporter: RunningExporter, failed: set[str]) -> Numbers:
    """Wait until exactly these sources have failed, and return the numbers of that moment."""
    found = Numbers()

    def is_so() -> bool:
        nonlocal found
        found = exporter.numbers()
        sources = found.sources()
        return len(sources) == 11 and {name for name, ok in sources.items() if not ok} == failed

    wait_until(is_so, limit_s=LIMIT_S, what=f"{failed or 'no source'} failed")
    return found


def all_lags(exporter: RunningExporter, name: str) -> list[float]:
    numbers = exporter.numbers()
    return [numbers.of(name, partition=str(each)) or 0.0 for each in range(PARTITIONS)]


@pytest.mark.parametrize("name", NAMES)
def test_a_frozen_or_dead_server_blinds_its_own_sources_alone(
    servers: Servers, exporter: RunningExporter, name: str
) -> None:
    assert settled(exporter, set()).of("im_backend_up", backend=BACKENDS[name]) == 1
    for harm in (servers.freeze, servers.kill):
        exporter.slowest_s = 0.0
        harm(name)
        numbers = settled(exporter, SOURCES[name])
        assert not numbers.names() & SERIES[name]
        for other in set(NAMES) - {name}:
            assert numbers.names() >= SERIES[other]
            assert numbers.of("im_backend_up", backend=BACKENDS[other]) == 1
        assert numbers.of("im_backend_up", backend=BACKENDS[name]) == 0
        assert numbers.of("im_backend_seconds", backend=BACKENDS[name]) is None
        assert exporter.get("/health")[0] == 200
        assert exporter.slowest_s < 10  # no scrape waits for a backend; the machine may be busy
        servers.mend(name)
        settled(exporter, set())


async def test_tells_the_lag_and_the_readers_of_kafka(
    servers: Servers, exporter: RunningExporter
) -> None:
    await asyncio.to_thread(settled, exporter, set())
    log = KafkaEventLog(_link(servers), topics=[TOPIC], timeout_s=20.0)
    reader = KafkaLogReader(_link(servers), topic=TOPIC, group=GROUP)
    try:
        records = [OutgoingRecord(b"1_2", b"%d" % number) for number in range(5)]
        async with asyncio.timeout(LIMIT_S):
            await asyncio.gather(*await log.append(TOPIC, records))

            def waits() -> bool:
                return sorted(all_lags(exporter, "im_log_lag_records"))[-2:] == [0, 5]

            await asyncio.to_thread(
                wait_until, waits, limit_s=LIMIT_S, what="five records of one partition wait"
            )
            ages = await asyncio.to_thread(all_lags, exporter, "im_log_lag_seconds")
            assert sorted(age > 0 for age in ages) == [False] * 9 + [True]
            while not (found := await reader.poll(max_records=10, timeout_s=0.5)):
                pass
            while len(found) < 5:
                found += await reader.poll(max_records=10, timeout_s=0.5)
            await reader.commit({found[-1].position.partition: found[-1]})

            def is_read() -> bool:
                numbers = exporter.numbers()
                lags = all_lags(exporter, "im_log_lag_records")
                return numbers.of("im_log_members") == 1 and lags == [0] * PARTITIONS

            while not await asyncio.to_thread(is_read):
                await reader.poll(max_records=10, timeout_s=0.5)
        numbers = await asyncio.to_thread(exporter.numbers)
        assert numbers.of("im_log_retention_seconds") == RETENTION_MS / 1000
        assert set(all_lags(exporter, "im_log_lag_seconds")) == {0}
    finally:
        with contextlib.suppress(TimeoutError):
            await reader.close()
        await log.close()


def test_the_numbers_of_redis_are_those_of_its_configuration(exporter: RunningExporter) -> None:
    numbers = settled(exporter, set())
    limit = numbers.of("im_redis_limit_bytes")
    assert limit is not None
    assert (
        limit
        > numbers.of(
            "im_redis_memory_bytes",
        )
        > 0
    )  # type: ignore[operator]
    assert numbers.of("im_redis_evicted_total") == 0
    assert numbers.of("im_redis_replicas") == 0


def test_nothing_secret_is_in_the_log(exporter: RunningExporter, servers: Servers) -> None:
    password = (servers.home / "mariadb" / "password").read_text().strip()
    folder = Path(f"/proc/{exporter.process.pid}/environ")
    environment = folder.read_bytes().split(b"\0")
    (var_dir,) = [each[8:] for each in environment if each.startswith(b"VAR_DIR=")]
    texts = [
        path.read_text()
        for path in Path(var_dir.decode()).rglob("*")
        if path.is_file() and path.suffix in ("", ".log")
    ]
    assert any("exporter.source_failed" in text for text in texts)
    assert not [text for text in texts if password in text]
