"""Watch the service under load: CPU time and memory of each part, and the pending count."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from threading import Event, Thread

import psutil
import redis

from bench.laps.processes import Found
from bench.load.histogram import Histogram
from bench.load.usage import Part, usage_of
from messaging.cache import keys

PERIOD_S = 1.0


@dataclass(slots=True)
class Seen:
    """Hold what was seen of a lap beside its answers.

    `pending` has the length of the pending set, once a second. `stored_after` has the lags between
    send and row of an open loop.
    """

    parts: dict[str, Part] = field(default_factory=dict)
    pending: list[int] = field(default_factory=list)
    stored_after: Histogram = field(default_factory=Histogram)


class Watch:
    """Watch from `with` until its end, in a thread of its own."""

    def __init__(self, found: Found, redis_url: str, *, timeout_s: float) -> None:
        self.seen = Seen({part: Part(len(each)) for part, each in found.items()})
        self._found = found
        self._redis = redis.Redis.from_url(redis_url, socket_timeout=timeout_s)
        self._first_cpu_s: dict[psutil.Process, float] = {}
        self._cpu_s: dict[psutil.Process, float] = {}
        self._stop = Event()
        self._thread = Thread(target=self._watch, name="bench-watch", daemon=True)

    def __enter__(self) -> Seen:
        self._look()
        self._first_cpu_s = dict(self._cpu_s)
        self._thread.start()
        return self.seen

    def __exit__(self, *raised: object) -> None:
        self._stop.set()
        self._thread.join()
        self._look()
        self._redis.close()
        for part, processes in self._found.items():
            used = (self._cpu_s[p] - self._first_cpu_s[p] for p in processes if p in self._cpu_s)
            self.seen.parts[part].cpu_s = sum(used)

    def _watch(self) -> None:
        due_s = time.monotonic() + PERIOD_S
        while not self._stop.wait(due_s - time.monotonic()):
            due_s += PERIOD_S
            self._look()

    def _look(self) -> None:
        for part, processes in self._found.items():
            largest = 0.0
            for process in processes:
                if usage := usage_of(process):
                    self._cpu_s[process], memory_mb = usage
                    largest = max(largest, memory_mb)
            seen = self.seen.parts[part]
            seen.memory_mb.append(largest)
            seen.peak_mb = max(seen.peak_mb, largest)
        self.seen.pending.append(pending_of(self._redis))


def pending_of(client: redis.Redis) -> int:
    """Return how many messages are accepted and not stored; -1 when Redis does not say."""
    try:
        return int(client.zcard(keys.PENDING))
    except redis.RedisError:
        return -1
