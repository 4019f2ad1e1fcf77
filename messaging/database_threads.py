"""Run blocking database work for an event loop. Used by the adapters around Django's database.

It owns a few threads, each with its own Django connection, and what goes wrong with them. It knows
no table.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from django.db import Error, close_old_connections, connections
from django.db.backends.base.base import BaseDatabaseWrapper

from messaging.breakers import Breaker
from messaging.database_errors import translate
from messaging.errors import StoreUnavailable

logger = logging.getLogger(__name__)

ALIAS = "default"
Result = TypeVar("Result")
Job = Callable[[BaseDatabaseWrapper], Result]


class DatabaseThreads:
    """At most `threads` jobs at a time; each call ends within `timeout_s`.

    A job whose caller has given up is dropped if it waits; if it runs, it ends by the driver's own
    timeouts (`connect_timeout`, `read_timeout`) and its result is lost. While the breaker is open,
    calls fail at once.
    """

    def __init__(self, *, name: str, threads: int, timeout_s: float) -> None:
        self.breaker = Breaker(name, self._probe)
        self._outage = ""  # what the last one looked like
        self._timeout_s = timeout_s
        self._connections: list[BaseDatabaseWrapper] = []
        self._executor = ThreadPoolExecutor(
            threads, thread_name_prefix=name, initializer=self._remember_connection
        )

    async def run(self, job: Job[Result]) -> Result:
        """What `job` returns when it is given a connection, in one of the threads.

        Raises StoreUnavailable or BadData in place of the driver's errors, and StoreUnavailable at
        the timeout, when the outcome is unknown.
        """
        if not self.breaker.is_closed:
            raise StoreUnavailable(f"away a moment ago: {self._outage}")
        try:
            return await self._run(job)
        except StoreUnavailable as error:
            if error.is_outage:
                self._outage = str(error)
                self.breaker.trip()
            raise

    async def _run(self, job: Job[Result]) -> Result:
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(self._timeout_s):
                return await loop.run_in_executor(self._executor, self._guarded, job)
        except TimeoutError as error:
            text = f"no answer within {self._timeout_s} s"
            raise StoreUnavailable(text, is_outage=True) from error

    async def _probe(self) -> None:
        try:
            await self._run(lambda connection: connection.cursor().execute("SELECT 1"))
        except StoreUnavailable as error:
            self._outage = str(error)
            raise

    async def close(self) -> None:
        """End the threads and close their connections, within the timeout. Idempotent."""
        await self.breaker.close()
        try:
            async with asyncio.timeout(self._timeout_s):
                await asyncio.to_thread(self._end)
        except TimeoutError:
            logger.warning("database call still runs", extra={"action": "database.close_timeout"})

    def _end(self) -> None:
        self._executor.shutdown(cancel_futures=True)
        while self._connections:
            connection = self._connections.pop()
            connection.inc_thread_sharing()  # the thread that owned it has ended
            _discard(connection)

    def _remember_connection(self) -> None:
        self._connections.append(connections[ALIAS])

    def _guarded(self, job: Job[Result]) -> Result:
        close_old_connections()
        connection = connections[ALIAS]
        try:
            return job(connection)
        except (Error, OverflowError, UnicodeError) as error:
            told = translate(error, vendor=connection.vendor)
            if isinstance(told, StoreUnavailable):
                _discard(connection)
            raise told from error


def _discard(connection: BaseDatabaseWrapper) -> None:
    with contextlib.suppress(Error):
        connection.close()
