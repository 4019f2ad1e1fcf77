"""Test what becomes of a look-up that nobody waits for any more."""

from __future__ import annotations

import asyncio
import gc

import pytest

from messaging.directory.ttl_cache import TtlCache
from messaging.domain.backend_errors import StoreUnavailable


async def test_the_error_of_a_lookup_without_a_caller_is_nobodys_news() -> None:
    told: list[object] = []
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: told.append(context))
    cache: TtlCache[int, bool] = TtlCache(lambda _: 1.0, monotonic_s=loop.time)
    is_away = loop.create_future()

    async def ask() -> bool:
        await is_away
        raise StoreUnavailable

    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await cache.find(1, ask)
    is_away.set_result(None)
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    gc.collect()
    assert told == []
