"""Open each conversation store: in memory, and the database of the settings in force."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from messaging.conf import settings
from tests.contract.conversations.rigs import InDatabase, InMemory, Rig

database = pytest.param("database", marks=pytest.mark.django_db(transaction=True))


@pytest.fixture(params=["memory", database])
async def rig(request: pytest.FixtureRequest) -> AsyncIterator[Rig]:
    opened: Rig = InMemory(settings()) if request.param == "memory" else InDatabase(settings())
    yield opened
    await opened.close()
