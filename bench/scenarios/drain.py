"""Measure how fast the consumer stores a backlog.

The consumer is stopped, messages pile up, and the consumer is started again.
"""

from __future__ import annotations

import time
from contextlib import closing

import redis

from bench.laps.bench import Bench, Refused
from bench.laps.measurement import Measurement
from bench.laps.supervisor import Supervisor, Unsupervised
from bench.laps.watch import pending_of
from bench.load.plan import LoadResult
from messaging.conf import settings

STOPPED = ("beat", "consumer")  # beat: the compensation would store what is pending for long
SAMPLE_S = 0.05
STILL_S = 10.0


def run(bench: Bench) -> None:
    """Pile up a backlog and measure its drain.

    Raises: Refused where the consumer cannot be stopped and started from here.
    """
    try:
        supervisor = Supervisor()
    except Unsupervised as error:
        raise Refused(str(error)) from error
    with supervisor.without(STOPPED):
        backlog = _pile_up(bench)
        supervisor.start("consumer")
        with bench.watch() as seen:
            result = _drain(bench, backlog)
    drained = Measurement(
        name="drain",
        title=f"consumer drain of {backlog:,}",
        connections=0,
        offered=None,
        result=result,
        seen=seen,
    )
    drained.drained_s = bench.await_stored()
    bench.keep(drained)


def _pile_up(bench: Bench) -> int:
    """Send flat out while nothing is stored, and return how many messages wait then."""
    connections = bench.standard.connections
    bench.measure_noop(connections)
    title = f"consumer stopped, {connections} connections"
    backlog = bench.measure("backlog", title, bench.standard, until_stored=False)
    return backlog.result.sent


def _drain(bench: Bench, backlog: int) -> LoadResult:
    """Return how many messages were stored, in how many seconds from the first rows to the last.

    The count is read off the pending set, which a message leaves once its row is stored and marked.
    The drain ends when nothing has changed for long: the rest is left to the compensation.

    Raises: Refused when nothing changes.
    """
    bench.progress.begin("consumer drain")
    redis_url, timeout_s = settings().redis_url, settings().redis_timeout_s
    drained = Drained(backlog)
    with closing(redis.Redis.from_url(redis_url, socket_timeout=timeout_s)) as client:
        started_s = time.monotonic()
        while drained.pending > 0:
            time.sleep(SAMPLE_S)
            now_s = time.monotonic()
            drained.see(pending_of(client), now_s)
            bench.progress.update(1 - drained.pending / backlog, f"{drained.pending:,} pending")
            still_s = now_s - (drained.last_s or started_s)
            if still_s > (STILL_S if drained.last_s else bench.options.patience_s):
                break
    if not drained.last_s:
        raise Refused("the consumer has stored nothing; what does its log say?")
    return drained.result


class Drained:
    """Follow how a backlog goes down: the clock starts with the first rows that leave it.

    Pure.
    """

    def __init__(self, backlog: int) -> None:
        self.pending = backlog
        self.last_s = 0.0
        self.result = LoadResult(answered=backlog)
        self._first: tuple[int, float] | None = None

    def see(self, pending: int, now_s: float) -> None:
        """Note how many are left; more than before, or below 0, is ignored."""
        if not 0 <= pending < self.pending:
            return
        self.pending, self.last_s = pending, now_s
        if self._first is None:
            self._first = pending, now_s
        left, began_s = self._first
        self.result.measured = left - pending
        self.result.measured_s = now_s - began_s
        self.result.add_second(now_s - began_s, left - pending)
