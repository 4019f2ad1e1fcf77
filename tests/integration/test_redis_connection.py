"""Test the one connection of a process to Redis: which calls wait on it, and how waits end."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import time
from collections.abc import AsyncIterator, Iterator

import pytest
import redis
from redis.exceptions import ConnectionError, ResponseError, TimeoutError

from messaging.cache import connection as connection_module
from messaging.cache.connection import SharedConnection
from tests.support.proxy import Mode, Proxy
from tests.support.real_services import free_port

TIMEOUT_S = 0.3
LOST = (ConnectionError, OSError)


@pytest.fixture
async def shared(redis_url: str) -> AsyncIterator[SharedConnection]:
    opened = SharedConnection(redis_url, timeout_s=TIMEOUT_S)
    yield opened
    await opened.close()


@pytest.fixture
def server(redis_url: str) -> Iterator[redis.Redis]:
    with redis.Redis.from_url(redis_url, decode_responses=True) as client:
        yield client


@pytest.fixture
def proxy(redis_url: str) -> Iterator[Proxy]:
    with contextlib.closing(Proxy(redis_url)) as opened:
        yield opened


async def outcomes(*calls: object) -> list[object]:
    return await asyncio.gather(*calls, return_exceptions=True)


async def test_each_gets_its_own_answer_on_one_connection(
    shared: SharedConnection, server: redis.Redis
) -> None:
    answers = await asyncio.gather(*(shared.call("ECHO", n) for n in range(2_000)))

    assert answers == [str(n).encode() for n in range(2_000)]
    assert len(server.client_list(_type="normal")) == 2  # the second one is the test's own


async def test_a_refusal_is_its_callers_alone(shared: SharedConnection) -> None:
    first, refused, last = await outcomes(
        shared.call("SET", "k", 1), shared.call("HGET", "k", "f"), shared.call("GET", "k")
    )

    assert (first, last) == (b"OK", b"1")
    assert isinstance(refused, ResponseError)


async def test_who_goes_away_leaves_the_others_their_answers(shared: SharedConnection) -> None:
    calls = [asyncio.ensure_future(shared.call("ECHO", n)) for n in range(100)]
    await asyncio.sleep(0)
    for call in calls[::3]:
        call.cancel()

    answers = await outcomes(*calls)

    kept = [n for n in range(100) if n % 3]
    assert [answers[n] for n in kept] == [str(n).encode() for n in kept]


@pytest.mark.alone
async def test_all_who_wait_for_a_stalled_redis_end_in_time(
    shared: SharedConnection, server: redis.Redis
) -> None:
    await shared.call("PING")
    server.client_pause(round(2 * TIMEOUT_S * 1000))
    begun_s = time.monotonic()

    answers = await outcomes(*(shared.call("INCR", "k") for _ in range(50)))

    assert {type(answer) for answer in answers} == {TimeoutError}
    assert TIMEOUT_S * 0.9 < time.monotonic() - begun_s < TIMEOUT_S + 0.3
    await asyncio.sleep(2 * TIMEOUT_S)
    assert await shared.call("PING") == b"PONG"


@pytest.mark.alone
async def test_a_busy_line_is_not_taken_for_a_stalled_one(shared: SharedConnection) -> None:
    end_s = time.monotonic() + 3 * TIMEOUT_S
    while time.monotonic() < end_s:
        await asyncio.gather(*(shared.call("PING") for _ in range(20)))


async def test_a_lost_connection_ends_all_calls_and_the_next_one_connects(
    shared: SharedConnection, server: redis.Redis
) -> None:
    await shared.call("CLIENT", "SETNAME", "ours")
    (ours,) = [each["id"] for each in server.client_list() if each["name"] == "ours"]
    waiting = [asyncio.ensure_future(shared.call("BLPOP", "nothing", 10)) for _ in range(3)]
    await asyncio.sleep(0.05)
    server.client_kill_filter(_id=ours)

    assert all(isinstance(outcome, LOST) for outcome in await outcomes(*waiting))
    assert await shared.call("PING") == b"PONG"


async def test_nothing_is_sent_a_second_time(proxy: Proxy, server: redis.Redis) -> None:
    shared = SharedConnection(proxy.url, timeout_s=TIMEOUT_S)
    await shared.call("PING")
    proxy.turn(Mode.CUT)

    answers = await outcomes(*(shared.call("INCR", "k") for _ in range(10)))

    assert all(isinstance(answer, LOST) for answer in answers)
    assert int(server.get("k") or 0) == 10
    proxy.heal()
    assert await shared.call("GET", "k") == b"10"
    await shared.close()


@pytest.mark.alone
async def test_all_who_call_while_nobody_answers_end_with_one_attempt(redis_url: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        shared = SharedConnection(
            f"redis://:password@127.0.0.1:{silent.getsockname()[1]}/0", timeout_s=TIMEOUT_S
        )
        begun_s = time.monotonic()
        answers = await outcomes(*(shared.call("PING") for _ in range(50)))

    assert all(isinstance(answer, TimeoutError) for answer in answers)
    assert time.monotonic() - begun_s < 2 * TIMEOUT_S
    await shared.close()


async def test_where_nobody_listens_it_is_told_at_once() -> None:
    shared = SharedConnection(f"redis://127.0.0.1:{free_port()}/0", timeout_s=TIMEOUT_S)
    for _ in range(2):
        with pytest.raises(ConnectionError):
            await shared.call("PING")
    await shared.close()


async def test_no_more_than_so_many_wait(
    shared: SharedConnection, server: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection_module, "MOST_WAITING", 5)
    await shared.call("PING")
    server.client_pause(round(2 * TIMEOUT_S * 1000))

    answers = await outcomes(*(shared.call("PING") for _ in range(8)))

    assert [type(answer) for answer in answers] == [TimeoutError] * 5 + [ConnectionError] * 3


@pytest.mark.parametrize("begun", [False, True])
async def test_closing_ends_all_calls_and_leaves_nothing(
    shared: SharedConnection, server: redis.Redis, begun: bool
) -> None:
    tasks = asyncio.all_tasks()
    if begun:
        await shared.call("PING")
    waiting = asyncio.ensure_future(shared.call("BLPOP", "nothing", 10))
    await asyncio.sleep(0.05 if begun else 0)

    await shared.close()
    await shared.close()

    await asyncio.wait([waiting])
    assert waiting.cancelled() or isinstance(waiting.exception(), LOST)
    assert asyncio.all_tasks() == tasks
    assert await shared.call("PING") == b"PONG"
    await shared.close()
    deadline_s = time.monotonic() + 5
    while len(server.client_list()) > 1:
        assert time.monotonic() < deadline_s
        await asyncio.sleep(0.01)
