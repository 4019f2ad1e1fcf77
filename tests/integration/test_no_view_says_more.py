"""Test on real parts that no view says more of a message than fetch by its id does."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from messaging.models import Message
from messaging.service import conversation_settings
from messaging.service.backends import Backends
from tests.integration.scene import Scene
from tests.support.random_life import OFTEN, VERBS, Life
from tests.support.service import with_settings

NO_RATES = {"send_rate": 0, "read_rate": 0, "change_rate": 0, "lookup_rate": 0}


@dataclass
class OnRealParts:
    """Implement `Stack` with one process over a real Redis and database."""

    scene: Scene
    life: Life | None = None
    processes: Sequence[Backends] = field(init=False)

    def __post_init__(self) -> None:
        self.processes = (self.scene.backends,)

    async def tick(self, ms: int) -> None:
        await asyncio.sleep(0.001)

    async def consume(self) -> None:
        await self.scene.persist()

    async def age(self) -> None:
        self.scene.forget()

    async def heal(self) -> None:
        while not await self.scene.backends.hints.breaker.try_now():
            await asyncio.sleep(0.01)

    async def all_ids(self) -> list[int]:
        assert self.life is not None
        rows = Message.objects.filter(conversation_id=self.life.group)
        return sorted({*self.life.sent, *[row.id async for row in rows]})


class RealLife(Life):
    """Doubt Redis at times, too."""

    async def _doubt_cache(self) -> None:
        """Go without Redis until the next probe."""
        self.process.hints.breaker.trip()


@pytest.fixture(autouse=True)
def one_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no clear wait for other clocks, since there is one."""
    monkeypatch.setattr(conversation_settings, "CLOCK_DIFFERENCE_MS", 0)


@with_settings(**NO_RATES)
@settings(
    max_examples=15,
    phases=(Phase.explicit, Phase.reuse, Phase.generate),
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    verbs=st.lists(st.sampled_from([*VERBS, "doubt_cache", *OFTEN * 3]), min_size=20, max_size=60),
    seed=st.integers(0, 2**32),
)
async def test_no_view_says_more_than_the_message(
    scene: Scene, verbs: list[str], seed: int
) -> None:
    stack = OnRealParts(scene)
    users = [*next(scene.pairs), next(scene.pairs)[0]]
    life = stack.life = RealLife(stack, users, random.Random(seed))
    await life.begin()
    for verb in verbs:
        await life.act(verb)
    await life.check()
    assert life.compared
