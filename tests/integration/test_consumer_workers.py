"""Test `run_kafka_consumer --workers N`: real processes that share the partitions of a real log."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from messaging.eventlog.redis_streams.entries import Keys
from messaging.metrics import snapshot
from messaging.metrics.catalogue import give_ups
from tests.support.processes import clean_environment, wait_until
from tests.support.real_services import ROOT


@pytest.fixture
def command(
    request: pytest.FixtureRequest, redis_url: str, tmp_path: Path
) -> Iterator[subprocess.Popen[bytes]]:
    """Run the command with two workers, and end it with its workers in any case."""
    environment = clean_environment(
        VAR_DIR=str(tmp_path),
        LOG_DIR=str(tmp_path),
        IM_REDIS_URL=redis_url,
        **getattr(request, "param", {}),
    )
    migrate = [sys.executable, ROOT / "manage.py", "migrate", "--verbosity", "0"]
    subprocess.run(migrate, env=environment, check=True, timeout=60)
    process = subprocess.Popen(
        [sys.executable, ROOT / "manage.py", "run_kafka_consumer", "--workers", "2"],
        env=environment,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.wait(10)


def workers(process: subprocess.Popen[bytes]) -> set[int]:
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text()
    return {int(pid) for pid in children.split()}


def leases(redis_url: str) -> dict[str, int]:
    """Return the number of partitions that each reader owns."""
    with redis.Redis.from_url(redis_url, decode_responses=True) as client:
        names = list(client.scan_iter("im:log:*:leases"))
        owners = [lease.split()[1] for name in names for lease in client.hvals(name)]
    return {str(owner): owners.count(owner) for owner in owners}


def test_workers_share_the_partitions_and_are_replaced_when_they_die(
    command: subprocess.Popen[bytes], redis_url: str
) -> None:
    def are_shared() -> bool:
        return sorted(leases(redis_url).values()) == [5, 5]

    wait_until(are_shared, limit_s=60, what="two readers own five partitions each")
    first = leases(redis_url).keys()
    before = workers(command)
    os.kill(min(before), signal.SIGKILL)
    wait_until(
        lambda: len(workers(command) - before) == 1, limit_s=30, what="another worker is started"
    )
    wait_until(
        lambda: are_shared() and leases(redis_url).keys() != first,
        limit_s=60,
        what="the new worker has its share",
    )


def test_sigterm_ends_all_of_them(command: subprocess.Popen[bytes], redis_url: str) -> None:
    wait_until(lambda: len(leases(redis_url)) == 2, limit_s=60, what="both workers read")
    pids = workers(command)
    command.send_signal(signal.SIGTERM)
    assert command.wait(30) == 0
    assert not any(Path(f"/proc/{pid}").exists() for pid in pids)
    assert leases(redis_url) == {}, "they have left the group"


@pytest.mark.parametrize(
    "command", [{"IM_DEAD_LETTERS_IN_A_ROW": "5", "IM_CONSUMER_BATCH": "5"}], indirect=True
)
def test_nothing_but_poison_ends_them_and_none_is_started_again(
    command: subprocess.Popen[bytes], redis_url: str, tmp_path: Path
) -> None:
    with redis.Redis.from_url(redis_url) as client:
        for number in range(500):
            stream = Keys("im-message-private").stream(number % 10)
            client.xadd(stream, {"k": "1_2", "v": "poison", "h": ""})
        assert command.wait(90) == 3
        dead = sum(
            client.xlen(name)
            for name in client.scan_iter("im:log:im-message-dead-letter:*", _type="stream")
        )
    assert dead <= 2 * 5
    told = [found.numbers[give_ups.name] for _, found in snapshot.read(tmp_path / "run/metrics")]
    assert [((), 1)] in told, "the last snapshot of a consumer says that the consumer gave up"
    assert leases(redis_url) == {}, "they have left the group"


@pytest.mark.parametrize("number", ["0", "11"])
def test_more_workers_than_partitions_are_refused(number: str, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, ROOT / "manage.py", "run_kafka_consumer", "--workers", number],
        env=clean_environment(VAR_DIR=str(tmp_path), LOG_DIR=str(tmp_path)),
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 1
    assert "--workers is 1 to 10" in done.stderr
