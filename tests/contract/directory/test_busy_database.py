"""Test the directory on a database that has no time for its questions."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest

from messaging.directory import DatabaseDirectory, queries
from messaging.domain.backend_errors import StoreBusy
from tests.contract.directory.people import (
    GROUP,
    IDENTITY_TTL_S,
    LOCKED_OUT,
    MEMBER,
    NOBODY,
    ON_DATABASE,
    STRANGER,
    DirectoryClock,
    Start,
    is_member,
)


@ON_DATABASE
class TestADatabaseThatHasNoTime:
    async def test_is_not_away_for_five_hundred_strangers_at_once(
        self, directory: DatabaseDirectory, clock: DirectoryClock, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def slow(connection: Any, user_id: int) -> Any:
            time.sleep(0.01)
            return queries.find_person(connection, user_id)

        assert await directory.is_blocked(MEMBER, STRANGER)
        assert not await directory.user_is_active(LOCKED_OUT)
        clock.now_s += 10 * IDENTITY_TTL_S
        monkeypatch.setattr("messaging.directory.database.find_person", slow)
        strangers = [directory.user_exists(1_000 + n) for n in range(500)]
        asked = asyncio.gather(*strangers, return_exceptions=True)
        await asyncio.sleep(0)

        assert await directory.is_blocked(MEMBER, STRANGER)
        assert not await directory.user_is_active(LOCKED_OUT)
        outcomes = await asked
        assert {type(outcome) for outcome in outcomes} == {bool, StoreBusy}
        assert True not in outcomes
        assert directory._threads.breaker.is_closed

    async def test_lets_nobody_pass(
        self, directory: DatabaseDirectory, clock: DirectoryClock, busy: Start
    ) -> None:
        assert await directory.user_is_active(MEMBER)
        assert not await directory.is_blocked(STRANGER, MEMBER)
        assert await is_member(directory, GROUP, MEMBER)
        clock.now_s += 10 * IDENTITY_TTL_S
        await busy()
        questions = [
            directory.user_exists(NOBODY),
            directory.user_is_active(MEMBER),
            directory.is_blocked(STRANGER, MEMBER),
            is_member(directory, GROUP, MEMBER),
        ]

        outcomes = await asyncio.gather(*questions, return_exceptions=True)
        assert {type(outcome) for outcome in outcomes} == {StoreBusy}
