"""Open directories, and make their database busy, slow or absent."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from django.db import connections
from django.db.backends.utils import CursorWrapper

from messaging.conf import settings
from messaging.directory import DatabaseDirectory, queries
from messaging.directory.database import THREADS
from tests.contract.directory.people import Begin, DirectoryClock, Stall, Start, Write, writing


@pytest.fixture
async def people() -> AsyncIterator[Write]:
    async with writing() as write:
        yield write


@pytest.fixture
def clock() -> DirectoryClock:
    return DirectoryClock()


@pytest.fixture
def outage(monkeypatch: pytest.MonkeyPatch) -> Begin:
    """Return a function that moves the database to an address where no server answers."""
    database = connections.databases["default"]
    # No connection is kept that would still lead to the real server.
    monkeypatch.setitem(database, "CONN_MAX_AGE", 0)

    def begin() -> None:
        monkeypatch.setitem(database, "NAME", "/nonexistent/im")
        monkeypatch.setitem(database, "HOST", "127.0.0.1")
        monkeypatch.setitem(database, "PORT", "1")

    return begin


@pytest.fixture
async def busy(directory: DatabaseDirectory) -> AsyncIterator[Start]:
    """Return a function that occupies all threads of the directory."""
    may_end, begun = threading.Event(), threading.Semaphore(0)
    works: list[asyncio.Task[object]] = []

    def work(_: object) -> bool:
        begun.release()
        return may_end.wait(30)

    async def start() -> None:
        for _ in range(THREADS):
            works.append(asyncio.create_task(directory._threads.run(work)))
            assert await asyncio.to_thread(begun.acquire, timeout=5)

    yield start
    may_end.set()
    await asyncio.gather(*works, return_exceptions=True)


@pytest.fixture(params=["busy", "away"])
def unanswered(request: pytest.FixtureRequest, busy: Start, outage: Begin) -> Start:
    """Return a function after which the directory can look up nothing."""

    async def start() -> None:
        await busy() if request.param == "busy" else outage()

    return start


@pytest.fixture
def lookups(people: object, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return the list to which each SELECT of any thread is appended from now on."""
    seen: list[str] = []
    execute = CursorWrapper.execute

    def noting(self: CursorWrapper, sql: str, params: Any = None) -> Any:
        if sql.startswith("SELECT") and "@@" not in sql:
            seen.append(sql)
        return execute(self, sql, params)

    monkeypatch.setattr(CursorWrapper, "execute", noting)
    return seen


@pytest.fixture
def stalled(monkeypatch: pytest.MonkeyPatch) -> Stall:
    """Return a context in which the first look-up has read the user and does not return yet.

    The event of the context is set once the user was read.
    """

    @contextlib.contextmanager
    def stall() -> Iterator[threading.Event]:
        has_read, may_return = threading.Event(), threading.Event()
        find_person = queries.find_person

        def slow(connection: Any, user_id: int) -> Any:
            found = find_person(connection, user_id)
            if not has_read.is_set():
                has_read.set()
                may_return.wait(5)
            return found

        monkeypatch.setattr("messaging.directory.database.find_person", slow)
        yield has_read
        may_return.set()

    return stall


@pytest.fixture
async def directory(
    outage: object, people: object, clock: DirectoryClock
) -> AsyncIterator[DatabaseDirectory]:
    opened = DatabaseDirectory(settings(), monotonic_s=clock)
    yield opened
    await opened.close()
