"""Check that reads, changes and look-ups have a rate for each user, taken before any work."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace

import pytest

from messaging.domain.errors import MessageNotFound, TooManyRequests, UserNotFound
from messaging.domain.groups import Group, Membership
from messaging.ports.directory import GroupAccess
from messaging.service.delete import delete
from messaging.service.fetch import fetch
from messaging.service.history import history
from messaging.service.recall import recall
from messaging.service.send import send
from tests.support.memory import (
    ALICE,
    BOB,
    GROUP,
    MALLORY,
    SETTINGS,
    MemoryService,
    to_bob,
    with_bob,
)
from tests.support.memory import to_group as group_send

BURST = 3
NOBODY = 999
Call = Callable[[MemoryService, int], Awaitable[object]]


def read_page(service: MemoryService, user_id: int) -> Awaitable[object]:
    return history(service.backends, with_bob(), reader_id=user_id)


def read_one(service: MemoryService, user_id: int) -> Awaitable[object]:
    return fetch(service.backends, 1, reader_id=user_id)


def recall_one(service: MemoryService, user_id: int) -> Awaitable[object]:
    return recall(service.backends, 1, user_id=user_id)


def delete_one(service: MemoryService, user_id: int) -> Awaitable[object]:
    return delete(service.backends, 1, user_id=user_id)


def limited(**rates: float) -> MemoryService:
    return MemoryService(replace(SETTINGS, **rates))  # type: ignore[arg-type]


async def outcome(call: Awaitable[object]) -> type[Exception] | None:
    try:
        await call
    except (MessageNotFound, TooManyRequests, UserNotFound) as error:
        return type(error)
    return None


@pytest.mark.parametrize(
    "calls", [(read_page, read_one), (recall_one, delete_one)], ids=["reads", "changes"]
)
async def test_a_user_is_refused_one_past_the_burst_and_nobody_else_is(
    calls: tuple[Call, Call],
) -> None:
    kind = "read" if calls[0] is read_page else "change"
    service = limited(**{f"{kind}_rate": 0.001, f"{kind}_burst": BURST})
    many = [await outcome(calls[n % 2](service, ALICE)) for n in range(BURST + 2)]
    assert many[BURST:] == [TooManyRequests] * 2
    assert TooManyRequests not in many[:BURST]
    assert await outcome(calls[1](service, MALLORY)) is MessageNotFound


async def test_looking_strangers_up_has_a_rate_and_writing_to_the_known_has_none() -> None:
    service = limited(lookup_rate=0.001, lookup_burst=BURST)
    asked = [
        await outcome(send(service.backends, to_bob(target_id=NOBODY + n), sender_id=ALICE))
        for n in range(BURST + 1)
    ]
    assert asked == [UserNotFound] * BURST + [TooManyRequests]
    service.directory.known_blocked = lambda blocker_id, blocked_id: False  # type: ignore[method-assign]
    service.directory.known_access = lambda group_id, user_id: GroupAccess(  # type: ignore[method-assign]
        Group(id=GROUP, name="group"), Membership()
    )
    for request in (to_bob(), group_send(target_id=GROUP)):
        assert await outcome(send(service.backends, request, sender_id=ALICE)) is None


async def test_a_group_that_is_not_known_is_looked_up_at_the_same_rate() -> None:
    service = limited(lookup_rate=0.001, lookup_burst=BURST)
    for _ in range(BURST):
        await send(service.backends, group_send(), sender_id=BOB)
    with pytest.raises(TooManyRequests):
        await send(service.backends, group_send(), sender_id=BOB)
