"""Test how the directory on the database knows groups and members, and for how long."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from msgspec.structs import replace

from messaging.directory import DatabaseDirectory, known_groups, queries, ttl_cache
from messaging.directory.group_answers import (
    MEMBER_BYTES,
    MEMBERSHIP_TTL_S,
    NEGATIVE_TTL_S,
    SIZE_TTL_S,
)
from messaging.domain.backend_errors import StoreUnavailable
from messaging.domain.changes import AnythingChanged, Change, GroupChanged, MemberChanged
from messaging.domain.groups import GroupState, Membership, Role
from messaging.models import ChatGroup, ChatGroupMember, Participant
from messaging.ports.directory import GroupAccess
from tests.contract.directory.people import (
    GROUP,
    LOCKED_OUT,
    MEMBER,
    NEW,
    NO_GROUP,
    ON_DATABASE,
    STRANGER,
    Begin,
    DirectoryClock,
    Start,
    Write,
    is_member,
    known_member,
)

OUTSIDE = GroupAccess(NEW, None)
PLAIN = GroupAccess(NEW, Membership())


def members() -> Any:
    return ChatGroupMember.objects.filter(group_id=GROUP)


def leave() -> None:
    members().filter(user_id=MEMBER).delete()


def join(user_id: int = STRANGER) -> None:
    ChatGroupMember.objects.create(group_id=GROUP, user_id=user_id)


def add_members(count: int) -> range:
    ids = range(100, 100 + count)
    users = get_user_model()
    users.objects.bulk_create(users(pk=user_id, username=f"u{user_id}") for user_id in ids)
    ChatGroupMember.objects.bulk_create(
        ChatGroupMember(group_id=GROUP, user_id=user_id) for user_id in ids
    )
    return ids


Hold = Callable[[str], contextlib.AbstractContextManager["HeldLookUps"]]


class HeldLookUps:
    """Hold up look-ups that have read the database, each until it is let go."""

    def __init__(self, find: Callable[..., Any]) -> None:
        self._find = find
        self.is_on = True
        self.have_read = threading.Semaphore(0)
        self._may_return = threading.Event()

    def __call__(self, *question: Any) -> Any:
        found = self._find(*question)
        if self.is_on:
            self.have_read.release()
            self._may_return.wait(5)
        return found

    async def one_has_read(self) -> None:
        assert await asyncio.to_thread(self.have_read.acquire, timeout=5)

    def let_go(self) -> None:
        self.is_on = False
        self._may_return.set()


@pytest.fixture
def held(directory: DatabaseDirectory, monkeypatch: pytest.MonkeyPatch) -> Hold:
    """Return a context in which the look-ups of this name read, and do not return yet."""
    monkeypatch.setattr(directory._threads, "_timeout_s", 10)  # a write may take long here

    @contextlib.contextmanager
    def hold(name: str) -> Iterator[HeldLookUps]:
        holding = HeldLookUps(getattr(queries, name))
        monkeypatch.setattr(known_groups, name, holding)
        yield holding
        holding.let_go()

    return hold


@pytest.fixture
def small_groups(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no group of more than two members be known whole."""
    monkeypatch.setattr(queries, "MEMBERS_HELD", 2)


@ON_DATABASE
class TestAGroup:
    async def test_is_known_with_its_state(
        self, directory: DatabaseDirectory, people: Write
    ) -> None:
        changed = {"state": "DISSOLVED", "is_all_muted": True, "mode": "sync"}
        await people(lambda: ChatGroup.objects.filter(pk=GROUP).update(**changed))
        state = GroupState.DISSOLVED
        record = replace(NEW, state=state, is_all_muted=True, mode="sync")

        assert await directory.group_access(GROUP, MEMBER) == GroupAccess(record, Membership())
        assert await directory.group_access(GROUP, STRANGER) == GroupAccess(record, None)
        asked = await directory.ask_access(GROUP, MEMBER, after=3)
        assert asked == GroupAccess(record, Membership(), 3)

    @pytest.mark.parametrize("held_members", [0, 1_000])
    async def test_is_known_with_role_mute_and_floor_of_each_member(
        self,
        directory: DatabaseDirectory,
        people: Write,
        held_members: int,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        def write() -> None:
            members().update(role="owner", muted_until=-1)
            join()
            for user_id, conversation_id, floor_id in (
                *((MEMBER, f"g{GROUP}", 2**62), (MEMBER, f"g{GROUP}1", 9)),
                (LOCKED_OUT, f"g{GROUP}", 8),
            ):
                place = {"user_id": user_id, "conversation_id": conversation_id}
                Participant.objects.create(**place, floor_id=floor_id, floor_seq=5)

        monkeypatch.setattr(queries, "MEMBERS_HELD", held_members)
        await people(write)

        owner = Membership(Role.OWNER, -1, 2**62, 5)
        assert await directory.group_access(GROUP, MEMBER) == GroupAccess(NEW, owner)
        assert await directory.group_access(GROUP, STRANGER) == PLAIN  # without a participant
        assert await directory.group_access(GROUP, LOCKED_OUT) == OUTSIDE
        assert await directory.ask_access(GROUP, MEMBER, after=4) == GroupAccess(NEW, owner, 4)

    async def test_without_a_member_is_known(
        self, directory: DatabaseDirectory, people: Write, lookups: list[str]
    ) -> None:
        await people(lambda: members().delete())
        assert await directory.group_access(GROUP, MEMBER) == OUTSIDE

    async def test_is_known_whole_after_one_look(
        self, directory: DatabaseDirectory, people: Write, lookups: list[str]
    ) -> None:
        await people(lambda: add_members(999))
        lookups.clear()
        asked = (directory.group_access(GROUP, user_id) for user_id in (MEMBER, *range(100, 199)))
        assert await asyncio.gather(*asked) == [PLAIN] * 100

        assert directory.known_access(GROUP, 1_098) == PLAIN
        assert directory.known_access(GROUP, 1_099) == OUTSIDE
        assert len(lookups) == 1

    async def test_of_more_members_is_known_member_by_member(
        self,
        directory: DatabaseDirectory,
        people: Write,
        lookups: list[str],
        clock: DirectoryClock,
        small_groups: None,
    ) -> None:
        await people(lambda: add_members(2))
        lookups.clear()

        assert await directory.group_access(GROUP, MEMBER) == PLAIN
        assert directory.known_access(GROUP, MEMBER) == PLAIN
        assert directory.known_access(GROUP, 100) is None
        assert len(lookups) == 2  # the size, and the member
        assert await directory.group_access(GROUP, 100) == PLAIN
        assert await directory.group_access(GROUP, STRANGER) == OUTSIDE
        assert len(lookups) == 4
        clock.now_s += SIZE_TTL_S - 1  # the size is remembered for longer than a member
        await directory.group_access(GROUP, MEMBER)
        assert len(lookups) == 5

    async def test_has_an_outsiders_answer_for_a_shorter_time(
        self, directory: DatabaseDirectory, people: Write, clock: DirectoryClock, lookups: list[str]
    ) -> None:
        assert not await is_member(directory, GROUP, STRANGER)
        await people(join)
        assert known_member(directory, GROUP, STRANGER) is False
        clock.now_s += NEGATIVE_TTL_S
        assert known_member(directory, GROUP, STRANGER) is None
        assert known_member(directory, GROUP, MEMBER) is True

        assert await is_member(directory, GROUP, STRANGER)
        assert known_member(directory, GROUP, STRANGER) is True
        clock.now_s += MEMBERSHIP_TTL_S - NEGATIVE_TTL_S
        assert known_member(directory, GROUP, MEMBER) is None
        assert known_member(directory, GROUP, STRANGER) is True

    async def test_is_not_read_whole_again_for_outsiders(
        self, directory: DatabaseDirectory, clock: DirectoryClock, lookups: list[str]
    ) -> None:
        for _ in range(4):
            for user_id in range(100, 110):
                assert await is_member(directory, GROUP, user_id) is False
            clock.now_s += NEGATIVE_TTL_S

        assert lookups.count(queries.GROUP) == 1
        assert lookups.count(queries.ACCESS) == 30

    async def test_gives_up_its_room_by_its_members(
        self, directory: DatabaseDirectory, people: Write, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def more_groups() -> None:
            for group_id in range(20, 24):
                ChatGroup.objects.create(pk=group_id, name="another")
                ChatGroupMember.objects.create(group_id=group_id, user_id=MEMBER)

        await people(more_groups)
        room = 2 * (ttl_cache.ENTRY_BYTES + MEMBER_BYTES) + 100
        monkeypatch.setattr(directory._groups._groups._found, "_most_bytes", room)
        for group_id in range(20, 24):
            await directory.group_access(group_id, MEMBER)

        known = [known_member(directory, group_id, MEMBER) for group_id in range(20, 24)]
        assert known == [None, None, True, True]  # the third has pushed out both before it


@ON_DATABASE
class TestAsking:
    async def test_asks_the_database_though_an_answer_is_known(
        self, directory: DatabaseDirectory, people: Write
    ) -> None:
        assert await is_member(directory, GROUP, MEMBER)
        await people(leave)

        assert await directory.ask_access(GROUP, MEMBER, after=5) == GroupAccess(NEW, None, 5)
        # The answer takes the place of what was known of the member in the whole group.
        assert directory.known_access(GROUP, MEMBER) == GroupAccess(NEW, None, 5)
        assert await directory.group_access(GROUP, MEMBER) == GroupAccess(NEW, None, 5)

    async def test_asks_once_for_each_score(
        self, directory: DatabaseDirectory, lookups: list[str]
    ) -> None:
        for after in (5, 5, 4, 1, 6, 5, 6):
            access = await directory.ask_access(GROUP, MEMBER, after=after)
            assert access is not None
            assert access.asked_after >= after
        assert len(lookups) == 2

    async def test_without_a_score_asks_each_time(
        self, directory: DatabaseDirectory, lookups: list[str]
    ) -> None:
        await directory.ask_access(GROUP, MEMBER, after=7)
        for _ in range(3):
            assert await directory.ask_access(GROUP, MEMBER, after=0) == PLAIN
        assert len(lookups) == 4

    async def test_does_not_serve_an_answer_that_is_not_fresh(
        self, directory: DatabaseDirectory, clock: DirectoryClock, lookups: list[str]
    ) -> None:
        await directory.ask_access(GROUP, MEMBER, after=7)
        clock.now_s += MEMBERSHIP_TTL_S
        await directory.ask_access(GROUP, MEMBER, after=7)
        directory.expire_all()
        await directory.ask_access(GROUP, MEMBER, after=7)
        assert len(lookups) == 3

    async def test_tells_of_no_group(self, directory: DatabaseDirectory) -> None:
        assert await directory.ask_access(NO_GROUP, MEMBER, after=1) is None
        assert await directory.group_access(NO_GROUP, MEMBER) is None

    async def test_leaves_the_other_members_as_they_are_known(
        self, directory: DatabaseDirectory, people: Write, lookups: list[str]
    ) -> None:
        await people(join)
        await directory.group_access(GROUP, STRANGER)
        await directory.ask_access(GROUP, MEMBER, after=3)
        lookups.clear()

        assert directory.known_access(GROUP, STRANGER) == PLAIN
        assert lookups == []

    async def test_of_an_outsider_does_not_outlive_what_is_newer(
        self, directory: DatabaseDirectory, people: Write, clock: DirectoryClock
    ) -> None:
        """The group was read before the removal, and is fresh for longer than the refusal."""
        assert await is_member(directory, GROUP, MEMBER)
        await people(leave)
        await directory.ask_access(GROUP, MEMBER, after=5)

        clock.now_s += NEGATIVE_TTL_S
        assert directory.known_access(GROUP, MEMBER) is None
        assert await is_member(directory, GROUP, MEMBER) is False

    async def test_never_answers_by_what_was_known_before(
        self, directory: DatabaseDirectory, unanswered: Start
    ) -> None:
        await directory.group_access(GROUP, MEMBER)
        await directory.ask_access(GROUP, STRANGER, after=3)
        await unanswered()

        for user_id in (MEMBER, STRANGER):
            for after in (0, 4):
                with pytest.raises(StoreUnavailable):
                    await directory.ask_access(GROUP, user_id, after=after)
        assert await directory.ask_access(GROUP, STRANGER, after=3) == GroupAccess(NEW, None, 3)

    async def test_leaves_what_was_known_for_an_outage(
        self, directory: DatabaseDirectory, clock: DirectoryClock, outage: Begin
    ) -> None:
        await directory.group_access(GROUP, MEMBER)
        clock.now_s += 10 * MEMBERSHIP_TTL_S
        outage()
        with pytest.raises(StoreUnavailable):
            await directory.ask_access(GROUP, MEMBER, after=0)

        assert await is_member(directory, GROUP, MEMBER)


@ON_DATABASE
class TestALookUpUnderWay:
    """Each look-up here has read the database before something changes, and returns after it."""

    @pytest.mark.parametrize("name", ["find_group", "find_access"])
    async def test_is_not_shared_by_a_question_after_a_doubt(
        self, directory: DatabaseDirectory, people: Write, held: Hold, name: str
    ) -> None:
        if name == "find_access":
            directory.invalidate(MemberChanged(GROUP, MEMBER))
            await directory.group_access(GROUP, STRANGER)
            directory.invalidate(MemberChanged(GROUP, MEMBER))
        with held(name) as holding:
            before = asyncio.create_task(directory.group_access(GROUP, MEMBER))
            await holding.one_has_read()
            await people(leave)
            holding.is_on = False

            assert await directory.ask_access(GROUP, MEMBER, after=5) == GroupAccess(NEW, None, 5)

        assert await before == PLAIN  # the answer is of the moment of the question
        # The older answer, which came later, is not kept.
        assert known_member(directory, GROUP, MEMBER) in (None, False)
        assert await is_member(directory, GROUP, MEMBER) is False

    async def test_of_the_whole_group_does_not_undo_an_answer_after_a_doubt(
        self, directory: DatabaseDirectory, people: Write, clock: DirectoryClock, held: Hold
    ) -> None:
        await directory.group_access(GROUP, MEMBER)
        clock.now_s += MEMBERSHIP_TTL_S
        with held("find_group") as holding:
            before = asyncio.create_task(directory.group_access(GROUP, LOCKED_OUT))
            await holding.one_has_read()
            await people(leave)
            holding.is_on = False
            after = await directory.ask_access(GROUP, MEMBER, after=5)
            assert after == GroupAccess(NEW, None, 5)

        assert await before == OUTSIDE
        assert directory.known_access(GROUP, MEMBER) == GroupAccess(NEW, None, 5)

    async def test_is_shared_where_it_was_asked_after_a_later_score(
        self, directory: DatabaseDirectory, held: Hold, lookups: list[str]
    ) -> None:
        with held("find_access") as holding:
            first = asyncio.create_task(directory.ask_access(GROUP, MEMBER, after=5))
            await holding.one_has_read()
            others = [
                asyncio.create_task(directory.ask_access(GROUP, MEMBER, after=after))
                for after in (5, 4)
            ]
            await asyncio.sleep(0)

        answers = [await each for each in (first, *others)]
        assert answers == [GroupAccess(NEW, Membership(), 5)] * 3
        assert len(lookups) == 1

    @pytest.mark.parametrize(("first", "then"), [(5, 6), (0, 0), (5, 0), (0, 5)])
    async def test_is_not_shared_where_it_began_before_the_score_was_seen(
        self, directory: DatabaseDirectory, people: Write, held: Hold, first: int, then: int
    ) -> None:
        with held("find_access") as holding:
            before = asyncio.create_task(directory.ask_access(GROUP, MEMBER, after=first))
            await holding.one_has_read()
            await people(leave)
            holding.is_on = False
            assert await directory.ask_access(GROUP, MEMBER, after=then) == GroupAccess(
                NEW, None, then
            )

        assert await before == GroupAccess(NEW, Membership(), first)
        assert directory.known_access(GROUP, MEMBER) == GroupAccess(NEW, None, then)

    async def test_that_has_not_begun_is_shared_by_all(
        self, directory: DatabaseDirectory, busy: Start, lookups: list[str]
    ) -> None:
        """All threads are occupied, so that no look-up of these begins."""
        await busy()
        scores = (5, 0, 7, 0, 6)
        asked = [
            asyncio.create_task(directory.ask_access(GROUP, MEMBER, after=after))
            for after in scores
        ]
        await asyncio.sleep(0)
        assert len(directory._groups._askings) == 1
        assert {each.after for each in directory._groups._askings.values()} == {7}
        outcomes = await asyncio.gather(*asked, return_exceptions=True)
        assert {isinstance(each, StoreUnavailable) for each in outcomes} == {True}
        assert directory._groups._askings == {}

    async def test_begun_together_is_one(
        self, directory: DatabaseDirectory, lookups: list[str]
    ) -> None:
        asked = (directory.ask_access(GROUP, MEMBER, after=n) for n in range(50))
        answers = await asyncio.gather(*asked)
        assert {a.asked_after for a in answers if a is not None} == {49}
        assert len(answers) == 50
        assert len(lookups) == 1

    @pytest.mark.parametrize(
        "change", [MemberChanged(GROUP, MEMBER), GroupChanged(GROUP), AnythingChanged()]
    )
    @pytest.mark.parametrize("name", ["find_group", "find_access"])
    async def test_does_not_undo_a_change(
        self, directory: DatabaseDirectory, people: Write, held: Hold, change: Change, name: str
    ) -> None:
        if name == "find_access":
            await directory.group_access(GROUP, STRANGER)
            directory.invalidate(MemberChanged(GROUP, MEMBER))
        with held(name) as holding:
            before = asyncio.create_task(directory.group_access(GROUP, MEMBER))
            await holding.one_has_read()
            await people(leave)
            holding.is_on = False
            directory.invalidate(change)
            assert await is_member(directory, GROUP, MEMBER) is False

        assert await before == PLAIN
        assert known_member(directory, GROUP, MEMBER) is False

    async def test_of_a_doubt_does_not_undo_a_change(
        self, directory: DatabaseDirectory, people: Write, held: Hold
    ) -> None:
        with held("find_access") as holding:
            before = asyncio.create_task(directory.ask_access(GROUP, MEMBER, after=5))
            await holding.one_has_read()
            await people(leave)
            holding.is_on = False
            directory.invalidate(MemberChanged(GROUP, MEMBER))
            after = await directory.ask_access(GROUP, MEMBER, after=5)
            assert after == GroupAccess(NEW, None, 5)

        assert await before == GroupAccess(NEW, Membership(), 5)
        assert directory.known_access(GROUP, MEMBER) == GroupAccess(NEW, None, 5)


@ON_DATABASE
class TestAChange:
    @pytest.mark.parametrize(
        "change", [MemberChanged(GROUP, MEMBER), GroupChanged(GROUP), AnythingChanged()]
    )
    @pytest.mark.parametrize("knows", ["whole", "apart", "asked", "none", "large"])
    async def test_leaves_nothing_to_answer_by(
        self,
        directory: DatabaseDirectory,
        change: Change,
        knows: str,
        unanswered: Start,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        if knows == "large":
            monkeypatch.setattr(queries, "MEMBERS_HELD", 0)
        if knows in ("whole", "apart", "large"):
            assert await is_member(directory, GROUP, MEMBER)
        if knows == "apart":
            directory.invalidate(MemberChanged(GROUP, MEMBER))
            assert await is_member(directory, GROUP, MEMBER)
        if knows == "asked":
            assert await directory.ask_access(GROUP, MEMBER, after=5)
        await unanswered()
        directory.invalidate(change)

        assert directory.known_access(GROUP, MEMBER) is None
        for question in (
            directory.group_access(GROUP, MEMBER),
            directory.ask_access(GROUP, MEMBER, after=5),
        ):
            with pytest.raises(StoreUnavailable):
                await question

    @pytest.mark.parametrize("is_large", [False, True])
    async def test_of_one_member_leaves_the_others_for_an_outage(
        self,
        directory: DatabaseDirectory,
        people: Write,
        clock: DirectoryClock,
        outage: Begin,
        is_large: bool,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        if is_large:
            monkeypatch.setattr(queries, "MEMBERS_HELD", 0)
        assert await is_member(directory, GROUP, MEMBER)
        assert await is_member(directory, GROUP, STRANGER) is False
        directory.invalidate(MemberChanged(GROUP, LOCKED_OUT))
        clock.now_s += 10 * SIZE_TTL_S
        outage()

        assert await is_member(directory, GROUP, MEMBER)
        assert await is_member(directory, GROUP, STRANGER) is False
        with pytest.raises(StoreUnavailable):
            await directory.group_access(GROUP, LOCKED_OUT)

    async def test_of_a_group_is_seen(self, directory: DatabaseDirectory, people: Write) -> None:
        await directory.group_access(GROUP, MEMBER)
        await directory.ask_access(GROUP, STRANGER, after=9)
        await people(lambda: ChatGroup.objects.filter(pk=GROUP).update(is_all_muted=True))
        directory.invalidate(GroupChanged(GROUP))

        muted = replace(NEW, is_all_muted=True)
        for user_id in (MEMBER, STRANGER):
            assert directory.known_access(GROUP, user_id) is None
        for user_id in (MEMBER, STRANGER):
            access = await directory.group_access(GROUP, user_id)
            assert access is not None
            assert access.group == muted

    async def test_of_a_group_that_was_not_there_is_seen(
        self, directory: DatabaseDirectory, people: Write
    ) -> None:
        for group_id, change in ((20, GroupChanged(20)), (21, MemberChanged(21, MEMBER))):
            assert await is_member(directory, group_id, MEMBER) is None
            await people(partial(ChatGroup.objects.create, pk=group_id, name="new"))
            directory.invalidate(change)
            assert await is_member(directory, group_id, MEMBER) is False

    async def test_of_another_group_is_none(
        self, directory: DatabaseDirectory, lookups: list[str]
    ) -> None:
        await directory.group_access(GROUP, MEMBER)
        lookups.clear()
        directory.invalidate(GroupChanged(NO_GROUP))
        directory.invalidate(MemberChanged(NO_GROUP, MEMBER))
        assert directory.known_access(GROUP, MEMBER) == PLAIN
        assert lookups == []
