"""Test how the directory on the database follows a change of people."""

from __future__ import annotations

import asyncio

import pytest
from django.contrib.auth import get_user_model

from messaging.directory import DatabaseDirectory
from messaging.directory.queries import BLOCKS_HELD
from messaging.domain.backend_errors import StoreUnavailable
from messaging.domain.changes import (
    AnythingChanged,
    BlockChanged,
    Change,
    MemberChanged,
    TokensEnded,
    UserChanged,
)
from messaging.models import ChatGroupMember
from messaging.ports.directory import TokenMark
from tests.contract.directory.people import (
    GROUP,
    LOCKED_OUT,
    MEMBER,
    ON_DATABASE,
    STRANGER,
    Begin,
    Stall,
    Start,
    Write,
    block,
    is_member,
    known_member,
)


@ON_DATABASE
class TestAChange:
    """No entry's lifetime passes in any of these cases."""

    @pytest.fixture
    async def warm(self, directory: DatabaseDirectory) -> DatabaseDirectory:
        assert not await directory.is_blocked(STRANGER, MEMBER)
        assert await directory.user_is_active(MEMBER)
        assert await is_member(directory, GROUP, MEMBER)
        return directory

    @pytest.mark.parametrize("change", [BlockChanged(STRANGER, MEMBER), AnythingChanged()])
    async def test_of_a_block_is_seen(
        self, warm: DatabaseDirectory, people: Write, change: Change
    ) -> None:
        await people(lambda: block(STRANGER, MEMBER))
        warm.invalidate(change)

        assert warm.known_blocked(STRANGER, MEMBER) is None
        assert await warm.is_blocked(STRANGER, MEMBER)

    async def test_that_ends_tokens_holds_without_the_database(
        self, warm: DatabaseDirectory, outage: Begin
    ) -> None:
        outage()
        warm.invalidate(TokensEnded(MEMBER, 2, ("a", "b")))
        warm.invalidate(TokensEnded(MEMBER, 1, ("c",)))
        warm.invalidate(UserChanged(MEMBER))

        for mark, is_good in (
            (TokenMark(1, "open"), False),
            (TokenMark(2, "a"), False),
            (TokenMark(2, "c"), False),
            (TokenMark(2, "open"), True),
        ):
            assert await warm.user_is_active(MEMBER, mark) is is_good

    @pytest.mark.parametrize("change", [UserChanged(MEMBER), AnythingChanged()])
    async def test_of_a_user_is_seen(
        self, warm: DatabaseDirectory, people: Write, change: Change
    ) -> None:
        await people(lambda: get_user_model().objects.update(is_active=False))
        warm.invalidate(change)

        assert warm.known_active(MEMBER) is None
        assert not await warm.user_is_active(MEMBER)

    @pytest.mark.parametrize("change", [MemberChanged(GROUP, MEMBER), AnythingChanged()])
    async def test_of_a_member_is_seen(
        self, warm: DatabaseDirectory, people: Write, change: Change
    ) -> None:
        await people(lambda: ChatGroupMember.objects.all().delete())
        warm.invalidate(change)

        assert known_member(warm, GROUP, MEMBER) is None
        assert await is_member(warm, GROUP, MEMBER) is False

    async def test_leaves_what_it_is_not_about(
        self, warm: DatabaseDirectory, lookups: list[str]
    ) -> None:
        warm.invalidate(UserChanged(LOCKED_OUT))
        warm.invalidate(MemberChanged(GROUP, STRANGER))
        warm.invalidate(BlockChanged(LOCKED_OUT, MEMBER))

        assert warm.known_blocked(STRANGER, MEMBER) is False
        assert warm.known_active(MEMBER) is True
        assert known_member(warm, GROUP, MEMBER) is True
        assert lookups == []

    @pytest.mark.parametrize("change", [UserChanged(MEMBER), AnythingChanged()])
    async def test_is_not_undone_by_an_answer_that_was_on_its_way(
        self, directory: DatabaseDirectory, people: Write, change: Change, stalled: Stall
    ) -> None:
        with stalled() as has_read:
            asked = asyncio.create_task(directory.user_is_active(MEMBER))
            await asyncio.to_thread(has_read.wait, 5)
            await people(lambda: get_user_model().objects.update(is_active=False))
            directory.invalidate(change)
            assert not await directory.user_is_active(MEMBER)

        assert await asked  # the answer is of the moment of the question
        assert directory.known_active(MEMBER) is False

    @pytest.mark.parametrize("knows", [True, False])
    async def test_that_shuts_somebody_out_holds_though_nobody_can_look(
        self, directory: DatabaseDirectory, knows: bool, unanswered: Start
    ) -> None:
        if knows:
            assert await directory.user_is_active(MEMBER)
            assert not await directory.is_blocked(STRANGER, MEMBER)
        directory.invalidate(UserChanged(MEMBER, is_locked_out=True))
        directory.invalidate(BlockChanged(STRANGER, MEMBER, is_blocked=True))
        await unanswered()

        assert not await directory.user_is_active(MEMBER)
        assert await directory.is_blocked(STRANGER, MEMBER)

    async def test_leaves_a_refusal_until_somebody_can_look(
        self, directory: DatabaseDirectory, unanswered: Start
    ) -> None:
        assert not await directory.user_is_active(LOCKED_OUT)
        assert await directory.is_blocked(MEMBER, STRANGER)
        directory.invalidate(UserChanged(LOCKED_OUT))
        directory.invalidate(BlockChanged(MEMBER, STRANGER))
        directory.invalidate(AnythingChanged())
        await unanswered()

        assert not await directory.user_is_active(LOCKED_OUT)
        assert await directory.is_blocked(MEMBER, STRANGER)

    async def test_of_very_many_blocks_holds_for_each(
        self, directory: DatabaseDirectory, outage: Begin
    ) -> None:
        others = range(100, 103 + BLOCKS_HELD)
        for other in others:
            directory.invalidate(BlockChanged(MEMBER, other, is_blocked=True))
        outage()

        assert all([await directory.is_blocked(MEMBER, other) for other in others])
        assert not await directory.is_blocked(MEMBER, LOCKED_OUT)

    async def test_is_not_believed_past_the_next_look(
        self, directory: DatabaseDirectory, people: object
    ) -> None:
        directory.invalidate(UserChanged(MEMBER, is_locked_out=True))
        directory.invalidate(BlockChanged(STRANGER, MEMBER, is_blocked=True))

        assert await directory.user_is_active(MEMBER)
        assert not await directory.is_blocked(STRANGER, MEMBER)

    async def test_notes_an_outage_once_for_all_who_ask(
        self, directory: DatabaseDirectory, outage: Begin, caplog: pytest.LogCaptureFixture
    ) -> None:
        outage()
        await asyncio.gather(*(directory.user_is_active(1_000 + n) for n in range(40)))
        assert [r.getMessage() for r in caplog.records].count("backend away") == 1

    async def test_with_the_database_away_closes_a_group(
        self, warm: DatabaseDirectory, outage: Begin
    ) -> None:
        outage()
        warm.invalidate(MemberChanged(GROUP, MEMBER))

        with pytest.raises(StoreUnavailable):
            await is_member(warm, GROUP, MEMBER)

    async def test_ends_what_is_under_way_when_it_closes(
        self, directory: DatabaseDirectory, stalled: Stall
    ) -> None:
        with stalled() as has_read:
            asked = asyncio.create_task(directory.user_is_active(MEMBER))
            await asyncio.to_thread(has_read.wait, 5)
            directory.invalidate(UserChanged(MEMBER))
            await directory.close()

        await asyncio.wait([asked])
        assert asked.cancelled()
        assert asyncio.all_tasks() == {asyncio.current_task()}
