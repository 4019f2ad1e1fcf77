"""Measure how long accepted messages wait until they are stored."""

from __future__ import annotations

import time
from threading import Event, Thread

import redis

from bench.laps.watch import Seen
from messaging.cache import keys
from messaging.conf import settings

SAMPLE_S = 0.01
MOST = 5_000  # pending messages that a sample reads


class StoredLag:
    """Sample the pending set from `with` until its end, in a thread of its own.

    A message leaves the pending set once its row is stored and the cache knows of the row. So a lag
    goes from the message's send time, given just before the answer, to the first sample without the
    message. Of more than MOST pending messages the oldest alone are seen.
    """

    def __init__(self, seen: Seen) -> None:
        self._seen = seen
        self._waiting: dict[bytes, float] = {}
        self._stop = Event()
        self._thread = Thread(target=self._watch, name="bench-stored-lag", daemon=True)

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *raised: object) -> None:
        self._stop.set()
        self._thread.join()

    def _watch(self) -> None:
        timeout_s = settings().redis_timeout_s
        with redis.Redis.from_url(settings().redis_url, socket_timeout=timeout_s) as client:
            while not self._stop.wait(SAMPLE_S):
                try:
                    pending = client.zrange(keys.PENDING, 0, MOST - 1, withscores=True)
                except redis.RedisError:
                    continue
                self.see(dict(pending), time.time() * 1000)

    def see(self, pending: dict[bytes, float], now_ms: float) -> None:
        """Count the lags of the messages that were pending in the last sample and are not now."""
        for message_id in self._waiting.keys() - pending.keys():
            self._seen.stored_after.add(max(0, round((now_ms - self._waiting[message_id]) * 1000)))
        self._waiting = pending
