"""Judge from outside whether the processes of a role are well, for `manage.py health`.

A consumer and a worker are judged by the snapshots that they write each second. Several hosts or
containers may share the folder of the snapshots, and a process id says nothing across them. So only
snapshots of this host's name count: a container has a name of its own, and a container in which the
processes have died must not be called well because of another one.
"""

from __future__ import annotations

import asyncio
import http.client
import socket
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from messaging.cache.redis_cache import RedisMessageCache
from messaging.conf import Settings
from messaging.domain.backend_errors import CacheUnavailable
from messaging.metrics import snapshot
from messaging.metrics.snapshot import DEAD_AFTER_S, Snapshot
from messaging.pipeline.sweep_watch import MARK, late_after_s

OLDEST_S = DEAD_AFTER_S  # of a snapshot, and of the last step of its process's event loop
ANSWER_TIMEOUT_S = 5.0
_direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # it is on this machine


@dataclass(frozen=True, slots=True)
class Verdict:
    """Hold whether a role is well, and one line that says why and what to do."""

    is_well: bool
    line: str


def judge_web(current: Settings) -> Verdict:
    remedy = "start scripts/run, or set IM_SITE_URL"
    return _judge_address(f"{current.site_url}/health/live", remedy)


def judge_exporter(current: Settings) -> Verdict:
    remedy = "start manage.py run_exporter, or set IM_EXPORTER_URL"
    return _judge_address(f"{current.exporter_url}/health", remedy)


def judge_consumer(current: Settings) -> Verdict:
    return _judge_snapshots("consumer", current, "start manage.py run_kafka_consumer")


def judge_worker(current: Settings) -> Verdict:
    return _judge_snapshots("worker", current, "start celery --app imsite worker")


def judge_beat(current: Settings) -> Verdict:
    """Judge beat by the mark that the last sweep has left in Redis.

    Beat writes nothing itself. While Redis is away nothing can be said against beat.
    """
    try:
        is_swept = asyncio.run(_is_swept(current))
    except CacheUnavailable:
        return Verdict(True, "not judged, because Redis is away: start Redis")
    late_s = late_after_s(current)
    if is_swept:
        return Verdict(True, f"a sweep ended within the last {late_s:.0f} s")
    return Verdict(
        False,
        f"no sweep for {late_s:.0f} s: start celery --app imsite beat, and a worker to sweep",
    )


JUDGES: Mapping[str, Callable[[Settings], Verdict]] = {
    "web": judge_web,
    "consumer": judge_consumer,
    "worker": judge_worker,
    "beat": judge_beat,
    "exporter": judge_exporter,
}


def _judge_address(url: str, remedy: str) -> Verdict:
    try:
        with _direct.open(url, timeout=ANSWER_TIMEOUT_S):
            return Verdict(True, f"{url} answers")
    except urllib.error.HTTPError as error:
        error.close()
        told = f"{url} answers {error.code}"
    except (OSError, ValueError, http.client.HTTPException) as error:
        told = f"{url} does not answer ({getattr(error, 'reason', error)})"
    return Verdict(False, f"{told}: {remedy}")


def _judge_snapshots(role: str, current: Settings, remedy: str) -> Verdict:
    if not (current.metrics and current.metrics_dir):
        return Verdict(False, "cannot be judged: set IM_METRICS=on and start the processes again")
    folder, host = Path(current.metrics_dir), socket.gethostname()
    alive = [
        each
        for _, each in snapshot.read(folder)
        if (each.role, each.host, each.is_over) == (role, host, False) and _age_s(each) <= OLDEST_S
    ]
    moving = [each for each in alive if each.loop_age_s <= OLDEST_S]
    if moving:
        return Verdict(True, f"{len(moving)} of {len(alive)} processes on {host} run")
    if alive:
        pids = ", ".join(str(each.pid) for each in alive)
        return Verdict(
            False, f"the event loop has stood still for over {OLDEST_S:.0f} s: restart pid {pids}"
        )
    return Verdict(
        False,
        f"no {role} on {host} has written to {folder} for {OLDEST_S:.0f} s: {remedy}, or set "
        "IM_METRICS_DIR",
    )


def _age_s(each: Snapshot) -> float:
    """Return how far a snapshot is from now; one of the future was written by another clock."""
    return abs(time.time() - each.written_ms / 1000)


async def _is_swept(current: Settings) -> bool:
    cache = RedisMessageCache(current)
    try:
        return await cache.is_leased(MARK)
    finally:
        await cache.close()
