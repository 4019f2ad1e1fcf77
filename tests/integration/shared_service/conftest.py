"""Run one service at each door for all tests of a module; each test has users of its own.

Tests that count rows, statements or keys, that change settings, or that need an empty site, belong
to the folder above: a service and a flushed database are made for each of them there.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator

import pytest
from django.core.management import call_command
from django.db import connections
from django.test import override_settings
from pytest_django import DjangoDbBlocker

from messaging.runtime import wiring
from tests.integration.configuration import silence_background_looks, site_settings
from tests.support.http_client import Application, AsgiServer, Client
from tests.support.real_services import empty_server
from tests.support.service import Service, User

# All tests of a module call from one address. `test_limits` judges these rates.
NO_RATES_OF_AN_ADDRESS = {
    "stranger_rate": 0.0,
    "login_address_per_minute": 0.0,
    "register_per_hour": 0.0,
}


@pytest.fixture(scope="module")
def door(request: pytest.FixtureRequest) -> str:
    """Return the way of the hot calls, as of the folder above; the tests of a door run together."""
    return str(getattr(request, "param", "gateway"))


@pytest.fixture(scope="module")
def redis_url(redis_server: str, door: str) -> str:
    """Return the URL of a real redis-server, emptied just before the first test at a door."""
    empty_server(redis_server)
    return redis_server


@pytest.fixture(scope="module")
def transactional_db(
    door: str, django_db_setup: None, django_db_blocker: DjangoDbBlocker
) -> Iterator[None]:
    """Open the database to all tests of a module at a door, and flush it behind the last of them.

    pytest-django makes the test database for tests that ask for this name, and keeps such tests
    among those whose transactions are real. Its own fixture of this name flushes after each test.
    """
    with django_db_blocker.unblock():
        yield
        call_command("flush", verbosity=0, interactive=False)
        connections.close_all()


@pytest.fixture(scope="module")
def configured(redis_url: str, door: str, transactional_db: None) -> Iterator[None]:
    """Set up the services and settings of all tests of a module at one door."""
    values = site_settings(redis_url, door, NO_RATES_OF_AN_ADDRESS)
    with pytest.MonkeyPatch.context() as patch, override_settings(**values):
        silence_background_looks(patch)
        wiring.reset()
        yield
        wiring.reset()


@pytest.fixture(scope="module")
def service(configured: None, application: Application) -> Iterator[Service]:
    with AsgiServer(application) as server:
        yield Service(Client(server.exchange))


@pytest.fixture
def unused() -> str:
    """Return the end of user names that no other test takes."""
    return secrets.token_hex(8)


@pytest.fixture
def alice(service: Service, unused: str) -> User:
    return service.register(f"alice{unused}")


@pytest.fixture
def bob(service: Service, unused: str) -> User:
    return service.register(f"bob{unused}")


@pytest.fixture
def carol(service: Service, unused: str) -> User:
    """Return a user outside alice's and bob's conversation."""
    return service.register(f"carol{unused}")
