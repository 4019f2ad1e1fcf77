"""Test that a change of a group's members drops the cached conversation lists of those concerned.

A list that stays would lack a new group, or have a group that its user has left.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest

from messaging.domain.backend_errors import CacheUnavailable
from messaging.domain.groups import JoinMode
from messaging.service import group_changes, groups
from messaging.service.backends import Backends
from messaging.service.group_rules import Actor
from tests.support.memory import ALICE, BOB, MALLORY, MemoryService

OWNER, MEMBER, GUEST = (Actor(user_id=each) for each in (ALICE, BOB, MALLORY))
Act = Callable[[Backends, int], Awaitable[object]]

VERBS: dict[str, tuple[Act, int]] = {
    "join": (lambda b, g: groups.join(b, g, "", actor=GUEST), MALLORY),
    "invite": (lambda b, g: groups.invite(b, g, [MALLORY], actor=OWNER), MALLORY),
    "leave": (lambda b, g: groups.leave(b, g, actor=MEMBER), BOB),
    "remove": (lambda b, g: groups.remove(b, g, [BOB], bans=False, actor=OWNER), BOB),
    "ban": (lambda b, g: groups.remove(b, g, [BOB], bans=True, actor=OWNER), BOB),
}


@pytest.fixture
def service() -> MemoryService:
    return MemoryService()


async def made(service: MemoryService) -> int:
    judged = await groups.create_group(
        service.backends,
        {"name": "club", "join_mode": JoinMode.OPEN},
        actor=OWNER,
        user_ids=[BOB],
        request_id="r",
    )
    return judged.changed.group.id


async def cache_lists(service: MemoryService) -> None:
    for user_id in (ALICE, BOB, MALLORY):
        if token := (await service.cache.listing(user_id)).token:
            await service.cache.fill_listing(user_id, token, [])


async def cached(service: MemoryService) -> set[int]:
    users = (ALICE, BOB, MALLORY)
    return {i for i in users if (await service.cache.listing(i)).entries is not None}


@pytest.mark.parametrize("verb", VERBS)
async def test_a_change_of_members_drops_the_list_of_who_comes_or_goes(
    service: MemoryService, verb: str
) -> None:
    act, user_id = VERBS[verb]
    group_id = await made(service)
    await cache_lists(service)
    await act(service.backends, group_id)
    assert user_id not in await cached(service)


async def test_a_new_group_drops_the_lists_of_its_members_alone(service: MemoryService) -> None:
    await cache_lists(service)
    await made(service)
    assert await cached(service) == {MALLORY}


@pytest.mark.parametrize("verb", [*VERBS, "create"])
async def test_a_repeat_drops_what_the_first_call_has_left(
    service: MemoryService, verb: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    act, user_id = VERBS.get(verb, (lambda _backends, _group_id: made(service), BOB))
    group_id = await made(service)
    with monkeypatch.context() as patch:
        patch.setattr(group_changes, "tell", _die)
        with pytest.raises(ZeroDivisionError):
            await act(service.backends, group_id)
    await cache_lists(service)
    await act(service.backends, group_id)
    assert user_id not in await cached(service)


async def test_a_change_goes_on_without_the_cache(service: MemoryService) -> None:
    group_id = await made(service)
    await cache_lists(service)
    service.cache.down = True
    await groups.join(service.backends, group_id, "", actor=GUEST)
    with pytest.raises(CacheUnavailable):
        await service.cache.listing(MALLORY)


async def _die(*_: object) -> bool:
    raise ZeroDivisionError
