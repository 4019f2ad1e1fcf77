"""Make the load: many connections, one thread, and no more work for a request than needed.

The load speaks HTTP/1.1 with keep-alive over plain sockets and epoll, with one request under way on
each connection. `bench.load.process` runs it in a process of its own.
"""

from __future__ import annotations

import select
import time
from collections import deque
from collections.abc import Callable

from bench.load.answers import OK, NotHttp, Whole, error_of
from bench.load.connection import Connection
from bench.load.plan import LapPlan, LoadResult
from bench.load.schedule import NANOSECONDS, Schedule
from bench.load.traffic import OPERATIONS, Sender, Traffic
from bench.load.usage import Part

RECEIVE_BYTES = 65_536
TICK_NS = NANOSECONDS // 10

clock = time.perf_counter_ns  # of the whole machine on Linux, so that processes may compare


class LoadLoop:
    """Run a load over a plan's connections; each sender belongs to one connection."""

    def __init__(
        self, plan: LapPlan, traffic: Traffic, *, progress: Callable[[int, int], None]
    ) -> None:
        """Prepare the load.

        `progress` is called with the counts of answers and of errors at each tick.
        """
        self.result = LoadResult()
        self._plan = plan
        self._traffic = traffic
        self._timeout_ns = int(plan.timeout_s * NANOSECONDS)
        self._progress = progress
        self._histograms = [self.result.histograms[name] for name in OPERATIONS]
        self._poll = select.epoll()
        self._is_whole = Whole().is_whole
        self._request, self._take_in = traffic.request, traffic.answered
        self._open: dict[int, Connection] = {}
        senders = [Sender(account, plan.site) for account in plan.accounts]
        places = range(plan.connections)
        self._closed = [Connection(senders[place :: plan.connections]) for place in places]
        self._idle: deque[Connection] = deque()
        self._busy = 0
        self._warm_answers: int | None = None

    def run(self, *, start_ns: int) -> LoadResult:
        """Send what is due until the schedule is over, and wait for the last answers.

        Answers after the warm-up are measured. The run ends `timeout_s` and a second after its
        last request was due at the latest; requests that are unanswered then count as errors.
        """
        plan = self._plan
        self._start_ns = self._next_tick_ns = start_ns
        self._warm_ns = self._last_ns = start_ns + int(plan.warm_s * NANOSECONDS)
        self._stop_ns = self._warm_ns + int(plan.seconds * NANOSECONDS)
        self._schedule = Schedule(
            start_ns=start_ns, stop_ns=self._stop_ns, rate=plan.rate, limit=plan.limit
        )
        self._connect()
        time.sleep(max(0, start_ns - clock()) / NANOSECONDS)
        started_cpu_s = time.process_time()
        while not self._is_over(now_ns := clock()):
            if now_ns >= self._next_tick_ns:
                self._tick(now_ns)
            self._start_due(now_ns)
            for number, _ in self._wait(now_ns):
                self._ready(self._open[number])
        self._finish()
        self.result.part = Part(processes=1, cpu_s=time.process_time() - started_cpu_s)
        return self.result

    def _is_over(self, now_ns: int) -> bool:
        if self._schedule.is_over(now_ns) and not self._busy:
            return True
        return now_ns > self._stop_ns + self._timeout_ns + NANOSECONDS

    def _wait(self, now_ns: int) -> list[tuple[int, int]]:
        """Return the sockets that are readable, at the latest when the next request is due."""
        due_ns = self._schedule.next_due_ns() if self._idle else None
        if due_ns is None or due_ns >= self._next_tick_ns:
            return self._poll.poll(max(0, self._next_tick_ns - now_ns) / NANOSECONDS)
        if due_ns > now_ns:  # epoll counts in milliseconds, select in microseconds
            select.select([self._poll], [], [], (due_ns - now_ns) / NANOSECONDS)
        return self._poll.poll(0)

    def _start_due(self, now_ns: int) -> None:
        while self._idle and (due_ns := self._schedule.take(now_ns)):
            self._start(self._idle.popleft(), due_ns, now_ns)

    def _start(self, connection: Connection, due_ns: int, now_ns: int) -> None:
        connection.sender = sender = connection.next_sender()
        connection.due_ns = due_ns
        connection.sent_ns = now_ns
        self._busy += 1
        try:
            connection.socket.send(self._request(sender))
        except OSError:
            self._lose(connection, "closed")

    def _ready(self, connection: Connection) -> None:
        """Read from a connection, and finish its request when the answer is whole.

        The answer is counted, and the next request that is due is sent.
        """
        try:
            data = connection.receive(RECEIVE_BYTES)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        sender = connection.sender
        if not data or sender is None:  # the end, or an answer without a request
            self._lose(connection, "closed")
            return
        answer = connection.partial + data
        try:
            if not self._is_whole(answer):
                connection.partial = answer
                return
        except NotHttp:
            self._lose(connection, "not understood")
            return
        now_ns = clock()
        connection.sender = None
        connection.partial = b""
        self._busy -= 1
        if answer.startswith(OK):
            self.result.answered += 1
            self._last_ns = now_ns
            self._take_in(sender, answer)
            self._histograms[sender.operation].add((now_ns - connection.due_ns) // 1_000)
        else:
            self.result.errors[error_of(answer)] += 1
        if due_ns := self._schedule.take(now_ns):
            self._start(connection, due_ns, now_ns)
        else:
            self._idle.append(connection)

    def _lose(self, connection: Connection, why: str) -> None:
        """Close a connection that cannot be used; a new one takes its place at the next tick."""
        del self._open[connection.socket.fileno()]
        connection.socket.close()
        self._closed.append(connection)
        if connection.sender is None:
            if connection in self._idle:
                self._idle.remove(connection)
            return
        waited_us = (clock() - connection.due_ns) // 1_000
        self._histograms[connection.sender.operation].add(waited_us)
        self.result.errors[why] += 1
        connection.sender = None
        self._busy -= 1

    def _connect(self) -> None:
        closed, self._closed = self._closed, []
        for place, connection in enumerate(closed):
            try:
                connection.open((self._plan.site.host, self._plan.site.port))
            except OSError:
                self.result.errors["refused"] += 1
                self._closed += closed[place:]
                return
            self._open[connection.socket.fileno()] = connection
            self._poll.register(connection.socket.fileno(), select.EPOLLIN)
            self._idle.append(connection)

    def _tick(self, now_ns: int) -> None:
        """Do the work of a tick: end the warm-up, count, time requests out, renew connections.

        A tick comes ten times a second.
        """
        result = self.result
        self._next_tick_ns = now_ns + TICK_NS
        if self._warm_answers is None and now_ns >= self._warm_ns:
            self._warm_answers = result.answered
            for histogram in self._histograms:
                histogram.clear()
        result.add_second((now_ns - self._start_ns) / NANOSECONDS, result.answered)
        for connection in [each for each in self._open.values() if each.sender]:
            if now_ns - connection.sent_ns > self._timeout_ns:
                self._lose(connection, "timeout")
        if self._closed:
            self._connect()
        self._progress(result.answered, result.errors.total())

    def _finish(self) -> None:
        """Count what was measured, and the requests that were never answered or sent."""
        result = self.result
        for connection in list(self._open.values()):
            if connection.sender:
                self._lose(connection, "unanswered")
            else:
                connection.socket.close()
        now_ns = clock()
        while not self._schedule.is_over(now_ns) and (due_ns := self._schedule.take(now_ns)):
            self._histograms[self._traffic.usual].add((now_ns - due_ns) // 1_000)
            result.errors["not sent"] += 1
        result.measured = result.answered - (self._warm_answers or 0)
        result.measured_s = (self._last_ns - self._warm_ns) / NANOSECONDS
        self._poll.close()
