"""Open each group store: in memory, and the database of the settings in force."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from messaging.conf import settings
from tests.contract.groups.rigs import Case, InDatabase, InMemory, Rig

database = pytest.param("database", marks=pytest.mark.django_db(transaction=True))


@pytest.fixture(params=["memory", database])
async def case(request: pytest.FixtureRequest) -> AsyncIterator[Case]:
    rig: Rig = InMemory(settings()) if request.param == "memory" else InDatabase(settings())
    yield Case(rig)
    await rig.close()
