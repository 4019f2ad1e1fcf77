"""The whole service in this process, on a real Redis and a real database, behind its HTTP API."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
import redis
from django.db.backends.utils import CursorWrapper
from pytest_django import Settings

from messaging.pipeline import hints
from messaging.runtime import wiring
from tests.integration.scene import Scene, make_pairs, running
from tests.support.http_client import Application, AsgiServer, Client
from tests.support.service import Service, User


@pytest.fixture
def application() -> Application:
    """The door under test."""
    from imsite.asgi import application

    return application


@pytest.fixture
def door(request: pytest.FixtureRequest) -> str:
    """Which way the hot calls go (`at_both_doors`)."""
    return str(getattr(request, "param", "gateway"))


@pytest.fixture
def configured(
    request: pytest.FixtureRequest,
    door: str,
    redis_url: str,
    settings: Settings,
    transactional_db: None,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[None]:
    """This test's services and settings (`with_settings`); passwords are hashed fast.

    Nobody looks at the backends but who calls them: what a test counts is its own.
    """
    monkeypatch.setattr(hints, "HEARTBEAT_S", 3_600)
    monkeypatch.setattr(wiring, "PROBE_STORE_EVERY_S", 3_600)
    ours = {"redis_url": redis_url, "event_log_url": redis_url, "log_budget_s": 5.0}
    ours["gateway"] = door == "gateway"
    settings.IM = replace(settings.IM, **(ours | getattr(request, "param", {})))
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
    wiring.reset()
    yield
    wiring.reset()


@pytest.fixture
def service(configured: None, application: Application) -> Iterator[Service]:
    with AsgiServer(application) as server:
        yield Service(Client(server.exchange))


@pytest.fixture
def alice(service: Service) -> User:
    return service.register("alice")


@pytest.fixture
def bob(service: Service) -> User:
    return service.register("bob")


@pytest.fixture
def carol(service: Service) -> User:
    """A stranger to whatever alice and bob say."""
    return service.register("carol")


@pytest.fixture
def statements(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Every statement of any thread of this process, but what a new connection begins with."""
    seen: list[str] = []
    execute = CursorWrapper.execute

    def noting(self: CursorWrapper, sql: str, params: Any = None) -> Any:
        if "@@" not in sql and not sql.startswith("SET "):
            seen.append(sql)
        return execute(self, sql, params)

    monkeypatch.setattr(CursorWrapper, "execute", noting)
    return seen


@pytest.fixture
def forget(redis_url: str) -> Callable[[], None]:
    """Makes Redis lose all that has a time to live: as after a long pause, or short of memory."""

    def delete_what_ages() -> None:
        with redis.Redis.from_url(redis_url) as client:
            ageing = [name for name in client.scan_iter("msg:*") if client.ttl(name) >= 0]
            if ageing:
                client.delete(*ageing)

    return delete_what_ages


@pytest.fixture
def pairs(transactional_db: None) -> Iterator[tuple[int, int]]:
    """Ids of users, two at a time, who have never written to each other."""
    return make_pairs()


@pytest.fixture
async def scene(
    configured: None, pairs: Iterator[tuple[int, int]], forget: Callable[[], None]
) -> AsyncIterator[Scene]:
    """The use cases and a consumer, for a test on the same loop."""
    async with running(pairs, forget) as scene:
        yield scene
