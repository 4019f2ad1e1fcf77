"""Test a Redis that does not answer in time."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from pathlib import Path

import pytest
import redis

from messaging.cache.redis_cache import RedisMessageCache
from messaging.domain.backend_errors import CacheUnavailable
from tests.integration.redis_cache.opened import TIMEOUT_S, open_cache, row, tail
from tests.support.messages import FIRST_ID, make_message
from tests.support.real_services import free_port, running_redis


class TestOutage:
    async def test_ends_when_redis_is_back_with_its_data(self, tmp_path: Path) -> None:
        port = free_port()
        cache = open_cache(f"redis://127.0.0.1:{port}/0", timeout_s=TIMEOUT_S)
        with running_redis(tmp_path, "--appendfsync", "always", port=port):
            await cache.accept([make_message(1)], None)
        for _ in range(3):
            with pytest.raises(CacheUnavailable):
                await cache.accept([make_message(2)], None)

        with running_redis(tmp_path, port=port):
            await cache.accept([make_message(3)], None)
            assert [m.id - FIRST_ID for m in (await tail(cache)).messages] == [3, 1]
            await cache.close()

    @pytest.mark.alone
    async def test_of_a_stalled_redis_is_bounded_and_runs_a_write_once(
        self, tmp_path: Path
    ) -> None:
        with running_redis(tmp_path) as url, redis.Redis.from_url(url) as server:
            cache = open_cache(url, timeout_s=TIMEOUT_S)
            message = make_message(1)
            await cache.accept([message], None)
            await cache.count_attempt([message])
            pid = server.info("server")["process_id"]
            os.kill(pid, signal.SIGSTOP)
            try:
                begun_s = time.monotonic()
                with pytest.raises(CacheUnavailable):
                    await cache.count_attempt([message])
                assert time.monotonic() - begun_s < 3 * TIMEOUT_S
                begun_s = time.monotonic()
                answers = await asyncio.gather(
                    *(tail(cache) for _ in range(100)), return_exceptions=True
                )
                assert time.monotonic() - begun_s < 5 * TIMEOUT_S
                assert all(isinstance(answer, CacheUnavailable) for answer in answers)
            finally:
                os.kill(pid, signal.SIGCONT)

            assert server.hget("msg:pending:attempts", str(message.id)) == b"2"
            assert (await tail(cache)).messages == (message,)
            await cache.close()

    async def test_a_read_only_replica_is_one(
        self, cache: RedisMessageCache, server: redis.Redis
    ) -> None:
        server.replicaof("127.0.0.1", 1)
        try:
            with pytest.raises(CacheUnavailable):
                await cache.accept([make_message(1)], None)
            with pytest.raises(CacheUnavailable):
                await cache.mark_stored([row(1).recalled(5)])
        finally:
            server.replicaof("NO", "ONE")
        assert await cache.pending_count() == 0

    async def test_a_key_of_another_type_is_one(
        self, cache: RedisMessageCache, server: redis.Redis
    ) -> None:
        server.set("msg:conv:1_2", "text")

        with pytest.raises(CacheUnavailable):
            await tail(cache)
