"""Test sends, marks and recalls when Redis does as asked and its answer is lost."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator
from dataclasses import replace

import pytest
import redis
from pytest_django import Settings

from messaging.domain.errors import SendFailed
from messaging.models import Conversation
from messaging.pipeline.queued_send import Durability
from messaging.runtime.assembly import sweep
from messaging.service.recall import recall
from tests.integration.database import held_conversation
from tests.integration.log_in_redis import positions
from tests.integration.scene import Scene
from tests.support.proxy import Mode, Proxy
from tests.support.real_services import call_whole
from tests.support.service import with_settings

log_too = pytest.mark.parametrize(
    "proxy", [["redis_url", "event_log_url"]], indirect=True, ids=["log too"]
)


@pytest.fixture
def proxy(
    request: pytest.FixtureRequest, configured: None, settings: Settings, redis_url: str
) -> Iterator[Proxy]:
    """Open a proxy between this process and Redis, for the cache alone or for the log too."""
    with contextlib.closing(Proxy(redis_url)) as proxy:
        urls = dict.fromkeys(getattr(request, "param", ["redis_url"]), proxy.url)
        settings.IM = replace(settings.IM, **urls)
        yield proxy


async def heal(proxy: Proxy, scene: Scene) -> None:
    """Let Redis answer again, and wait until this process has noticed."""
    proxy.heal()
    async with asyncio.timeout(10):
        while not await scene.backends.hints.breaker.try_now():
            await asyncio.sleep(0.05)
        while not scene.backends.log.breaker.is_closed:
            await asyncio.sleep(0.05)
    with redis.Redis.from_url(proxy.url) as client:
        call_whole(client)


async def check_one(scene: Scene, alice: int, bob: int, message_id: int) -> None:
    """Check that one message is left at the end, whatever each part had of it."""
    await sweep(scene.an_hour_later())
    await scene.persist()
    for _ in range(2):
        assert await scene.listed(bob, alice) == [message_id]
        assert (await scene.history(alice, bob)).total == 1
        scene.forget()
    assert [row.seq for row in await scene.rows(message_id)] == [1]


async def test_a_send_that_redis_did_not_confirm_is_not_counted_as_held_by_it(
    proxy: Proxy, scene: Scene
) -> None:
    await scene.sent(*next(scene.pairs))  # Redis must know the script before
    alice, bob = next(scene.pairs)
    proxy.turn(Mode.CUT)
    receipt = await scene.send(alice, bob, client_msg_id="c")
    assert receipt.durability is Durability.LOG
    await heal(proxy, scene)
    assert proxy.count
    assert await scene.sent(alice, bob, client_msg_id="c") == receipt.message_id
    await check_one(scene, alice, bob, receipt.message_id)


@log_too
async def test_a_send_is_stored_before_the_answer_when_the_log_is_silent_too(
    proxy: Proxy, scene: Scene
) -> None:
    alice, bob = next(scene.pairs)
    proxy.turn(Mode.CUT)
    receipt = await scene.send(alice, bob, client_msg_id="c")
    assert receipt.durability is Durability.STORE
    await heal(proxy, scene)
    await check_one(scene, alice, bob, receipt.message_id)


@log_too
@with_settings(store_timeout_s=0.5)
async def test_a_send_that_nothing_confirms_is_no_success_and_its_retry_is_one_message(
    proxy: Proxy, scene: Scene
) -> None:
    alice, bob = next(scene.pairs)
    await asyncio.to_thread(Conversation.objects.create, id=f"{alice}_{bob}")
    proxy.turn(Mode.CUT)
    with held_conversation(f"{alice}_{bob}"), pytest.raises(SendFailed):
        await scene.send(alice, bob, client_msg_id="c")
    await heal(proxy, scene)
    message_id = await scene.sent(alice, bob, client_msg_id="c")
    await check_one(scene, alice, bob, message_id)


async def test_a_batch_whose_mark_nobody_confirmed_is_read_again(
    proxy: Proxy, scene: Scene, redis_url: str
) -> None:
    alice, bob = next(scene.pairs)
    message_id = await scene.sent(alice, bob)
    proxy.turn(Mode.CUT)
    assert await scene.consumer.step() == 1
    await heal(proxy, scene)
    with redis.Redis.from_url(redis_url) as client:
        assert not positions(client)
    assert await scene.consumer.step() == 1
    await check_one(scene, alice, bob, message_id)


@pytest.mark.parametrize("mode", [Mode.CUT, Mode.DROP])
async def test_a_recall_that_redis_did_not_confirm_is_for_good_all_the_same(
    proxy: Proxy, scene: Scene, mode: Mode
) -> None:
    alice, bob = next(scene.pairs)
    message_id = await scene.sent(alice, bob, "secret")
    await scene.persist()
    await scene.history(bob, alice)
    proxy.turn(mode)
    await recall(scene.backends, message_id, user_id=alice)
    await heal(proxy, scene)
    assert proxy.count
    assert [m.content for m in await scene.seen(message_id, bob, alice)] == ["", ""]


async def test_a_message_that_only_the_log_took_is_listed_once_it_is_stored(
    proxy: Proxy, scene: Scene
) -> None:
    alice, bob = next(scene.pairs)
    sent = [await scene.sent(alice, bob)]
    await scene.persist()
    assert await scene.listed(bob, alice) == sent
    proxy.turn(Mode.DROP)
    receipt = await scene.send(alice, bob)
    assert receipt.durability is Durability.LOG
    await heal(proxy, scene)
    await scene.persist()
    assert await scene.listed(bob, alice) == [receipt.message_id, *sent]


@log_too
@pytest.mark.parametrize("mode", ["async", "sync"])
async def test_a_message_that_only_the_database_took_is_in_the_next_history(
    proxy: Proxy, scene: Scene, mode: str
) -> None:
    alice, bob = next(scene.pairs)
    sent = [await scene.sent(alice, bob)]
    await scene.persist()
    assert await scene.listed(bob, alice) == sent
    proxy.turn(Mode.DROP)
    settings = replace(scene.backends.settings, private_mode=mode)
    backends = replace(scene.backends, settings=settings)
    receipt = await scene.send(alice, bob, backends=backends)
    assert receipt.durability is Durability.STORE
    await heal(proxy, scene)
    assert await scene.listed(bob, alice) == [receipt.message_id, *sent]
