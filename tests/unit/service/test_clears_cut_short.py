"""Test what a user sees after a process has died between the commit of a clear and its telling."""

from __future__ import annotations

import pytest

from messaging.domain.conversation_requests import ListRequest
from messaging.domain.ids import group_of
from messaging.domain.message import ChatType
from messaging.pipeline.write_through import HintedWrites
from messaging.ports.listings import LISTING_FRESH_MS
from messaging.service.conversations import list_conversations
from messaging.service.send import send
from messaging.terminal.model import Model
from tests.support.memory import ALICE, BOB, MALLORY, to_bob, to_group
from tests.support.sync_site import SyncSite, chat


class Died(BaseException):
    """End a process at once."""


@pytest.fixture(params=["private", "group"])
async def cut_short(request: pytest.FixtureRequest) -> tuple[SyncSite, str]:
    """Return a site whose process has died in a clear by bob, and the conversation.

    Two messages were pending at the clear, and are stored by now. Pages know of no floor.
    """
    site = SyncSite()
    await site.service.hints.recover()
    name = chat(ALICE, BOB)
    if request.param == "group":
        name = f"g{await site.create_group(ALICE, BOB, MALLORY)}"
    await say(site, name, 3)
    await site.service.consume()
    await say(site, name, 2)
    await page(site, name)
    with pytest.MonkeyPatch.context() as patched:

        async def die(*args: object) -> None:
            raise Died

        patched.setattr(HintedWrites, "raise_floor", die)
        with pytest.raises(Died):
            await site.clear(BOB, name)
    await site.service.consume()
    site.tick(LISTING_FRESH_MS + 5_000)
    return site, name


async def say(site: SyncSite, name: str, count: int) -> None:
    group_id = group_of(name)
    for n in range(count):
        site.tick()
        text = f"secret {n}"
        wanted = to_bob(text) if group_id is None else to_group(text, target_id=group_id)
        await send(site.backends, wanted, sender_id=ALICE)


async def page(site: SyncSite, name: str) -> list[str]:
    group_id = group_of(name)
    target = (ChatType.PRIVATE, ALICE) if group_id is None else (ChatType.GROUP, group_id)
    return [message["content"] for message in await site.whole_history(BOB, *target)]


async def test_a_process_that_starts_tells_the_pages(cut_short: tuple[SyncSite, str]) -> None:
    site, name = cut_short
    left = [(hint.message_id, hint.user_id) for hint in site.service.store.hinted.values()]
    assert left == [(0, BOB)]

    await site.service.restarted_with().hints.recover()

    assert site.service.store.hinted == {}
    if (group_id := group_of(name)) is not None:
        await site.directory.group_access(group_id, BOB)  # a start forgets all groups
    site.service.store.down = True  # the cache alone answers
    assert await page(site, name) == []


async def test_the_next_sweep_tells_the_pages(cut_short: tuple[SyncSite, str]) -> None:
    site, name = cut_short

    for _ in range(2):  # a repeat does no harm
        await site.service.sweep()

    assert site.service.store.hinted == {}
    assert await page(site, name) == []
    site.service.store.down = True  # the cache alone answers
    assert await page(site, name) == []


async def test_the_list_shows_nothing_below_the_floor_that_it_tells(
    cut_short: tuple[SyncSite, str],
) -> None:
    site, name = cut_short
    wanted = ListRequest(size=20, after=None, includes_hidden=True)
    shown = await list_conversations(site.backends, wanted, reader_id=BOB)
    view = next(each for each in shown.views if each.entry.conversation_id == name)
    assert view.entry.participant.floor_id
    assert view.last_message is None


async def test_sync_tells_nothing_below_the_floor_that_it_tells(
    cut_short: tuple[SyncSite, str],
) -> None:
    site, name = cut_short
    model = Model()
    await site.catch_up(BOB, model)
    assert model.conversations[name].in_order == []


async def test_a_span_has_nothing_below_the_floor_of_the_list(
    cut_short: tuple[SyncSite, str],
) -> None:
    site, name = cut_short
    last = (await site.service.conversations.listing(BOB, [name]))[0].head.last_seq
    assert last >= 5
    assert (await site.span(BOB, name, fromSeq=1, toSeq=last, size=100))["list"] == []
