"""Open each message store: in memory, and the database of the settings in force."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from messaging.conf import settings as messaging_settings
from messaging.ports.store import MessageStore
from messaging.store.database import DatabaseStore
from messaging.testing.store import MemoryStore

database = pytest.param("database", marks=pytest.mark.django_db(transaction=True))


@pytest.fixture(params=["memory", database])
async def store(request: pytest.FixtureRequest) -> AsyncIterator[MessageStore]:
    opened = MemoryStore() if request.param == "memory" else DatabaseStore(messaging_settings())
    yield opened
    await opened.close()
