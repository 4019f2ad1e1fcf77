"""Check that others read nothing wrong while one process alone cannot reach the cache."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import pytest

from messaging.domain.groups import Group
from messaging.pipeline.cache_loss import GRACE_S
from messaging.pipeline.queued_send import Durability
from messaging.service.delete import delete
from messaging.service.fetch import fetch
from messaging.service.history import HistoryPage, history
from messaging.service.recall import recall
from messaging.service.send import send
from tests.support.memory import (
    ALICE,
    BOB,
    GROUP,
    MemoryService,
    to_bob,
    to_group,
    with_bob,
    with_group,
)
from tests.unit.pipeline.outages import Link, Replaced, listed

LOOK_EVERY_S = 0.05


@dataclass
class Site:
    """Hold two processes over the same stores, each with a link of its own to the cache."""

    other: MemoryService = field(default_factory=MemoryService)

    def __post_init__(self) -> None:
        self.store, self.broker = self.other.store, self.other.broker
        self.link = Link(self.other.cache)
        self.one = MemoryService(
            cache=self.link,  # type: ignore[arg-type]
            store=self.store,
            broker=self.broker,
        )

    async def page(self) -> HistoryPage:
        """Return what the other process shows."""
        return await history(self.other.backends, with_bob(), reader_id=ALICE)

    async def heal(self) -> None:
        self.link.is_cut = False
        assert await self.one.hints.breaker.try_now()


@pytest.fixture
async def site() -> AsyncIterator[Site]:
    site = Site()
    for service in (site.one, site.other):
        await service.hints.recover()
    await send(site.one.backends, to_bob("old"), sender_id=ALICE)
    await site.other.consume()
    assert await listed(site.other) == ["old"]
    site.other.hints.loss.watch(every_s=LOOK_EVERY_S)
    site.link.is_cut = True
    yield site
    for service in (site.one, site.other):
        await service.hints.leave()


async def test_a_message_in_the_log_alone_makes_pages_partial(site: Site) -> None:
    assert not (await site.page()).partial
    receipt = await send(site.one.backends, to_bob("new"), sender_id=ALICE)
    assert receipt.durability is Durability.LOG
    assert (await site.page()).partial


async def test_a_stored_message_is_shown(site: Site) -> None:
    site.broker.down = True
    receipt = await send(site.one.backends, to_bob("new"), sender_id=ALICE)
    assert receipt.durability is Durability.STORE
    assert [m.content for m in (await site.page()).messages] == ["new", "old"]


async def test_a_message_stored_before_its_answer_is_shown(site: Site) -> None:
    request = with_group()
    site.one.directory.records[GROUP] = Group(id=GROUP, name="group", mode="sync")
    await history(site.other.backends, request, reader_id=BOB)  # the list is loaded
    await send(site.one.backends, to_group("new"), sender_id=ALICE)
    page = await history(site.other.backends, request, reader_id=BOB)
    assert [m.content for m in page.messages] == ["new"]


async def test_a_recall_and_a_delete_are_heeded(site: Site) -> None:
    (old,) = (await site.page()).messages
    await recall(site.one.backends, old.id, user_id=ALICE)
    assert (await fetch(site.other.backends, old.id, reader_id=BOB)).content == ""
    await delete(site.one.backends, old.id, user_id=ALICE)
    assert (await site.page()).messages == ()


async def test_pages_are_whole_again_once_the_cache_has_the_message(site: Site) -> None:
    await send(site.one.backends, to_bob("new"), sender_id=ALICE)
    assert site.store.announced_losses
    await site.heal()
    async with asyncio.timeout(2):
        while site.store.announced_losses:
            await asyncio.sleep(LOOK_EVERY_S)
    site.other.cache.complete_from_s = float("-inf")  # the time of partial pages is over
    await asyncio.sleep(2 * LOOK_EVERY_S)
    page = await site.page()
    assert ([m.content for m in page.messages], page.partial) == (["new", "old"], False)


async def test_a_loss_right_after_a_return_is_announced_too(site: Site) -> None:
    await send(site.one.backends, to_bob("new"), sender_id=ALICE)
    await site.heal()
    site.link.is_cut = True
    await send(site.one.backends, to_bob("newer"), sender_id=ALICE)
    assert site.store.announced_losses
    assert (await site.page()).partial


async def test_only_the_first_message_of_a_loss_waits(site: Site) -> None:
    loop = asyncio.get_running_loop()
    times = []
    for content in ("new", "newer"):
        began_s = loop.time()
        await send(site.one.backends, to_bob(content), sender_id=ALICE)
        times.append(loop.time() - began_s)
    assert times[0] >= GRACE_S
    assert times[1] < GRACE_S / 2


async def test_a_process_without_the_cache_stands_in_for_none(site: Site) -> None:
    site.other.hints.breaker.trip()
    site.other.cache.down = True
    site.broker.down = True
    await send(site.one.backends, to_bob("new"), sender_id=ALICE)
    await asyncio.sleep(2 * LOOK_EVERY_S)
    assert len(site.store.hinted) == 1


async def test_a_fault_in_standing_in_does_not_end_it(site: Site) -> None:
    async def break_down(*, besides: str) -> bool:
        raise ZeroDivisionError

    site.other.hints.loss._store = Replaced(site.store, is_loss_announced=break_down)
    await asyncio.sleep(2 * LOOK_EVERY_S)
    site.other.hints.loss._store = site.store
    await send(site.one.backends, to_bob("new"), sender_id=ALICE)
    assert (await site.page()).partial
