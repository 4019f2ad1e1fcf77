"""Run the whole service in this process, on a real Redis and database, behind its HTTP API."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest
import redis
from django.db.backends.utils import CursorWrapper
from pytest_django import Settings

from messaging.runtime import signals, wiring
from tests.integration.configuration import silence_background_looks, site_settings
from tests.integration.scene import Scene, make_pairs, running
from tests.support.busy_lists import LISTS_AND_TAILS, Trips, watched, write_to
from tests.support.http_client import Application, AsgiServer, Client
from tests.support.service import Service, User


@pytest.fixture(scope="session")
def application() -> Application:
    """Return the ASGI application under test."""
    from imsite.asgi import application

    return application


@pytest.fixture
def door(request: pytest.FixtureRequest) -> str:
    """Return the way of the hot calls: `gateway`, or `django` as well under `at_both_doors`."""
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
    """Set up this test's services and settings (`with_settings`)."""
    silence_background_looks(monkeypatch)
    # Changes of the transactions of earlier tests, which were rolled back, are not this test's.
    monkeypatch.setattr(signals, "_noted", signals._Noted())
    values = site_settings(redis_url, door, getattr(request, "param", {}))
    for name, value in values.items():
        setattr(settings, name, value)
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
    """Return a user outside alice's and bob's conversation."""
    return service.register("carol")


@pytest.fixture
def trips(redis_url: str) -> Iterator[Trips]:
    """Yield a function that counts the commands of lists and syncs since its last call."""
    with watched(redis_url, *LISTS_AND_TAILS) as seen:
        yield lambda: len(seen())


@pytest.fixture
def busy(service: Service, alice: User) -> User:
    """Return alice, whom many have written to, and who is in some groups."""
    write_to(service, alice)
    return alice


@pytest.fixture
def statements(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return the list of all statements of this process, without those that open a connection."""
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
    """Return a function that deletes all keys with a TTL, as a long pause or full memory does."""

    def delete_what_ages() -> None:
        with redis.Redis.from_url(redis_url) as client:
            ageing = [name for name in client.scan_iter("msg:*") if client.ttl(name) >= 0]
            if ageing:
                client.delete(*ageing)

    return delete_what_ages


@pytest.fixture
def pairs(transactional_db: None) -> Iterator[tuple[int, int]]:
    """Yield pairs of user ids; the two have never written to each other."""
    return make_pairs()


@pytest.fixture
async def scene(
    configured: None, pairs: Iterator[tuple[int, int]], forget: Callable[[], None]
) -> AsyncIterator[Scene]:
    """Open the use cases and a consumer for a test on the same loop."""
    async with running(pairs, forget) as scene:
        yield scene
