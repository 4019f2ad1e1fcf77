"""Open the logs of the contract tests; the tests must harm none of these logs."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.support.logs import KafkaRig, LogRig, MemoryRig, StreamsRig
from tests.support.real_services import connected

RIGS_OF_SERVERS = [
    "embedded",
    pytest.param("redis", marks=pytest.mark.connected),
    pytest.param("kafka", marks=pytest.mark.connected),
]


@pytest.fixture(params=["memory", *RIGS_OF_SERVERS])
async def rig(request: pytest.FixtureRequest) -> AsyncIterator[LogRig]:
    opened: LogRig
    match request.param:
        case "memory":
            opened = MemoryRig()
        case "embedded":
            opened = StreamsRig(request.getfixturevalue("redis_url"))
        case "redis":
            opened = StreamsRig(connected("IM_REDIS_URL"))
        case _:
            opened = KafkaRig(connected("IM_EVENT_LOG_URL"))
    await opened.connect()
    yield opened
    await opened.close()
