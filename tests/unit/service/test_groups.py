"""Test the order of a change of a group: decide and write, doubt, forget, show, and repeat."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from typing import Any

import pytest

from messaging.domain.changes import GroupChanged, MemberChanged
from messaging.domain.errors import (
    GroupNotFound,
    MutedInGroup,
    NotAdmitted,
    NotAMember,
    RoleTooLow,
    TemporarilyUnavailable,
    TooManyRequests,
)
from messaging.domain.groups import FOR_GOOD, Event, History, JoinMode, Role
from messaging.domain.ids import first_id_at, time_of_id, under_id
from messaging.domain.message import ChatType, Message
from messaging.limits import NARROWING_AT_A_TIME
from messaging.service import group_changes, groups
from messaging.service.backends import Backends
from messaging.service.group_rules import Actor
from messaging.service.group_transfer import transfer
from messaging.service.send import send
from tests.support.group_service import GroupService
from tests.support.memory import ALICE, BOB, MALLORY, SETTINGS, Clock, MemoryService, to_group
from tests.support.messages import make_message

OWNER, MEMBER, GUEST = (Actor(user_id=each) for each in (ALICE, BOB, MALLORY))
Act = Callable[[Backends, int], Awaitable[object]]


class RunningClock(Clock):
    """Move on by a millisecond at each look."""

    def __call__(self) -> int:
        self.now_ms += 1
        return self.now_ms


class WallClock(Clock):
    """Move on as the time of the test does."""

    def __call__(self) -> int:
        return self.now_ms + time.monotonic_ns() // 1_000_000


@pytest.fixture
def service() -> MemoryService:
    return MemoryService(clock=RunningClock())


@pytest.fixture(autouse=True)
def short_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(group_changes, "FORGOTTEN_AFTER_S", 0.0517)  # no other wait is so long


async def made(service: MemoryService, **fields: Any) -> int:
    """Create a group of alice, its owner, and bob."""
    given = {"name": "club", "join_mode": JoinMode.OPEN} | fields
    judged = await groups.create_group(service.backends, given, actor=OWNER, user_ids=[BOB])
    service.published.clear()
    return judged.changed.group.id


def notices(service: MemoryService, group_id: int) -> list[Message]:
    rows = [row for row in service.store.rows.values() if row.conversation_id == f"g{group_id}"]
    return sorted(rows, key=lambda row: row.seq or 0)


def events(service: MemoryService, group_id: int) -> list[Event]:
    return [row.notice.event for row in notices(service, group_id) if row.notice is not None]


NARROWING: dict[str, tuple[Act, set[int] | None]] = {
    "leave": (lambda b, g: groups.leave(b, g, actor=MEMBER), {BOB}),
    "remove": (lambda b, g: groups.remove(b, g, [BOB], bans=False, actor=OWNER), {BOB}),
    "ban": (lambda b, g: groups.remove(b, g, [BOB], bans=True, actor=OWNER), {BOB}),
    "mute": (lambda b, g: groups.mute(b, g, BOB, FOR_GOOD, actor=OWNER), {BOB}),
    "demote": (lambda b, g: groups.set_role(b, g, BOB, Role.MEMBER, actor=OWNER), {BOB}),
    "transfer": (lambda b, g: transfer(b, g, BOB, actor=OWNER), {ALICE}),
    "muteAll": (lambda b, g: groups.update(b, g, {"is_all_muted": True}, actor=OWNER), None),
    "atAllBy": (lambda b, g: groups.update(b, g, {"at_all_by": "admins"}, actor=OWNER), None),
    "inviteBy": (lambda b, g: groups.update(b, g, {"invite_by": "admins"}, actor=OWNER), None),
    "history": (lambda b, g: groups.update(b, g, {"history": "joined"}, actor=OWNER), None),
    "joinMode": (lambda b, g: groups.update(b, g, {"join_mode": "approval"}, actor=OWNER), None),
    "dissolve": (lambda b, g: groups.dissolve(b, g, actor=OWNER), None),
}
WIDENING: dict[str, Act] = {
    "join": lambda b, g: groups.join(b, g, "", actor=GUEST),
    "invite": lambda b, g: groups.invite(b, g, [MALLORY], actor=MEMBER),
    "unban": lambda b, g: groups.unban(b, g, [MALLORY], actor=OWNER),
    "unmute": lambda b, g: groups.mute(b, g, BOB, 0, actor=OWNER),
    "promote": lambda b, g: groups.set_role(b, g, BOB, Role.ADMIN, actor=OWNER),
    "unmuteAll": lambda b, g: groups.update(b, g, {"is_all_muted": False}, actor=OWNER),
    "nickname": lambda b, g: groups.set_nickname(b, g, "Bobby", actor=MEMBER),
}


@contextlib.asynccontextmanager
async def no_places(service: MemoryService) -> AsyncIterator[None]:
    """Let mutes in other groups take all places within the context, where the cache is away."""
    group_ids = [await made(service) for _ in range(NARROWING_AT_A_TIME)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(group_changes, "FORGOTTEN_AFTER_S", 60.0)
        service.cache.down = True
        mutes = [
            asyncio.create_task(groups.mute(service.backends, each, BOB, FOR_GOOD, actor=OWNER))
            for each in group_ids
        ]
        while service.backends.narrowings.staying < NARROWING_AT_A_TIME:
            await asyncio.sleep(0)
        yield
        for mute in mutes:
            mute.cancel()
        await asyncio.gather(*mutes, return_exceptions=True)


class TestARightThatShrinks:
    @pytest.mark.parametrize("verb", NARROWING)
    async def test_is_doubted_by_every_process_when_the_answer_comes(
        self, service: MemoryService, verb: str
    ) -> None:
        group_id = await made(service)
        act, whose = NARROWING[verb]
        for _ in range(2):  # a repeat completes what the first call may not have done
            service.cache.guards.clear()
            await act(service.backends, group_id)
            scores = service.cache.guards[f"g{group_id}"].scores
            assert scores.keys() == ({None} if whose is None else whose)

    @pytest.mark.parametrize("verb", WIDENING)
    async def test_is_not_one_that_grows(self, service: MemoryService, verb: str) -> None:
        group_id = await made(service)
        await WIDENING[verb](service.backends, group_id)
        guard = service.cache.guards.get(f"g{group_id}")
        assert guard is None or not guard.scores

    @pytest.mark.parametrize(("is_down", "waits"), [(True, True), (False, False)])
    async def test_is_forgotten_before_the_answer_where_the_cache_is_away(
        self, service: MemoryService, is_down: bool, waits: bool
    ) -> None:
        group_id = await made(service)
        service.cache.down = is_down
        slept = []

        async def sleep(seconds: float) -> None:
            slept.append(seconds)

        act, _ = NARROWING["muteAll"]
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(asyncio, "sleep", sleep)
            await act(service.backends, group_id)
        assert (group_changes.FORGOTTEN_AFTER_S in slept) is waits

    @pytest.mark.parametrize("verb", NARROWING)
    async def test_stays_where_too_many_answers_wait_already(
        self, service: MemoryService, verb: str
    ) -> None:
        group_id = await made(service)
        act, _ = NARROWING[verb]

        async def state() -> object:
            view = await service.groups.find_group(group_id, BOB)
            return view, notices(service, group_id)

        async with no_places(service):
            before = await state()
            with pytest.raises(TemporarilyUnavailable) as refused:
                await act(service.backends, group_id)
            assert refused.value.retry_after_s
            assert await state() == before
        await act(service.backends, group_id)

    async def test_waits_for_a_repeat_of_a_transfer_as_for_another(
        self, service: MemoryService
    ) -> None:
        group_id = await made(service)
        await transfer(service.backends, group_id, BOB, actor=OWNER)
        async with no_places(service):
            with pytest.raises(TemporarilyUnavailable):
                await transfer(service.backends, group_id, BOB, actor=OWNER)

    async def test_holds_up_no_right_that_grows(self, service: MemoryService) -> None:
        group_id = await made(service)
        async with no_places(service):
            for act in WIDENING.values():
                await act(service.backends, group_id)

    async def test_waits_for_a_place_while_the_cache_answers(self, service: MemoryService) -> None:
        group_ids = [await made(service) for _ in range(3 * NARROWING_AT_A_TIME)]
        calls = [groups.leave(service.backends, each, actor=MEMBER) for each in group_ids]
        await asyncio.gather(*calls)

    async def test_is_published_to_all_processes(self, service: MemoryService) -> None:
        group_id = await made(service)
        await groups.remove(service.backends, group_id, [BOB], bans=False, actor=OWNER)
        assert MemberChanged(group_id, BOB) in service.published
        await groups.dissolve(service.backends, group_id, actor=OWNER)
        assert service.published[-1] == GroupChanged(group_id)

    async def test_of_many_members_is_published_as_the_group(self, service: MemoryService) -> None:
        group_id = await made(service)
        many = range(100, 130)
        service.groups.users |= dict.fromkeys(many, True)
        await groups.invite(service.backends, group_id, list(many), actor=OWNER)
        assert service.published == [GroupChanged(group_id)]


class TestANotice:
    async def test_is_shown_to_the_cache_and_owes_nothing(self, service: MemoryService) -> None:
        group_id = await made(service)
        rows = notices(service, group_id)
        assert [row.id for row in rows] == sorted(service.cache.details)
        assert not service.store.hinted

    async def test_has_a_hint_as_long_as_the_cache_is_away(self, service: MemoryService) -> None:
        service.cache.down = True
        service.hints.breaker.trip()
        group_id = await made(service)
        hinted = {hint.message_id for hint in service.store.hinted.values()}
        assert hinted == {row.id for row in notices(service, group_id)}

    async def test_comes_in_the_order_of_the_changes(self, service: MemoryService) -> None:
        group_id = await made(service)
        await groups.set_role(service.backends, group_id, BOB, Role.ADMIN, actor=OWNER)
        await groups.join(service.backends, group_id, "", actor=GUEST)
        await groups.set_nickname(service.backends, group_id, "Mal", actor=GUEST)
        await groups.leave(service.backends, group_id, actor=GUEST)
        expected = [Event.CREATED, Event.INVITED, Event.ROLE, Event.JOINED, Event.LEFT]
        assert events(service, group_id) == expected
        assert [row.seq for row in notices(service, group_id)] == [1, 2, 3, 4, 5]

    async def test_has_an_id_of_its_conversation(self, service: MemoryService) -> None:
        group_id = await made(service)
        (created, _) = notices(service, group_id)
        assert created.send_time == time_of_id(created.id)
        assert created.from_user_id == ALICE


REPEATED: dict[str, Act] = {
    **{verb: act for verb, (act, _) in NARROWING.items()},
    **WIDENING,
}


class TestARepeat:
    """A process may die between the commit and the answer: then the client repeats the call."""

    @pytest.mark.parametrize("verb", REPEATED)
    async def test_completes_a_call_that_failed_after_its_commit(
        self, service: MemoryService, verb: str
    ) -> None:
        group_id = await made(service)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(group_changes, "tell", _die)
            with pytest.raises(ProcessDeathError):
                await REPEATED[verb](service.backends, group_id)
        told = events(service, group_id)
        state = service.groups.groups[group_id], dict(service.groups.group_members)
        await REPEATED[verb](service.backends, group_id)
        assert events(service, group_id) == told
        assert (service.groups.groups[group_id], service.groups.group_members) == state
        assert service.published

    async def test_of_a_creation_finds_the_first_group(self, service: MemoryService) -> None:
        def create() -> Awaitable[groups.Judged]:
            return groups.create_group(
                service.backends,
                {"name": "club"},
                actor=OWNER,
                user_ids=[BOB, 999],
                request_id="r-1",
            )

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(group_changes, "tell", _die)
            with pytest.raises(ProcessDeathError):
                await create()
        again = await create()
        group_id = again.changed.group.id
        assert list(service.groups.groups) == [group_id]
        assert events(service, group_id) == [Event.CREATED, Event.INVITED]
        assert {user_id: why.code for user_id, why in again.refused.items()} == {999: 1002}

    async def test_of_a_transfer_is_the_old_owners_alone(self, service: MemoryService) -> None:
        group_id = await made(service)
        await groups.join(service.backends, group_id, "", actor=GUEST)
        await groups.set_role(service.backends, group_id, MALLORY, Role.ADMIN, actor=OWNER)
        await transfer(service.backends, group_id, BOB, actor=OWNER)
        await transfer(service.backends, group_id, BOB, actor=OWNER)
        assert events(service, group_id).count(Event.TRANSFERRED) == 1
        with pytest.raises(RoleTooLow):
            await transfer(service.backends, group_id, BOB, actor=GUEST)
        with pytest.raises(RoleTooLow):
            await transfer(service.backends, group_id, MALLORY, actor=OWNER)


class ProcessDeathError(Exception):
    """End a call as the death of its process does."""


async def _die(*_: object) -> bool:
    raise ProcessDeathError


class TestAJoin:
    @pytest.mark.parametrize("actor", [MEMBER, GUEST])
    async def test_that_lets_nobody_in_opens_no_floor(
        self, service: MemoryService, actor: Actor
    ) -> None:
        """Otherwise anybody could slow a group down, because sends under way need other ids."""
        group_id = await made(service, join_mode=JoinMode.INVITE)
        with contextlib.suppress(NotAdmitted):
            await groups.join(service.backends, group_id, "", actor=actor)
        with contextlib.suppress(RoleTooLow, NotAMember):
            await groups.answer(service.backends, group_id, MALLORY, accepts=True, actor=actor)
        with contextlib.suppress(NotAMember):
            await groups.invite(service.backends, group_id, [ALICE], actor=actor)
        with pytest.raises(GroupNotFound):
            await groups.join(service.backends, group_id + 1, "", actor=actor)
        assert not any(guard.floor_ms for guard in service.cache.guards.values())

    async def test_hides_what_was_said_before_and_shows_its_own_notice(
        self, service: MemoryService
    ) -> None:
        group_id = await made(service)
        await groups.join(service.backends, group_id, "", actor=GUEST)
        floor = service.store.participants[MALLORY, f"g{group_id}"]
        *before, joined = notices(service, group_id)
        assert all(row.id <= floor.floor_id for row in before)
        assert joined.id > floor.floor_id
        assert floor.read_seq == floor.floor_seq == len(before)

    @pytest.mark.parametrize("is_down", [False, True])
    async def test_has_its_notice_above_its_floor_with_the_cache_or_without(
        self, is_down: bool
    ) -> None:
        service = MemoryService(clock=WallClock())
        group_id = await made(service)
        service.cache.down = is_down
        await groups.join(service.backends, group_id, "", actor=GUEST)
        floor = service.store.participants[MALLORY, f"g{group_id}"]
        assert notices(service, group_id)[-1].id > floor.floor_id

    async def test_refuses_messages_below_the_floor_of_a_row_of_a_later_clock(
        self, service: MemoryService
    ) -> None:
        group_id = await made(service)
        ahead = under_id(
            make_message(1, to_id=group_id, chat_type=ChatType.GROUP),
            first_id_at(service.clock() + 1_000),
        )
        service.store.insert(ahead)
        await groups.join(service.backends, group_id, "", actor=GUEST)
        behind = under_id(ahead, first_id_at(service.clock()))
        assert notices(service, group_id)[-1].id > ahead.id
        guarded = await service.cache.judge(behind, asked_after=0)
        assert guarded is not None
        assert guarded.not_before_ms == time_of_id(ahead.id)

    async def test_with_all_history_hides_nothing(self, service: MemoryService) -> None:
        group_id = await made(service, history=History.ALL)
        await groups.join(service.backends, group_id, "", actor=GUEST)
        assert service.store.participants[MALLORY, f"g{group_id}"].floor_id == 0


async def leave_and_join(backends: Backends, group_id: int) -> None:
    await groups.leave(backends, group_id, actor=MEMBER)
    assert await groups.join(backends, group_id, "", actor=MEMBER)


async def be_removed_and_invited(backends: Backends, group_id: int) -> None:
    await groups.remove(backends, group_id, [BOB], bans=False, actor=OWNER)
    assert await groups.invite(backends, group_id, [BOB], actor=OWNER) == {}


async def be_banned_and_accepted(backends: Backends, group_id: int) -> None:
    await groups.remove(backends, group_id, [BOB], bans=True, actor=OWNER)
    await groups.unban(backends, group_id, [BOB], actor=OWNER)
    await groups.update(backends, group_id, {"join_mode": JoinMode.APPROVAL}, actor=OWNER)
    assert not await groups.join(backends, group_id, "", actor=MEMBER)
    await groups.answer(backends, group_id, BOB, accepts=True, actor=OWNER)


class TestAMute:
    @pytest.mark.parametrize("for_s", [60, FOR_GOOD])
    @pytest.mark.parametrize(
        "come_back", [leave_and_join, be_removed_and_invited, be_banned_and_accepted]
    )
    async def test_holds_for_a_member_who_comes_back(self, come_back: Act, for_s: int) -> None:
        service = GroupService(clock=RunningClock())
        group_id = await made(service)
        said = to_group(target_id=group_id)
        await groups.mute(service.backends, group_id, BOB, for_s, actor=OWNER)
        for _ in range(2):
            await come_back(service.backends, group_id)
            with pytest.raises(MutedInGroup):
                await send(service.backends, said, sender_id=BOB)
        await groups.mute(service.backends, group_id, BOB, 0, actor=OWNER)
        await send(service.backends, said, sender_id=BOB)

    async def test_that_ends_while_its_member_is_away_is_over(self) -> None:
        service = GroupService(clock=RunningClock())
        group_id = await made(service)
        await groups.mute(service.backends, group_id, BOB, 60, actor=OWNER)
        await groups.leave(service.backends, group_id, actor=MEMBER)
        service.clock.now_ms += 60_000
        assert await groups.join(service.backends, group_id, "", actor=MEMBER)
        await send(service.backends, to_group(target_id=group_id), sender_id=BOB)


class TestARefusal:
    async def test_writes_tells_and_publishes_nothing(self, service: MemoryService) -> None:
        group_id = await made(service)
        before = events(service, group_id)
        with pytest.raises(RoleTooLow):
            await groups.dissolve(service.backends, group_id, actor=MEMBER)
        assert events(service, group_id) == before
        assert not service.published
        assert f"g{group_id}" not in service.cache.guards

    async def test_of_an_unknown_group(self, service: MemoryService) -> None:
        with pytest.raises(GroupNotFound):
            await groups.leave(service.backends, 99, actor=OWNER)

    async def test_while_the_database_is_away_changes_nothing(self, service: MemoryService) -> None:
        group_id = await made(service)
        service.store.down = True
        with pytest.raises(TemporarilyUnavailable):
            await groups.dissolve(service.backends, group_id, actor=OWNER)
        service.store.down = False
        assert not service.groups.groups[group_id].is_dissolved

    async def test_of_a_slow_database_comes_in_time(
        self, service: MemoryService, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        group_id = await made(service)
        monkeypatch.setattr(group_changes, "CHANGE_TIMEOUT_S", 0.02)
        service.store.delay_s = 5
        async with asyncio.timeout(1):
            with pytest.raises(TemporarilyUnavailable):
                await groups.dissolve(service.backends, group_id, actor=OWNER)


class TestTheRate:
    async def test_counts_a_call_once_for_each_ten_users(self) -> None:
        settings = replace(SETTINGS, change_rate=0.001, change_burst=5)
        service = MemoryService(settings, clock=RunningClock())
        group_id = await made(service)  # one of five
        await groups.invite(service.backends, group_id, range(200, 231), actor=OWNER)  # four
        with pytest.raises(TooManyRequests):
            await groups.invite(service.backends, group_id, [MALLORY], actor=OWNER)

    async def test_does_not_count_the_sites_staff(self) -> None:
        settings = replace(SETTINGS, change_rate=0.001, change_burst=1)
        service = MemoryService(settings, clock=RunningClock())
        group_id = await made(service)
        staff = Actor(user_id=99, is_site=True)
        for name in ("one", "two"):
            changed = await groups.update(service.backends, group_id, {"name": name}, actor=staff)
            assert changed.group.name == name


async def test_the_site_hands_over_a_group_and_its_staff_is_the_sender(
    service: MemoryService,
) -> None:
    group_id = await made(service)
    staff = Actor(user_id=99, is_site=True)
    await transfer(service.backends, group_id, BOB, actor=staff)
    members = service.groups.group_members
    assert members[group_id, BOB].role is Role.OWNER
    assert members[group_id, ALICE].role is Role.ADMIN
    assert notices(service, group_id)[-1].from_user_id == 99


async def test_a_large_group_is_not_told_who_comes(service: MemoryService) -> None:
    group_id = await made(service)
    quiet = replace(service.backends, settings=replace(SETTINGS, notice_members=1))
    await groups.join(quiet, group_id, "", actor=GUEST)
    assert events(service, group_id) == [Event.CREATED, Event.INVITED]
    assert service.groups.groups[group_id].member_count == 3
