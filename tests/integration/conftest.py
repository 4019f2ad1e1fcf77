"""The whole service in this process, on a real Redis and a real database, behind its HTTP API."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest
from pytest_django import Settings

from messaging import wiring
from tests.integration.http_client import Application, AsgiServer, Client
from tests.integration.service import Service, User


@pytest.fixture
def application() -> Application:
    """The door under test."""
    from imsite.asgi import application

    return application


@pytest.fixture
def configured(
    request: pytest.FixtureRequest, redis_url: str, settings: Settings, transactional_db: None
) -> Iterator[None]:
    """This test's services and settings (`with_settings`); passwords are hashed fast."""
    ours = {"redis_url": redis_url, "event_log_url": redis_url, "log_budget_s": 5.0}
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
