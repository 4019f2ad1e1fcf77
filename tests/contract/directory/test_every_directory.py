"""Test each directory: in memory, and the database of the settings in force."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from messaging.conf import settings
from messaging.directory import DatabaseDirectory
from messaging.domain.conversations import NEVER
from messaging.domain.groups import Membership
from messaging.domain.message import ID_MAX
from messaging.ports.directory import Directory, GroupAccess, TokenMark
from messaging.testing.directory import MemoryDirectory
from tests.contract.directory.people import (
    GENERATION,
    GROUP,
    LOCKED_OUT,
    MEMBER,
    NEW,
    NO_GROUP,
    NOBODY,
    ON_DATABASE,
    SHOWN_FROM,
    STRANGER,
    is_member,
    known_member,
    writing,
)


@pytest.fixture(params=["memory", pytest.param("database", marks=ON_DATABASE)])
async def any_directory(request: pytest.FixtureRequest) -> AsyncIterator[Directory]:
    if request.param == "memory":
        memory = MemoryDirectory(users=[MEMBER, STRANGER, LOCKED_OUT], groups={GROUP: {MEMBER}})
        memory.records[GROUP] = NEW
        memory.inactive.add(LOCKED_OUT)
        memory.shown_from = {STRANGER: NEVER, LOCKED_OUT: SHOWN_FROM}
        memory.blocks.add((MEMBER, STRANGER))
        memory.generations[STRANGER] = GENERATION
        memory.ended.add((STRANGER, "ended"))
        yield memory
        return
    async with writing():
        opened = DatabaseDirectory(settings())
        yield opened
        await opened.close()


class TestEveryDirectory:
    async def test_knows_who_exists(self, any_directory: Directory) -> None:
        for user_id in (MEMBER, STRANGER, LOCKED_OUT):
            assert await any_directory.user_exists(user_id)
        assert not await any_directory.user_exists(NOBODY)
        assert not await any_directory.user_exists(ID_MAX)

    async def test_knows_who_may_act(self, any_directory: Directory) -> None:
        assert await any_directory.user_is_active(MEMBER)
        assert not await any_directory.user_is_active(LOCKED_OUT)
        assert not await any_directory.user_is_active(NOBODY)

    async def test_knows_by_which_tokens_a_user_may_act(self, any_directory: Directory) -> None:
        for mark, is_good in (
            (TokenMark(GENERATION, "open"), True),
            # A newer generation than the directory knows.
            (TokenMark(GENERATION + 1, "open"), True),
            (TokenMark(GENERATION - 1, "open"), False),
            (TokenMark(GENERATION, "ended"), False),
        ):
            assert await any_directory.user_is_active(STRANGER, mark) is is_good
            assert any_directory.known_active(STRANGER, mark) in (None, is_good)
        assert await any_directory.user_is_active(MEMBER, TokenMark(0, "ended"))
        for user_id in (LOCKED_OUT, NOBODY):
            assert not await any_directory.user_is_active(user_id, TokenMark(GENERATION, "open"))

    async def test_knows_who_belongs_to_a_group(self, any_directory: Directory) -> None:
        assert await is_member(any_directory, GROUP, MEMBER) is True
        assert await is_member(any_directory, GROUP, STRANGER) is False
        assert await is_member(any_directory, GROUP, ID_MAX) is False
        assert await is_member(any_directory, NO_GROUP, MEMBER) is None
        assert await is_member(any_directory, ID_MAX, MEMBER) is None

    async def test_knows_what_a_user_may_do_in_a_group(self, any_directory: Directory) -> None:
        for user_id, member in ((MEMBER, Membership()), (STRANGER, None), (ID_MAX, None)):
            access = await any_directory.group_access(GROUP, user_id)
            assert access == GroupAccess(NEW, member)
            asked = await any_directory.ask_access(GROUP, user_id, after=7)
            assert asked == GroupAccess(NEW, member, asked_after=7)
            asked = await any_directory.ask_access(GROUP, user_id, after=5)
            assert asked is not None
            assert asked.asked_after >= 5
            assert await any_directory.ask_access(GROUP, user_id, after=0) == access
        assert await any_directory.ask_access(NO_GROUP, MEMBER, after=0) is None
        assert await any_directory.ask_access(NO_GROUP, MEMBER, after=7) is None

    async def test_knows_who_has_blocked_whom(self, any_directory: Directory) -> None:
        assert await any_directory.is_blocked(MEMBER, STRANGER)
        assert not await any_directory.is_blocked(STRANGER, MEMBER)
        assert not await any_directory.is_blocked(MEMBER, MEMBER)
        assert not await any_directory.is_blocked(NOBODY, STRANGER)
        assert not await any_directory.is_blocked(ID_MAX, ID_MAX)

    async def test_knows_from_when_on_who_shows_what_was_read(
        self, any_directory: Directory
    ) -> None:
        everybody = (MEMBER, STRANGER, LOCKED_OUT, NOBODY)
        shown = {i: await any_directory.receipts_from(i) for i in everybody}
        assert shown == {MEMBER: 0, STRANGER: NEVER, LOCKED_OUT: SHOWN_FROM, NOBODY: NEVER}

    async def test_what_it_knows_at_once_is_what_it_would_find(
        self, any_directory: Directory
    ) -> None:
        for user_id in (MEMBER, STRANGER, LOCKED_OUT, NOBODY):
            active = await any_directory.user_is_active(user_id)
            assert any_directory.known_active(user_id) in (None, active)
            member = await is_member(any_directory, GROUP, user_id)
            assert known_member(any_directory, GROUP, user_id) in (None, member)
            blocked = await any_directory.is_blocked(MEMBER, user_id)
            assert any_directory.known_blocked(MEMBER, user_id) in (None, blocked)
            shown_from = await any_directory.receipts_from(user_id)
            assert any_directory.known_receipts_from(user_id) in (None, shown_from)

    async def test_closes_twice(self, any_directory: Directory) -> None:
        await any_directory.close()
