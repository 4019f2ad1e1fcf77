"""Test that each source is asked by itself, whatever the others do."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from messaging.domain.backend_errors import LogUnavailable
from messaging.exporter import asked, asking
from messaging.exporter.asked import Answers
from messaging.exporter.asking import Asking
from messaging.exporter.sources import Source

GOOD: Answers = {asked.log_members: {(): 2}}
LIMIT_S = 20.0


async def good() -> Answers:
    return GOOD


async def away() -> Answers:
    raise LogUnavailable("nobody listens")


async def faulty() -> Answers:
    raise ZeroDivisionError


async def silent() -> Answers:
    await asyncio.Event().wait()
    raise AssertionError


@pytest.fixture(autouse=True)
def fast(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asking, "EVERY_S", 0.01)
    monkeypatch.setattr(asking, "TIMEOUT_S", 0.1)


@contextlib.asynccontextmanager
async def running(**sources: Callable[[], Awaitable[Answers]]) -> AsyncIterator[Asking]:
    opened = Asking([Source(name, ask) for name, ask in sources.items()])
    assert opened.answers() == {}
    task = asyncio.create_task(opened.run())
    yield opened
    task.cancel()
    await asyncio.wait([task])


async def until(met: Callable[[], bool]) -> None:
    async with asyncio.timeout(LIMIT_S):
        while not met():
            await asyncio.sleep(0.01)


async def test_a_source_that_fails_leaves_the_others(caplog: pytest.LogCaptureFixture) -> None:
    async with running(good=good, away=away, faulty=faulty, silent=silent) as opened:
        await until(lambda: len(opened.answers()) == 4)
        assert opened.answers() == {"good": GOOD, "away": None, "faulty": None, "silent": None}
    faults = [r for r in caplog.records if r.__dict__["action"] == "exporter.source_fault"]
    assert {each.__dict__["source"] for each in faults} == {"faulty"}
    failed = [r for r in caplog.records if r.__dict__["action"] == "exporter.source_failed"]
    assert {each.__dict__["source"]: each.__dict__["reason"] for each in failed} == {
        "away": "LogUnavailable",
        "faulty": "ZeroDivisionError",
        "silent": "TimeoutError",
    }


async def test_an_outage_is_logged_once_and_ends(caplog: pytest.LogCaptureFixture) -> None:
    asked_so_often = 0

    async def away_for_a_while() -> Answers:
        nonlocal asked_so_often
        asked_so_often += 1
        return await away() if asked_so_often < 10 else GOOD

    async with running(log=away_for_a_while) as opened:
        await until(lambda: opened.answers().get("log") == GOOD)
    assert len(caplog.records) == 1


async def test_a_source_that_goes_away_tells_no_old_number() -> None:
    """The good answer is still young when the source goes away."""
    is_away = asyncio.Event()

    async def good_until_away() -> Answers:
        return await away() if is_away.is_set() else GOOD

    async with running(log=good_until_away) as opened:
        await until(lambda: opened.answers() == {"log": GOOD})
        is_away.set()
        await until(lambda: opened.answers() == {"log": None})


async def test_an_old_answer_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asking, "EVERY_S", 3_600.0)
    async with running(log=good) as opened:
        await until(lambda: opened.answers() == {"log": GOOD})
        monkeypatch.setattr(asking, "STALE_AFTER_S", -1.0)
        assert opened.answers() == {"log": None}
