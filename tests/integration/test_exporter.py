"""Test `run_exporter` on SQLite and a Redis of its own, as `scripts/run` runs it."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from messaging.audit.findings import Defect
from messaging.cache.redis_cache import RedisMessageCache
from messaging.conf import Settings
from messaging.domain.events import encode_event
from messaging.domain.ids import wall_clock_ms
from messaging.eventlog import open_log
from messaging.metrics import snapshot
from messaging.metrics.catalogue import ROLES
from messaging.ports.log import OutgoingRecord
from tests.support.exporter import (
    Numbers,
    RunningExporter,
    manage,
    migrate,
    running_exporter,
    start_exporter,
)
from tests.support.messages import make_message
from tests.support.processes import wait_until
from tests.support.real_services import free_port, running_redis
from tests.support.snapshots import Process, full_snapshot

pytestmark = pytest.mark.timeout(300)  # each test starts a process

CANARY = "canary-7f3a"
LIMIT_S = 60.0
SOURCES = {
    *("backends", "pending", "redis", "redis_clock", "store_clock", "lag", "retention"),
    *("members", "dead_letters", "arrears", "audits"),
}
OF_REDIS = {"pending", "redis", "redis_clock", "lag", "members"}  # with the log in Redis


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a database with tables, made once because migrations take long."""
    made = tmp_path_factory.mktemp("tables")
    migrate(made)
    return made / "im.sqlite3"


@pytest.fixture
def directory(tables: Path, tmp_path: Path) -> Path:
    shutil.copy(tables, tmp_path)
    return tmp_path


@pytest.fixture
def exporter(directory: Path, redis_url: str) -> Iterator[RunningExporter]:
    with running_exporter(directory, IM_REDIS_URL=redis_url) as running:
        yield running


def settled(exporter: RunningExporter, failed: set[str]) -> Numbers:
    """Wait until exactly these sources have failed, and return the numbers of that moment."""
    found = Numbers()

    def is_so() -> bool:
        nonlocal found
        found = exporter.numbers()
        sources = found.sources()
        return set(sources) == SOURCES and {n for n, ok in sources.items() if not ok} == failed

    wait_until(is_so, limit_s=LIMIT_S, what=f"{failed or 'no source'} failed")
    return found


def write(url: str, count: int) -> None:
    """Accept messages past a web process, with an event of each in the log."""
    ours = Settings(redis_url=url, event_log_url=url, redis_timeout_s=5.0)
    messages = [make_message(n, content=f"{CANARY} {n}") for n in range(count)]

    async def accept() -> None:
        cache, log = RedisMessageCache(ours), open_log(url, ours)
        await cache.accept(messages, None)
        records = [OutgoingRecord(b"1_2", encode_event(each)) for each in messages]
        await asyncio.gather(*await log.append(ours.topic, records))
        await cache.close()
        await log.close()

    asyncio.run(accept())


def test_tells_the_state_of_the_backends(exporter: RunningExporter, redis_url: str) -> None:
    numbers = settled(exporter, set())
    assert numbers.of("im_pending_messages") == 0
    assert numbers.of("im_pending_limit_bytes") == 512 * 1024 * 1024
    assert [numbers.of("im_backend_up", backend=b) for b in ("cache", "log", "store")] == [1] * 3
    assert numbers.of("im_log_members") == 0
    assert numbers.of("im_dead_letters", state="open") == 0
    assert numbers.of("im_arrears_noted") == 0
    assert "im_log_retention_seconds" not in numbers.names()  # nothing ends uncommitted
    assert numbers.of("im_redis_limit_bytes") == 0
    memory = numbers.of("im_redis_memory_bytes")
    assert memory is not None
    assert memory > 100_000
    assert {numbers.of("im_log_lag_seconds", partition=str(p)) for p in range(10)} == {0}
    for against in ("redis", "store"):
        offset_s = numbers.of("im_clock_offset_seconds", against=against)
        assert offset_s is not None
        assert abs(offset_s) < 5  # the same machine, which may be busy

    before_ms = wall_clock_ms()
    write(redis_url, 7)

    def is_seen() -> bool:
        return exporter.numbers().of("im_pending_messages") == 7

    wait_until(is_seen, limit_s=LIMIT_S, what="seven messages are pending")
    wait_until(
        lambda: (
            sum(v for (n, _), v in exporter.numbers().items() if n == "im_log_lag_records") == 7
        ),
        limit_s=LIMIT_S,
        what="seven records wait",
    )
    numbers = exporter.numbers()
    ages = [v for (name, _), v in numbers.items() if name == "im_log_lag_seconds" and v]
    assert len(ages) == 1
    assert 0 < ages[0] <= (wall_clock_ms() - before_ms) / 1000
    oldest_s = numbers.of("im_pending_oldest_seconds")
    assert oldest_s is not None
    assert oldest_s > 3_600  # the ids of these messages are old
    sample = exporter.samples()[-1]
    assert set(sample["lag"]) == {str(partition) for partition in range(10)}


def test_a_whole_site_has_fewer_than_a_thousand_series(
    exporter: RunningExporter, directory: Path
) -> None:
    folder = directory / "run" / "metrics"
    for role in ROLES:
        snapshot.write(full_snapshot(role), folder / f"{role}.1.json")
    wait_until(
        lambda: exporter.numbers().of("im_processes", role="worker") == 1,
        limit_s=LIMIT_S,
        what="the processes are seen",
    )
    numbers = settled(exporter, set())
    assert 600 < len(numbers) < 1_000
    if promtool := shutil.which("promtool"):
        done = subprocess.run(
            [promtool, "check", "metrics"],
            input=exporter.text().encode(),
            capture_output=True,
            timeout=60,
        )
        assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


def test_no_text_of_a_message_is_told(
    exporter: RunningExporter, directory: Path, redis_url: str
) -> None:
    write(redis_url, 3)
    wait_until(
        lambda: exporter.numbers().of("im_pending_messages") == 3,
        limit_s=LIMIT_S,
        what="the messages are pending",
    )
    wait_until(lambda: len(exporter.samples()) > 1, limit_s=LIMIT_S, what="two samples")
    told = exporter.text() + exporter.get("/samples.json")[1].decode()
    written = [path.read_bytes() for path in directory.rglob("*") if path.is_file()]
    assert CANARY not in told
    assert not [text for text in written if CANARY.encode() in text]


def test_tells_what_scheduled_audits_have_found(
    exporter: RunningExporter, directory: Path, redis_url: str
) -> None:
    of_audits = {"im_audit_timestamp", "im_audit_findings", "im_unaccounted_messages"}
    assert not settled(exporter, set()).names() & of_audits
    before_s = wall_clock_ms() / 1000
    code = "from messaging.tasks import audit; print(audit('hourly'))"
    assert "clean" in manage(directory, "shell", "-c", code, IM_REDIS_URL=redis_url)

    def is_seen() -> bool:
        sample = exporter.samples()[-1:]
        return bool(sample) and sample[0]["unaccounted"] == 0

    wait_until(is_seen, limit_s=LIMIT_S, what="the audit is in the samples")
    numbers = exporter.numbers()
    assert numbers.of("im_unaccounted_messages") == 0
    assert {numbers.of("im_audit_findings", kind=kind) for kind in Defect} == {0}
    ended_s = numbers.of("im_audit_timestamp", scope="hourly")
    assert ended_s is not None
    assert before_s <= ended_s <= wall_clock_ms() / 1000
    assert numbers.of("im_audit_timestamp", scope="nightly") is None


def test_tells_what_is_away_quickly_and_leaves_its_series_out(directory: Path) -> None:
    (directory / "redis").mkdir()
    port = free_port()
    with running_redis(directory / "redis", port=port) as url:
        with redis.Redis.from_url(url) as client:
            pid = int(client.info("server")["process_id"])
        with running_exporter(directory, IM_REDIS_URL=url) as exporter:
            settled(exporter, set())
            os.kill(pid, signal.SIGSTOP)
            try:
                numbers = settled(exporter, OF_REDIS)
                gone = ("im_pending_", "im_redis_", "im_log_lag", "im_log_members")
                assert not [name for name in numbers.names() if name.startswith(gone)]
                assert numbers.of("im_clock_offset_seconds", against="redis") is None
                assert numbers.of("im_clock_offset_seconds", against="store") is not None
                for backend, up in {"cache": 0, "log": 0, "store": 1}.items():
                    assert numbers.of("im_backend_up", backend=backend) == up
                assert numbers.of("im_backend_seconds", backend="cache") is None
                assert exporter.get("/health")[0] == 200
            finally:
                os.kill(pid, signal.SIGCONT)
            settled(exporter, set())
            os.kill(pid, signal.SIGKILL)
            settled(exporter, OF_REDIS)
            assert exporter.slowest_s < 10  # no scrape waits for a backend


def test_a_database_without_tables_is_a_source_that_failed(tmp_path: Path, redis_url: str) -> None:
    with running_exporter(tmp_path, IM_REDIS_URL=redis_url) as exporter:
        numbers = settled(exporter, {"dead_letters", "arrears", "audits"})
        assert "im_dead_letters" not in numbers.names()
        assert "im_arrears_noted" not in numbers.names()
        assert numbers.of("im_backend_up", backend="store") == 1


def test_sums_stay_over_a_restart(directory: Path, redis_url: str) -> None:
    def sends(exporter: RunningExporter) -> float | None:
        labels = {"chat": "private", "durability": "log", "kind": "new"}
        return exporter.numbers().of("im_sends_total", **labels)

    process = Process(directory / "run" / "metrics", "a")
    process.sends = 5
    process.write(is_over=True)
    for _ in range(2):
        with running_exporter(directory, IM_REDIS_URL=redis_url) as exporter:
            assert sends(exporter) == 5
            assert not process.path.exists()


def test_sigterm_ends_it_at_once(exporter: RunningExporter) -> None:
    exporter.process.send_signal(signal.SIGTERM)
    assert exporter.process.wait(LIMIT_S) == 0


def test_a_taken_port_and_a_taken_folder_are_told_with_a_next_step(
    exporter: RunningExporter,
    directory: Path,
    redis_url: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    elsewhere = tmp_path_factory.mktemp("second")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        second = start_exporter(elsewhere, port, IM_REDIS_URL=redis_url)
        assert second.wait(LIMIT_S) == 1
        said = (elsewhere / "output").read_text()
        assert f"cannot listen on port {port} of 127.0.0.1: Address already in use." in said
        assert f"--port {port + 1}" in said
    second = start_exporter(
        elsewhere, free_port(), IM_REDIS_URL=redis_url,
        IM_METRICS_DIR=str(directory / "run" / "metrics"),
    )  # fmt: skip
    assert second.wait(LIMIT_S) == 1
    assert "another exporter gathers the counts" in (elsewhere / "output").read_text()


def test_a_bad_time_is_told(exporter: RunningExporter) -> None:
    assert exporter.get("/samples.json?after=yesterday")[0] == 400
