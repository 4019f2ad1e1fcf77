"""Test that every page is what a plain account of sends, deletes, clears and recalls gives."""

from __future__ import annotations

import asyncio
import contextlib

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from messaging.domain.errors import AlreadyRecalled, MessageNotFound
from messaging.service import conversation_settings
from messaging.service.conversation_settings import clear
from messaging.service.delete import delete
from messaging.service.fetch import fetch
from messaging.service.recall import recall
from messaging.testing.cache import MemoryCache
from tests.support.memory import ALICE, BOB, MemoryService
from tests.unit.pipeline.outages import lose, regain
from tests.unit.service.test_clears import PRIVATE, say, shown

ACTS = (
    "send",
    "send",
    "store",
    "delete",
    "clear",
    "recall",
    "run out",
    "lose",
    "regain",
    "restart",
)
acts = st.lists(st.tuples(st.sampled_from(ACTS), st.integers(0, 40)), max_size=25)


@pytest.fixture(autouse=True)
def no_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(conversation_settings, "LONGEST_WAIT_MS", 0)
    monkeypatch.setattr("messaging.pipeline.hints.GRACE_S", 0)


class Account:
    """Act on a service as both users, and keep which messages bob may see."""

    def __init__(self) -> None:
        self.service = MemoryService()
        self.visible: list[int] = []  # newest first
        self.gone: list[int] = []

    async def act(self, what: str, number: int) -> None:
        service = self.service
        if what == "send" and not service.cache.down:
            self.visible[:0] = await say(service, PRIVATE, number)
        elif what == "store":
            await service.consume()
        elif what == "delete" and self.visible and not service.cache.down:
            self.gone.append(self.visible.pop(number % len(self.visible)))
            await delete(service.backends, self.gone[-1], user_id=BOB)
        elif what == "recall" and self.visible and not service.cache.down:
            with contextlib.suppress(AlreadyRecalled):
                await recall(service.backends, self.visible[0], user_id=ALICE)
        elif what == "clear" and (BOB, PRIVATE) in service.store.participants:
            await clear(service.backends, PRIVATE, user_id=BOB)
            service.clock.now_ms += 500
            self.gone += self.visible
            self.visible.clear()
        elif what == "run out" and not service.cache.pending_set.times:
            service.cache.run_out()
        elif what == "lose":
            lose(service)
        elif what == "regain" and service.cache.down:
            await regain(service)
        elif what == "restart" and not service.cache.down:
            await self._restart()

    async def _restart(self) -> None:
        """Empty the cache when nothing is pending, as then the log and the store have all."""
        await self.service.consume()
        self.service.cache.restart(MemoryCache().file())
        await self.service.hints.recover()

    async def check(self) -> None:
        assert await shown(self.service, PRIVATE) == self.visible
        for message_id in self.gone[-2:]:
            with pytest.raises(MessageNotFound):
                await fetch(self.service.backends, message_id, reader_id=BOB)


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(acts)
def test_a_page_is_what_the_account_gives(done: list[tuple[str, int]]) -> None:
    async def run() -> None:
        account = Account()
        await account.service.hints.recover()
        account.visible += await say(account.service, PRIVATE)
        for what, number in done:
            await account.act(what, number)
        if account.service.cache.down:
            await regain(account.service)
        account.service.cache.complete_from_s = float("-inf")
        await account.check()
        await account.service.consume()
        await account.check()
        account.service.cache.run_out()
        await account.check()

    asyncio.run(run())
