"""Define the faults in which the service's processes are killed, frozen, restarted or run twice."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from random import Random

from messaging.cache import keys
from tests.faults.rig import Rig
from tests.faults.rows.fault import Fault, Strike
from tests.support.processes import clean_environment
from tests.support.proxy import Mode
from tests.support.real_services import ROOT

END_S = 20.0


def kill_workers(program: str) -> Strike:
    def strike(rig: Rig, hold_s: float, random: Random) -> None:
        deadline_s = time.monotonic() + hold_s
        while time.monotonic() < deadline_s:
            if workers := rig.workers(program):
                _signal(random.choice(workers), signal.SIGKILL)
            time.sleep(random.uniform(0.2, 1.5))

    return strike


def freeze_worker(program: str) -> Strike:
    def strike(rig: Rig, hold_s: float, random: Random) -> None:
        _signal(random.choice(rig.workers(program)), signal.SIGSTOP)
        time.sleep(hold_s)

    return strike


def _signal(pid: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)


def restart_web(rig: Rig, hold_s: float, random: Random) -> None:
    rig.restart("web")
    time.sleep(hold_s)


def kill_uncommitted(rig: Rig, hold_s: float, random: Random) -> None:
    """Kill consumers that have stored a batch and cannot commit, because the broker is cut off."""
    deadline_s = time.monotonic() + hold_s
    while time.monotonic() < deadline_s:
        rig.proxies["kafka"].turn(Mode.BLACK_HOLE)
        time.sleep(random.uniform(0, 0.3))
        rig.signal_workers("consumer", signal.SIGKILL)
        rig.proxies["kafka"].turn(Mode.PASS)
        time.sleep(random.uniform(1.5, 3.0))  # supervisord starts another after a second


def kafka_without_beat(rig: Rig, hold_s: float, random: Random) -> None:
    with rig.service.supervisor() as supervisor:
        supervisor.stopProcess("beat")
    try:
        rig.servers.kill("kafka")
        time.sleep(hold_s)
    finally:
        with rig.service.supervisor() as supervisor:
            supervisor.startProcess("beat")


def second_beat(rig: Rig, hold_s: float, random: Random) -> None:
    """Run a second beat and a second worker, while the sweep alone stores anything."""
    schedule = str(rig.directory / "second-beat")
    with _celery(rig, "worker", "--pool", "threads"), _celery(rig, "beat", "--schedule", schedule):
        rig.servers.kill("kafka")
        time.sleep(hold_s)


@contextlib.contextmanager
def _celery(rig: Rig, *command: str) -> Iterator[None]:
    process = subprocess.Popen(
        [sys.executable, "-m", "celery", "--app", "imsite", "--quiet", *command],
        cwd=ROOT,
        env=clean_environment(**rig.service.environment),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield
    finally:
        process.terminate()
        process.wait(END_S)


def swap_leases(rig: Rig, hold_s: float, random: Random) -> None:
    """Give the lease of each worker id to the owner of another one."""
    deadline_s = time.monotonic() + hold_s
    with rig.servers.redis() as redis:
        while time.monotonic() < deadline_s:
            names = sorted(redis.keys(keys.worker(0).removesuffix("0") + "*"))
            owners = redis.mget(names)
            for name, owner in zip(names, owners[1:] + owners[:1], strict=True):
                redis.set(name, owner or b"", keepttl=True)
            time.sleep(random.uniform(0.3, 1.0))


FAULTS = (
    Fault(
        name="web-killed",
        about="web: SIGKILL of one worker after the other",
        strike=kill_workers("web"),
    ),
    Fault(
        name="web-restarted",
        about="web: SIGTERM, and started again",
        strike=restart_web,
    ),
    Fault(
        name="web-frozen",
        about="web: SIGSTOP of one worker, which wakes up later",
        strike=freeze_worker("web"),
    ),
    Fault(
        name="consumer-killed",
        about="consumer: SIGKILL of one worker after the other",
        strike=kill_workers("consumer"),
    ),
    Fault(
        name="consumer-killed-uncommitted",
        about="consumer: SIGKILL after the database's COMMIT and before the log's",
        strike=kill_uncommitted,
    ),
    Fault(
        name="consumer-frozen",
        about="consumer: SIGSTOP of one worker until its partitions are another's, then SIGCONT",
        strike=freeze_worker("consumer"),
        hold_s=14.0,
    ),
    Fault(
        name="beat-dead",
        about="beat: stopped while Kafka is away",
        strike=kafka_without_beat,
    ),
    Fault(
        name="two-beats",
        about="beat: a second one and a second worker, with a backlog",
        strike=second_beat,
    ),
    Fault(
        name="worker-ids-swapped",
        about="web: the leases of worker ids are each other's",
        strike=swap_leases,
    ),
)
