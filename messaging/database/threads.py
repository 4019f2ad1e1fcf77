"""Run blocking database work for an event loop.

Used by the adapters around Django's database. The module owns a few threads, each with its own
Django connection, and handles the failures of these connections. The module knows no table.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from django.db import Error, close_old_connections, connections
from django.db.backends.base.base import BaseDatabaseWrapper

from messaging.database.errors import is_lost, translate
from messaging.domain.backend_errors import StoreBusy, StoreUnavailable
from messaging.domain.breakers import Breaker

logger = logging.getLogger(__name__)

ALIAS = "default"
PROBE_THREADS = 1  # threads for probes, beside the threads for jobs
PROBE_TIMEOUT_S = 0.6  # bound of a probe: the server may leave `SELECT 1` unanswered for so long
UNUSED_FOR_S = 5.0  # a connection unused for longer may be silent because a firewall has dropped it
TIMEOUT_STEP_S = 0.1
LOST_WITHIN_S = 0.6  # an ended connection fails within this time; a silent server takes longer
MOST_WAITING = 1_000  # calls that run or wait for a thread; with a message each at most 20 MB
Result = TypeVar("Result")
Job = Callable[[BaseDatabaseWrapper], Result]


class DatabaseThreads:
    """Run at most `threads` jobs at a time, each in a thread with a connection of its own.

    Each call ends within `timeout_s` and one probe (`PROBE_TIMEOUT_S`). A job whose caller has
    given up is dropped if the job still waits. A running job ends by the driver's own timeouts
    (`connect_timeout`, `read_timeout`), and its result is lost. While the breaker is open, calls
    fail at once.

    A call that fails or comes late opens no breaker by itself: all threads may be busy, a row may
    be locked, a job may be large. Such a call starts a probe of the server, in a thread and on a
    connection that serve nothing else. The breaker opens when this probe fails.

    A connection that the server has ended (the connection was idle for too long, or killed) is
    replaced, and the job is done once more. So each job must be safe to repeat, and its caller may
    repeat the call as well.
    """

    def __init__(self, *, name: str, threads: int, timeout_s: float) -> None:
        self.breaker = Breaker(name, self._probe)
        self._outage = ""  # the error text of the current outage
        self._timeout_s = timeout_s
        self._waiting = 0
        self._probing: asyncio.Task[bool] | None = None
        self._answered_s = float("-inf")
        self._connections: list[BaseDatabaseWrapper] = []
        self._executor = self._open(name, threads)
        self._prober = self._open(f"{name} probe", PROBE_THREADS)

    async def run(self, job: Job[Result]) -> Result:
        """Run the job with a connection in one of the threads, and return its result.

        Raises: BadData and StoreUnavailable in place of the driver's errors; StoreUnavailable while
        the breaker is open, and at the timeout, when the outcome is unknown; StoreBusy in place of
        an outage when the server answers a probe, and when too many calls wait.
        """
        if not self.breaker.is_closed:
            raise StoreUnavailable(
                f"the database was away a moment ago: {self._outage}", is_outage=True
            )
        if self._waiting >= MOST_WAITING:
            raise StoreBusy("too many calls wait for the database")
        self._waiting += 1
        try:
            return await _call(self._executor, self._guarded, job, timeout_s=self._timeout_s)
        except StoreUnavailable as error:
            if not error.is_outage or not await self._answers_a_probe():
                raise
            raise StoreBusy(str(error)) from error
        finally:
            self._waiting -= 1

    async def probe(self) -> None:
        """Probe the server in the thread kept for probes, as the other threads may all be busy.

        Raises: StoreUnavailable when the server does not answer within `PROBE_TIMEOUT_S`.
        Leaves: the breaker open.
        """
        if not await self._answers_a_probe():
            raise StoreUnavailable(self._outage, is_outage=True)

    async def _answers_a_probe(self) -> bool:
        """Tell whether the server answers a probe; calls at the same time share one probe."""
        if self._probing is None or self._probing.done():
            self._probing = asyncio.create_task(self.breaker.try_now())
        return await asyncio.shield(self._probing)

    async def _probe(self) -> None:
        """Probe the server with `SELECT 1`, on a new connection if the last answer is old.

        Raises: StoreUnavailable for an outage alone; any other error is a sign of life.
        """
        is_used = time.monotonic() - self._answered_s < UNUSED_FOR_S
        try:
            await _call(
                self._prober,
                self._guarded,
                _ask if is_used else _ask_anew,
                timeout_s=PROBE_TIMEOUT_S,
            )
        except StoreUnavailable as error:
            if error.is_outage:
                self._note(error)
                raise
        self._answered_s = time.monotonic()
        self._outage = ""

    def _note(self, error: StoreUnavailable) -> None:
        """Remember the error text of an outage, and log the text when it is another one."""
        if str(error) != self._outage:
            self._outage = str(error)
            logger.warning(
                "database away", extra={"action": "database.away", "reason": self._outage}
            )

    async def close(self) -> None:
        """End the threads and close their connections, within the timeout.

        Safe to repeat.
        """
        await self.breaker.close()
        if self._probing is not None:
            self._probing.cancel()
            await asyncio.wait([self._probing])
        try:
            async with asyncio.timeout(self._timeout_s):
                await asyncio.to_thread(self._end)
        except TimeoutError:
            logger.warning(
                "a database call still runs at the end of the process",
                extra={"action": "database.close_timeout"},
            )

    def _open(self, name: str, threads: int) -> ThreadPoolExecutor:
        return ThreadPoolExecutor(
            threads, thread_name_prefix=name, initializer=self._remember_connection
        )

    def _end(self) -> None:
        for executor in (self._prober, self._executor):
            executor.shutdown(cancel_futures=True)
        while self._connections:
            connection = self._connections.pop()
            connection.inc_thread_sharing()  # the thread that owned it has ended
            _discard(connection)

    def _remember_connection(self) -> None:
        self._connections.append(connections[ALIAS])

    def _guarded(self, job: Job[Result]) -> Result:
        """Run the job, and run the job again where the connection had ended before its use."""
        close_old_connections()
        connection = connections[ALIAS]
        # Django would ping before each job.
        connection.health_check_done = True  # type: ignore[attr-defined]
        is_kept, began_s = connection.connection is not None, time.monotonic()
        try:
            return _attempt(job, connection)
        except StoreUnavailable as error:
            cause = error.__cause__
            if (
                not is_kept
                or not isinstance(cause, Error)
                or not is_lost(cause, vendor=connection.vendor)
                or time.monotonic() - began_s > LOST_WITHIN_S
            ):
                raise
        return _attempt(job, connection)


async def _call(
    executor: ThreadPoolExecutor,
    guarded: Callable[[Job[Result]], Result],
    job: Job[Result],
    *,
    timeout_s: float,
) -> Result:
    """Run the job in the executor, and return its result.

    A job that has not begun at the timeout is dropped. The timeout is counted in slices of
    `TIMEOUT_STEP_S`: time in which this process did not come to run counts as one slice at most, so
    that a busy process does not take the server for silent.

    Raises: StoreUnavailable at the timeout.
    """
    future = asyncio.get_running_loop().run_in_executor(executor, guarded, job)
    slices = max(1, round(timeout_s / TIMEOUT_STEP_S))
    try:
        for _ in range(slices):
            await asyncio.wait([future], timeout=timeout_s / slices)
            if future.done():
                return future.result()
    finally:
        future.cancel()
    raise StoreUnavailable(f"no answer within {timeout_s} s", is_outage=True)


def _attempt(job: Job[Result], connection: BaseDatabaseWrapper) -> Result:
    try:
        return job(connection)
    except (Error, OverflowError, UnicodeError) as error:
        told = translate(error, vendor=connection.vendor)
        if isinstance(told, StoreUnavailable):
            _discard(connection)
        raise told from error


def _ask(connection: BaseDatabaseWrapper) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")


def _ask_anew(connection: BaseDatabaseWrapper) -> None:
    _discard(connection)
    _ask(connection)


def _discard(connection: BaseDatabaseWrapper) -> None:
    with contextlib.suppress(Error):
        connection.close()
