"""Check that busy database threads do not count as an outage, and only a probe tells."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import AsyncIterator

import pytest
from django.db import OperationalError, connections
from django.db.backends.base.base import BaseDatabaseWrapper

from messaging.database import threads as database_threads
from messaging.database.threads import DatabaseThreads
from messaging.domain.backend_errors import StoreBusy, StoreUnavailable

pytestmark = pytest.mark.django_db(transaction=True)
TIMEOUT_S = 0.2


@pytest.fixture
async def threads() -> AsyncIterator[DatabaseThreads]:
    opened = DatabaseThreads(name="few", threads=1, timeout_s=TIMEOUT_S)
    yield opened
    await opened.close()


def ask(connection: BaseDatabaseWrapper) -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
        return int(cursor.fetchone()[0])


@contextlib.asynccontextmanager
async def taken(threads: DatabaseThreads) -> AsyncIterator[asyncio.Task[bool]]:
    """Occupy the pool's only thread with a job that outlasts its caller."""
    begun, may_end = threading.Event(), threading.Event()

    def work(_: BaseDatabaseWrapper) -> bool:
        begun.set()
        return may_end.wait(30)

    job = asyncio.create_task(threads.run(work))
    await asyncio.to_thread(begun.wait, 5)
    try:
        yield job
    finally:
        may_end.set()


async def test_a_wait_for_a_thread_is_no_outage(threads: DatabaseThreads) -> None:
    async with taken(threads) as job:
        calls = [threads.run(ask) for _ in range(50)]
        outcomes = await asyncio.gather(job, *calls, return_exceptions=True)

    assert {type(outcome) for outcome in outcomes} == {StoreBusy}
    assert not any(outcome.is_outage for outcome in outcomes if isinstance(outcome, StoreBusy))
    assert threads.breaker.is_closed
    async with asyncio.timeout(5):
        while await answer_of(threads) != 1:
            await asyncio.sleep(0.01)


async def answer_of(threads: DatabaseThreads) -> int | None:
    with contextlib.suppress(StoreBusy):
        return await threads.run(ask)
    return None


async def test_the_queue_has_a_bound(
    threads: DatabaseThreads, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database_threads, "MOST_WAITING", 3)
    ran: list[int] = []
    async with taken(threads) as job:
        calls = [threads.run(lambda _, n=n: ran.append(n)) for n in range(9)]  # type: ignore[misc]
        outcomes = await asyncio.gather(*calls, return_exceptions=True)
        await asyncio.wait([job])

    assert [str(outcome) for outcome in outcomes].count("too many calls wait for the database") == 7
    await threads.run(ask)
    assert ran == []  # the callers of these jobs have given up


async def test_no_place_for_a_connection_is_no_outage(threads: DatabaseThreads) -> None:
    if connections["default"].vendor != "mysql":
        pytest.skip("MySQL and MariaDB alone")

    def refuse(_: BaseDatabaseWrapper) -> None:
        raise OperationalError(1040, "Too many connections")

    with pytest.raises(StoreBusy):
        await threads.run(refuse)
    assert threads.breaker.is_closed


async def test_a_call_that_failed_opens_the_breaker_when_the_server_is_away(
    threads: DatabaseThreads, monkeypatch: pytest.MonkeyPatch
) -> None:
    database = connections.databases["default"]
    for name, value in {"NAME": "/nonexistent/im", "HOST": "127.0.0.1", "PORT": "1"}.items():
        monkeypatch.setitem(database, name, value)

    for _ in range(2):  # the second call is refused without a try
        with pytest.raises(StoreUnavailable) as raised:
            await threads.run(ask)
        assert raised.value.is_outage
        assert not threads.breaker.is_closed


async def test_a_server_that_answers_no_look_is_away(
    threads: DatabaseThreads, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database_threads, "PROBE_TIMEOUT_S", 0.1)
    may_answer = threading.Event()
    monkeypatch.setattr(database_threads, "_ask_anew", lambda _: may_answer.wait(30))
    async with taken(threads) as job:
        (outcome,) = await asyncio.gather(job, return_exceptions=True)
        may_answer.set()

    assert isinstance(outcome, StoreUnavailable) and outcome.is_outage
    assert not threads.breaker.is_closed
