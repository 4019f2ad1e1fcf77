"""Test how long the directory on the database keeps its answers, and what they cost."""

from __future__ import annotations

import asyncio

import pytest
from django.contrib.auth import get_user_model

from messaging.conf import settings
from messaging.directory import DatabaseDirectory, ttl_cache
from messaging.directory.group_answers import MEMBERSHIP_TTL_S, NEGATIVE_TTL_S
from messaging.directory.queries import BLOCKS_HELD
from messaging.domain.backend_errors import StoreUnavailable
from messaging.domain.changes import BlockChanged
from messaging.domain.conversations import NEVER
from messaging.models import ChatGroupMember, UserBlock
from tests.contract.directory.people import (
    GROUP,
    IDENTITY_TTL_S,
    LOCKED_OUT,
    MEMBER,
    NOBODY,
    ON_DATABASE,
    STRANGER,
    Begin,
    DirectoryClock,
    Write,
    add_user,
    block,
    is_member,
    known_member,
)


async def is_member_now(directory: DatabaseDirectory) -> bool:
    try:
        return bool(await is_member(directory, GROUP, MEMBER))
    except StoreUnavailable:
        return False


@ON_DATABASE
class TestTheDatabasesDirectory:
    async def test_notices_a_deactivation_within_the_stated_time(
        self, directory: DatabaseDirectory, people: Write, clock: DirectoryClock
    ) -> None:
        assert await directory.user_is_active(MEMBER)
        await people(lambda: get_user_model().objects.update(is_active=False))

        clock.now_s += IDENTITY_TTL_S - 0.1
        assert await directory.user_is_active(MEMBER)
        clock.now_s += 0.1
        assert not await directory.user_is_active(MEMBER)

    async def test_notices_a_removal_from_a_group_within_the_stated_time(
        self, directory: DatabaseDirectory, people: Write, clock: DirectoryClock
    ) -> None:
        assert await is_member(directory, GROUP, MEMBER)
        await people(lambda: ChatGroupMember.objects.all().delete())

        clock.now_s += MEMBERSHIP_TTL_S
        assert await is_member(directory, GROUP, MEMBER) is False

    async def test_notices_a_block_within_the_stated_time(
        self, directory: DatabaseDirectory, people: Write, clock: DirectoryClock
    ) -> None:
        assert not await directory.is_blocked(STRANGER, MEMBER)
        await people(lambda: block(STRANGER, MEMBER))

        clock.now_s += IDENTITY_TTL_S - 0.1
        assert not await directory.is_blocked(STRANGER, MEMBER)
        clock.now_s += 0.1
        assert await directory.is_blocked(STRANGER, MEMBER)

    async def test_notices_somebody_new_soon(
        self, directory: DatabaseDirectory, people: Write, clock: DirectoryClock
    ) -> None:
        assert not await directory.user_exists(NOBODY)
        await people(lambda: add_user(NOBODY))

        clock.now_s += NEGATIVE_TTL_S
        assert await directory.user_exists(NOBODY)

    async def test_finds_all_about_a_receiver_at_one_look(
        self, directory: DatabaseDirectory, lookups: list[str]
    ) -> None:
        assert directory.known_blocked(STRANGER, MEMBER) is None
        assert await directory.user_exists(STRANGER)
        assert await directory.user_is_active(STRANGER)
        assert not await directory.is_blocked(STRANGER, MEMBER)
        assert await directory.receipts_from(STRANGER) == NEVER
        assert len(lookups) == 1

        assert directory.known_receipts_from(STRANGER) == NEVER
        assert directory.known_receipts_from(MEMBER) is None
        assert directory.known_active(STRANGER) is True
        assert directory.known_blocked(STRANGER, MEMBER) is False
        # A locked-out receiver is known as not blocked for any sender.
        assert directory.known_blocked(STRANGER, LOCKED_OUT) is False
        assert directory.known_blocked(NOBODY, MEMBER) is None
        assert len(lookups) == 1

    async def test_knows_members_at_once_after_one_look(
        self, directory: DatabaseDirectory, lookups: list[str]
    ) -> None:
        assert known_member(directory, GROUP, MEMBER) is None
        await is_member(directory, GROUP, MEMBER)
        await is_member(directory, GROUP, STRANGER)

        assert known_member(directory, GROUP, MEMBER) is True
        assert known_member(directory, GROUP, STRANGER) is False
        assert len(lookups) == 1

    async def test_tells_of_a_choice_that_was_never_known_nothing_in_an_outage(
        self, directory: DatabaseDirectory, outage: Begin, clock: DirectoryClock
    ) -> None:
        assert await directory.receipts_from(MEMBER) == 0
        outage()
        clock.now_s += IDENTITY_TTL_S
        assert await directory.receipts_from(MEMBER) == 0
        with pytest.raises(StoreUnavailable):
            await directory.receipts_from(LOCKED_OUT)

    async def test_looks_once_for_all_who_ask_meanwhile(
        self, directory: DatabaseDirectory, lookups: list[str]
    ) -> None:
        asked = (directory.is_blocked(MEMBER, user_id) for user_id in (STRANGER, LOCKED_OUT) * 50)

        assert await asyncio.gather(*asked) == [True, False] * 50
        assert len(lookups) == 1

    async def test_a_caller_who_gives_up_does_not_hurt_the_others(
        self, directory: DatabaseDirectory, lookups: list[str]
    ) -> None:
        first = asyncio.create_task(directory.user_exists(MEMBER))
        second = asyncio.create_task(directory.user_exists(MEMBER))
        await asyncio.sleep(0)
        first.cancel()

        assert await second
        assert first.cancelled()
        assert len(lookups) == 1

    async def test_asks_for_each_pair_where_somebody_has_blocked_very_many(
        self, directory: DatabaseDirectory, people: Write, lookups: list[str], clock: DirectoryClock
    ) -> None:
        others = range(100, 102 + BLOCKS_HELD)
        await people(lambda: [(add_user(other), block(MEMBER, other)) for other in others])
        lookups.clear()

        assert await directory.is_blocked(MEMBER, others[-1])
        assert not await directory.is_blocked(MEMBER, LOCKED_OUT)
        assert len(lookups) == 3  # one look-up for the user, one for each pair
        assert directory.known_blocked(MEMBER, others[-1]) is True
        assert directory.known_blocked(MEMBER, LOCKED_OUT) is False
        assert directory.known_blocked(MEMBER, others[0]) is None
        await people(lambda: UserBlock.objects.filter(blocked_id=others[-1]).delete())
        directory.invalidate(BlockChanged(MEMBER, others[-1]))
        assert not await directory.is_blocked(MEMBER, others[-1])

    async def test_answers_from_its_cache_without_the_database(
        self, directory: DatabaseDirectory, outage: Begin
    ) -> None:
        known = [await directory.user_exists(user_id) for user_id in (MEMBER, NOBODY)]
        outage()

        assert [await directory.user_exists(user_id) for user_id in (MEMBER, NOBODY)] == known

    async def test_lets_users_pass_when_nothing_is_known(
        self, directory: DatabaseDirectory, outage: Begin
    ) -> None:
        outage()

        assert await directory.user_exists(NOBODY)
        assert await directory.user_is_active(LOCKED_OUT)
        assert not await directory.is_blocked(MEMBER, STRANGER)

    async def test_lets_nobody_into_a_group_when_nothing_is_known(
        self, directory: DatabaseDirectory, outage: Begin
    ) -> None:
        outage()

        with pytest.raises(StoreUnavailable):
            await is_member(directory, GROUP, MEMBER)

    async def test_serves_the_last_known_answer_until_the_database_is_back(
        self,
        directory: DatabaseDirectory,
        clock: DirectoryClock,
        outage: Begin,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        async def check() -> None:
            assert await is_member(directory, GROUP, STRANGER) is False
            assert not await directory.user_is_active(LOCKED_OUT)
            assert await directory.is_blocked(MEMBER, STRANGER)

        await check()
        clock.now_s += 10 * IDENTITY_TTL_S
        outage()
        await check()
        directory.expire_all()
        await check()
        monkeypatch.undo()

        async with asyncio.timeout(10):
            while not await is_member_now(directory):
                await asyncio.sleep(0.02)

    async def test_forgets_the_oldest_answers_when_there_are_too_many(
        self, outage: Begin, people: object, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(ttl_cache, "MOST_BYTES", 2 * ttl_cache.ENTRY_BYTES + 200)
        directory = DatabaseDirectory(settings())
        for user_id in (LOCKED_OUT, STRANGER, MEMBER):
            await directory.user_is_active(user_id)

        assert directory.known_active(LOCKED_OUT) is None
        assert directory.known_active(MEMBER)  # the member's block makes this entry larger
        await directory.close()

    async def test_keeps_who_exists_however_many_are_asked_for_who_do_not(
        self, outage: Begin, people: Write, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(ttl_cache, "ABSENT_BYTES", 3 * ttl_cache.ENTRY_BYTES)
        directory = DatabaseDirectory(settings())
        await directory.user_is_active(LOCKED_OUT)
        for user_id in range(1_000, 1_030):
            assert not await directory.user_exists(user_id)

        assert directory.known_active(LOCKED_OUT) is False
        assert [directory.known_active(n) for n in (1_000, 1_029)] == [None, False]
        await directory.close()
