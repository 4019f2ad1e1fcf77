"""Test that a cache which may have lost doubts about rights puts all earlier answers in doubt."""

from __future__ import annotations

from messaging.ports.cache import MessageCache
from messaging.ports.cached import Guarded
from tests.contract.cache.conversation import one
from tests.contract.cache.events import Events
from tests.contract.cache.test_guards import (
    ALICE,
    BOB,
    GROUP,
    OTHER_GROUP,
    in_group,
    score_of,
    send,
)
from tests.contract.cache.test_restart import Restart


async def recover(cache: MessageCache) -> None:
    """Write a heartbeat and what a loss may have lost, as a process does."""
    seen = await cache.heartbeat()
    await cache.note_recovered(seen.id, returned=False)


async def test_every_right_that_was_asked_for_before_is_in_doubt(
    cache: MessageCache, restart: Restart
) -> None:
    await cache.distrust(OTHER_GROUP, [BOB])
    before = await score_of(cache, BOB, OTHER_GROUP)
    await restart()
    score = await score_of(cache)
    assert score > before
    assert await score_of(cache, BOB, OTHER_GROUP) == score
    message = in_group(1)
    for asked_after in (0, before):
        assert await cache.judge(message, asked_after=asked_after) == Guarded(score)
        assert await send(cache, message, asked_after=asked_after) == Guarded(score)
    assert await one(cache, message) is None
    assert await cache.judge(message, asked_after=score) is None
    assert await send(cache, message, asked_after=score) is None
    view = await cache.reader_view([message.id], reader_id=BOB)
    assert view.guards == {message.id: score}


async def test_an_emptied_cache_doubts_before_any_heartbeat(
    cache: MessageCache, events: Events
) -> None:
    empty = await events.file()
    await cache.distrust(GROUP, [ALICE])
    before = await score_of(cache)
    await events.restart({} if isinstance(empty, dict) else empty)
    score = await score_of(cache)
    assert score > before
    assert await score_of(cache) == score  # an answer that was asked for after it counts
    await recover(cache)
    assert await score_of(cache) >= score


async def test_a_doubt_while_the_cache_recovers_is_larger(
    cache: MessageCache, restart: Restart
) -> None:
    await restart()
    lost = await score_of(cache)
    await cache.distrust(GROUP, [ALICE])
    assert await score_of(cache) > lost
    assert await score_of(cache, BOB) == lost
    await recover(cache)
    known = await score_of(cache, BOB)
    await cache.distrust(OTHER_GROUP, None)
    assert await score_of(cache, BOB, OTHER_GROUP) > known >= lost


async def test_a_cache_that_has_recovered_doubts_nothing_more(
    cache: MessageCache, restart: Restart, events: Events
) -> None:
    await restart()
    await recover(cache)
    assert await score_of(cache)
    await events.pass_recovery()
    assert await score_of(cache) == 0
    assert await send(cache, in_group(1)) is None


async def test_a_private_message_is_not_in_doubt(cache: MessageCache, restart: Restart) -> None:
    await restart()
    assert await send(cache, in_group(1), asked_after=None) is None
