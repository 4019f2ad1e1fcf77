"""Test that no view says more of a message than fetch by its id does, whatever has happened.

The parts are in memory. One of two processes hears of no change of a group. Cache and database are
away at times, and the cache comes back empty.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from messaging.service import history_pages
from messaging.testing.cache import MemoryCache
from messaging.urls import urlpatterns
from tests.simulation.loop import VirtualLoop
from tests.support.every_view import ASKED
from tests.support.memory import NOW_MS, Clock
from tests.support.random_life import OFTEN, VERBS, Life
from tests.support.sync_site import USERS, SyncSite
from tests.unit.pipeline.outages import lose, regain

# The routes of messages and conversations whose answers show no message.
SHOW_NONE = {
    "message/send",
    "message/recall",
    "message/delete",
    "conversation/set",
    "conversation/clear",
    "conversation/unread",
    "conversation/receipts",
}


class LoopClock(Clock):
    """Go with the loop's time, beside the steps of the test."""

    @property  # type: ignore[override]
    def now_ms(self) -> int:
        return self._begin_ms + round(asyncio.get_running_loop().time() * 1000)

    @now_ms.setter
    def now_ms(self, value: int) -> None:
        try:
            elapsed_ms = round(asyncio.get_running_loop().time() * 1000)
        except RuntimeError:
            elapsed_ms = 0
        self._begin_ms = value - elapsed_ms


class InMemory:
    """Implement `Stack` with two processes over one memory; the second hears of no change."""

    def __init__(self) -> None:
        self.site = SyncSite(clock=LoopClock(NOW_MS))
        self.deaf = self.site.open_directory()
        self.processes = (
            self.site.backends,
            replace(self.site.backends, directory=self.deaf),
        )

    async def tick(self, ms: int) -> None:
        self.site.tick(ms)

    async def consume(self) -> None:
        if not self.site.service.store.down and not self.site.service.cache.down:
            await self.site.service.consume()

    async def age(self) -> None:
        if not self.site.service.cache.pending_set.times:
            self.site.service.cache.run_out()

    async def lose_cache(self) -> None:
        lose(self.site.service)

    async def lose_store(self) -> None:
        self.site.service.store.down = True

    async def restart_cache(self) -> None:
        """Empty the cache when nothing is pending, as then the log and the store have all."""
        await self.heal()
        await self.consume()
        self.site.service.cache.restart(MemoryCache().file())
        await self._believe_cache()

    async def heal(self) -> None:
        service = self.site.service
        service.store.down = False
        if service.cache.down:
            await regain(service)
            await self._believe_cache()

    async def _believe_cache(self) -> None:
        for directory in (self.site.directory, self.deaf):
            directory.forget_groups()
        await self.site.service.hints.recover()

    async def all_ids(self) -> list[int]:
        service = self.site.service
        return sorted({*service.store.rows, *service.cache.pending_set.times})


class MemoryLife(Life):
    """Lose the cache and the database at times, too."""

    stack: InMemory

    async def _lose_cache(self) -> None:
        await self.stack.lose_cache()

    async def _lose_store(self) -> None:
        await self.stack.lose_store()

    async def _restart_cache(self) -> None:
        await self.stack.restart_cache()

    async def _recall_past_store(self) -> None:
        """Recall what the database has while it is away, and look before it is told."""
        await self.stack.heal()
        await self.stack.consume()
        await self.stack.lose_store()
        await self._recall()
        await self.stack.heal()
        await self._look()


OUTAGES = ["lose_cache", "lose_store", "restart_cache", "recall_past_store"]


async def live(verbs: Sequence[str], seed: int) -> int:
    stack = InMemory()
    await stack.site.service.hints.recover()
    life = MemoryLife(stack, USERS, random.Random(seed))
    await life.begin()
    for verb in verbs:
        await life.act(verb)
    await life.check()
    return life.compared


# A shorter run of one seed is another run, so there is nothing to shrink.
@settings(max_examples=40, phases=(Phase.explicit, Phase.reuse, Phase.generate))
@given(
    st.lists(st.sampled_from(VERBS + OUTAGES + OFTEN * 3), min_size=20, max_size=80),
    st.integers(0, 2**32),
)
def test_no_view_says_more_than_the_message(verbs: list[str], seed: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(history_pages, "FILL_ROWS", 4)  # so that pages are read in the database, too
        VirtualLoop().play(live(verbs, seed))


def test_a_life_compares_many_messages() -> None:
    verbs = random.Random(1).choices(VERBS + OUTAGES + OFTEN * 3, k=80)
    assert VirtualLoop().play(live(verbs, 1)) > 500


def test_each_route_of_messages_is_asked_or_shows_none() -> None:
    routes = {str(each.pattern) for each in urlpatterns}
    own = {name for name in routes if not name.startswith(("user/", "group/", "^token"))}
    assert own - {"health", ""} == ASKED | SHOW_NONE
