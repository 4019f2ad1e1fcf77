"""Check that a redis-server that is really stopped and started hides what it held before."""

from __future__ import annotations

from pathlib import Path

from messaging.cache.redis_cache import RedisMessageCache
from tests.integration.redis_cache.opened import load, open_cache, row, tail
from tests.support.messages import FIRST_ID, make_message
from tests.support.real_services import free_port, running_redis


async def test_hides_the_copies_that_the_file_has_and_keeps_the_pending(tmp_path: Path) -> None:
    port = free_port()
    with running_redis(tmp_path, port=port) as url:
        cache = open_cache(url)
        before = await cache.heartbeat()
        await load(cache, row(1), row(2, seq=2))
        await cache.accept([make_message(3)], None)
        assert len((await tail(cache)).messages) == 3
        await cache.close()
    with running_redis(tmp_path, port=port) as url:
        cache = open_cache(url)
        after = await cache.heartbeat()
        assert (after.id == before.id, after.is_recovered) == (False, False)
        seen = await tail(cache)
        assert (seen.messages, seen.missing) == (
            (make_message(3),),
            (FIRST_ID + 2, FIRST_ID + 1),
        )
        assert (seen.total, seen.recovering) == (None, True)
        await load_again(cache)


async def load_again(cache: RedisMessageCache) -> None:
    """Fill the list as the next reader does; later heartbeats leave that alone."""
    await load(cache, row(1), row(2, seq=2))
    assert (await tail(cache)).total == 3
    await cache.heartbeat()
    assert [m.id for m in (await tail(cache)).messages] == [FIRST_ID + n for n in (3, 2, 1)]
    await cache.close()
