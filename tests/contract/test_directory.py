"""What every directory promises: the one in memory and the database of the settings in force."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.db import connections
from django.db.backends.utils import CursorWrapper

from messaging.conf import settings
from messaging.database.threads import DatabaseThreads
from messaging.directory import DatabaseDirectory, known, queries
from messaging.directory.database import MEMBERSHIP_TTL_S, NEGATIVE_TTL_S, THREADS
from messaging.directory.queries import BLOCKS_HELD
from messaging.domain.changes import (
    AnythingChanged,
    BlockChanged,
    Change,
    MemberChanged,
    TokensEnded,
    UserChanged,
)
from messaging.domain.errors import StoreBusy, StoreUnavailable
from messaging.domain.events import ID_MAX
from messaging.models import ChatGroup, ChatGroupMember, UserBlock, UserTokens
from messaging.ports.directory import Directory, TokenMark
from messaging.testing.store import MemoryDirectory

MEMBER, STRANGER, LOCKED_OUT, NOBODY = 1, 2, 3, 4
GROUP, NO_GROUP = 7, 8
GENERATION = 3
ON_DATABASE = pytest.mark.django_db(transaction=True)
IDENTITY_TTL_S = settings().identity_ttl_s
Write = Callable[[Callable[[], object]], Awaitable[None]]
Begin = Callable[[], None]
Start = Callable[[], Awaitable[None]]
Stall = Callable[[], contextlib.AbstractContextManager[threading.Event]]


class Clock:
    now_s = 1_000.0

    def __call__(self) -> float:
        return self.now_s


def add_user(user_id: int, *, is_active: bool = True) -> None:
    get_user_model().objects.create(pk=user_id, username=f"u{user_id}", is_active=is_active)


def block(blocker_id: int, blocked_id: int) -> None:
    UserBlock.objects.create(blocker_id=blocker_id, blocked_id=blocked_id)


def populate() -> None:
    add_user(MEMBER)
    add_user(STRANGER)
    add_user(LOCKED_OUT, is_active=False)
    group = ChatGroup.objects.create(pk=GROUP, name="a group")
    ChatGroupMember.objects.create(group=group, user_id=MEMBER)
    block(MEMBER, STRANGER)
    UserTokens.objects.create(user_id=STRANGER, generation=GENERATION, ended={"ended": 1})


@contextlib.asynccontextmanager
async def writing() -> AsyncIterator[Write]:
    """Run something that writes people, in a thread where Django lets it; some are there."""
    threads = DatabaseThreads(name="people", threads=1, timeout_s=5)

    async def write(job: Callable[[], object]) -> None:
        await threads.run(lambda _: job())

    await write(populate)
    yield write
    await threads.close()


@pytest.fixture
async def people() -> AsyncIterator[Write]:
    async with writing() as write:
        yield write


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def outage(monkeypatch: pytest.MonkeyPatch) -> Begin:
    """The database is at an address where nobody answers, from the moment this is called."""
    database = connections.databases["default"]
    monkeypatch.setitem(database, "CONN_MAX_AGE", 0)  # nobody keeps a connection

    def begin() -> None:
        monkeypatch.setitem(database, "NAME", "/nonexistent/im")
        monkeypatch.setitem(database, "HOST", "127.0.0.1")
        monkeypatch.setitem(database, "PORT", "1")

    return begin


@pytest.fixture
async def busy(directory: DatabaseDirectory) -> AsyncIterator[Start]:
    """The directory's threads have other work, from the moment this is called."""
    may_end, begun = threading.Event(), threading.Semaphore(0)
    works: list[asyncio.Task[object]] = []

    def work(_: object) -> bool:
        begun.release()
        return may_end.wait(30)

    async def start() -> None:
        for _ in range(THREADS):
            works.append(asyncio.create_task(directory._threads.run(work)))
            assert await asyncio.to_thread(begun.acquire, timeout=5)

    yield start
    may_end.set()
    await asyncio.gather(*works, return_exceptions=True)


@pytest.fixture(params=["busy", "away"])
def unanswered(request: pytest.FixtureRequest, busy: Start, outage: Begin) -> Start:
    """Nothing can be looked up, from the moment this is called."""

    async def start() -> None:
        await busy() if request.param == "busy" else outage()

    return start


@pytest.fixture
def looks(people: object, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Each statement from now on, of whatever thread."""
    seen: list[str] = []
    execute = CursorWrapper.execute

    def noting(self: CursorWrapper, sql: str, params: Any = None) -> Any:
        if sql.startswith("SELECT") and "@@" not in sql:
            seen.append(sql)
        return execute(self, sql, params)

    monkeypatch.setattr(CursorWrapper, "execute", noting)
    return seen


@pytest.fixture
def stalled(monkeypatch: pytest.MonkeyPatch) -> Stall:
    """Within it the first look has read the user (the event says so), and does not return yet."""

    @contextlib.contextmanager
    def stall() -> Iterator[threading.Event]:
        has_read, may_return = threading.Event(), threading.Event()
        find_person = queries.find_person

        def slow(connection: Any, user_id: int) -> Any:
            found = find_person(connection, user_id)
            if not has_read.is_set():
                has_read.set()
                may_return.wait(5)
            return found

        monkeypatch.setattr("messaging.directory.database.find_person", slow)
        yield has_read
        may_return.set()

    return stall


@pytest.fixture
async def directory(
    outage: object, people: object, clock: Clock
) -> AsyncIterator[DatabaseDirectory]:
    opened = DatabaseDirectory(settings(), monotonic_s=clock)
    yield opened
    await opened.close()


@pytest.fixture(params=["memory", pytest.param("database", marks=ON_DATABASE)])
async def any_directory(request: pytest.FixtureRequest) -> AsyncIterator[Directory]:
    if request.param == "memory":
        memory = MemoryDirectory(users=[MEMBER, STRANGER, LOCKED_OUT], groups={GROUP: {MEMBER}})
        memory.inactive.add(LOCKED_OUT)
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
            (TokenMark(GENERATION + 1, "open"), True),  # newer than what is known here
            (TokenMark(GENERATION - 1, "open"), False),
            (TokenMark(GENERATION, "ended"), False),
        ):
            assert await any_directory.user_is_active(STRANGER, mark) is is_good
            assert any_directory.known_active(STRANGER, mark) in (None, is_good)
        assert await any_directory.user_is_active(MEMBER, TokenMark(0, "ended"))
        for user_id in (LOCKED_OUT, NOBODY):
            assert not await any_directory.user_is_active(user_id, TokenMark(GENERATION, "open"))

    async def test_knows_who_belongs_to_a_group(self, any_directory: Directory) -> None:
        assert await any_directory.is_member(GROUP, MEMBER) is True
        assert await any_directory.is_member(GROUP, STRANGER) is False
        assert await any_directory.is_member(GROUP, ID_MAX) is False
        assert await any_directory.is_member(NO_GROUP, MEMBER) is None
        assert await any_directory.is_member(ID_MAX, MEMBER) is None

    async def test_knows_who_has_blocked_whom(self, any_directory: Directory) -> None:
        assert await any_directory.is_blocked(MEMBER, STRANGER)
        assert not await any_directory.is_blocked(STRANGER, MEMBER)
        assert not await any_directory.is_blocked(MEMBER, MEMBER)
        assert not await any_directory.is_blocked(NOBODY, STRANGER)
        assert not await any_directory.is_blocked(ID_MAX, ID_MAX)

    async def test_what_it_knows_at_once_is_what_it_would_find(
        self, any_directory: Directory
    ) -> None:
        for user_id in (MEMBER, STRANGER, LOCKED_OUT, NOBODY):
            active = await any_directory.user_is_active(user_id)
            assert any_directory.known_active(user_id) in (None, active)
            member = await any_directory.is_member(GROUP, user_id)
            assert any_directory.known_member(GROUP, user_id) in (None, member)
            blocked = await any_directory.is_blocked(MEMBER, user_id)
            assert any_directory.known_blocked(MEMBER, user_id) in (None, blocked)

    async def test_closes_twice(self, any_directory: Directory) -> None:
        await any_directory.close()


@ON_DATABASE
class TestTheDatabasesDirectory:
    async def test_notices_a_deactivation_within_the_stated_time(
        self, directory: DatabaseDirectory, people: Write, clock: Clock
    ) -> None:
        assert await directory.user_is_active(MEMBER)
        await people(lambda: get_user_model().objects.update(is_active=False))

        clock.now_s += IDENTITY_TTL_S - 0.1
        assert await directory.user_is_active(MEMBER)
        clock.now_s += 0.1
        assert not await directory.user_is_active(MEMBER)

    async def test_notices_a_removal_from_a_group_within_the_stated_time(
        self, directory: DatabaseDirectory, people: Write, clock: Clock
    ) -> None:
        assert await directory.is_member(GROUP, MEMBER)
        await people(lambda: ChatGroupMember.objects.all().delete())

        clock.now_s += MEMBERSHIP_TTL_S
        assert await directory.is_member(GROUP, MEMBER) is False

    async def test_notices_a_block_within_the_stated_time(
        self, directory: DatabaseDirectory, people: Write, clock: Clock
    ) -> None:
        assert not await directory.is_blocked(STRANGER, MEMBER)
        await people(lambda: block(STRANGER, MEMBER))

        clock.now_s += IDENTITY_TTL_S - 0.1
        assert not await directory.is_blocked(STRANGER, MEMBER)
        clock.now_s += 0.1
        assert await directory.is_blocked(STRANGER, MEMBER)

    async def test_notices_somebody_new_soon(
        self, directory: DatabaseDirectory, people: Write, clock: Clock
    ) -> None:
        assert not await directory.user_exists(NOBODY)
        await people(lambda: add_user(NOBODY))

        clock.now_s += NEGATIVE_TTL_S
        assert await directory.user_exists(NOBODY)

    async def test_finds_all_about_a_receiver_at_one_look(
        self, directory: DatabaseDirectory, looks: list[str]
    ) -> None:
        assert directory.known_blocked(STRANGER, MEMBER) is None
        assert await directory.user_exists(STRANGER)
        assert await directory.user_is_active(STRANGER)
        assert not await directory.is_blocked(STRANGER, MEMBER)
        assert len(looks) == 1

        assert directory.known_active(STRANGER) is True
        assert directory.known_blocked(STRANGER, MEMBER) is False
        assert directory.known_blocked(STRANGER, LOCKED_OUT) is False  # whoever the sender is
        assert directory.known_blocked(NOBODY, MEMBER) is None
        assert len(looks) == 1

    async def test_knows_members_at_once_after_one_look(
        self, directory: DatabaseDirectory, looks: list[str]
    ) -> None:
        assert directory.known_member(GROUP, MEMBER) is None
        await directory.is_member(GROUP, MEMBER)
        await directory.is_member(GROUP, STRANGER)

        assert directory.known_member(GROUP, MEMBER) is True
        assert directory.known_member(GROUP, STRANGER) is False
        assert len(looks) == 2

    async def test_looks_once_for_all_who_ask_meanwhile(
        self, directory: DatabaseDirectory, looks: list[str]
    ) -> None:
        asked = (directory.is_blocked(MEMBER, user_id) for user_id in (STRANGER, LOCKED_OUT) * 50)

        assert await asyncio.gather(*asked) == [True, False] * 50
        assert len(looks) == 1

    async def test_a_caller_who_gives_up_does_not_hurt_the_others(
        self, directory: DatabaseDirectory, looks: list[str]
    ) -> None:
        first = asyncio.create_task(directory.user_exists(MEMBER))
        second = asyncio.create_task(directory.user_exists(MEMBER))
        await asyncio.sleep(0)
        first.cancel()

        assert await second
        assert first.cancelled()
        assert len(looks) == 1

    async def test_asks_for_each_pair_where_somebody_has_blocked_very_many(
        self, directory: DatabaseDirectory, people: Write, looks: list[str], clock: Clock
    ) -> None:
        others = range(100, 102 + BLOCKS_HELD)
        await people(lambda: [(add_user(other), block(MEMBER, other)) for other in others])
        looks.clear()

        assert await directory.is_blocked(MEMBER, others[-1])
        assert not await directory.is_blocked(MEMBER, LOCKED_OUT)
        assert len(looks) == 3  # the user, and each pair
        assert directory.known_blocked(MEMBER, others[-1]) is True
        assert directory.known_blocked(MEMBER, LOCKED_OUT) is False
        assert directory.known_blocked(MEMBER, others[0]) is None
        await people(lambda: UserBlock.objects.filter(blocked_id=others[-1]).delete())
        directory.forget(BlockChanged(MEMBER, others[-1]))
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
            await directory.is_member(GROUP, MEMBER)

    async def test_serves_the_last_known_answer_until_the_database_is_back(
        self,
        directory: DatabaseDirectory,
        clock: Clock,
        outage: Begin,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        async def check() -> None:
            assert await directory.is_member(GROUP, STRANGER) is False
            assert not await directory.user_is_active(LOCKED_OUT)
            assert await directory.is_blocked(MEMBER, STRANGER)

        await check()
        clock.now_s += 10 * IDENTITY_TTL_S
        outage()
        await check()
        directory.doubt()
        await check()
        monkeypatch.undo()

        async with asyncio.timeout(10):
            while not await is_member_now(directory):
                await asyncio.sleep(0.02)

    async def test_forgets_the_oldest_answers_when_there_are_too_many(
        self, outage: Begin, people: object, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(known, "MOST_BYTES", 2 * known.ENTRY_BYTES + 200)
        directory = DatabaseDirectory(settings())
        for user_id in (LOCKED_OUT, STRANGER, MEMBER):
            await directory.user_is_active(user_id)

        assert directory.known_active(LOCKED_OUT) is None
        assert directory.known_active(MEMBER)  # whose block makes it larger
        await directory.close()

    async def test_keeps_who_exists_however_many_are_asked_for_who_do_not(
        self, outage: Begin, people: Write, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(known, "ABSENT_BYTES", 3 * known.ENTRY_BYTES)
        directory = DatabaseDirectory(settings())
        await directory.user_is_active(LOCKED_OUT)
        for user_id in range(1_000, 1_030):
            assert not await directory.user_exists(user_id)

        assert directory.known_active(LOCKED_OUT) is False
        assert [directory.known_active(n) for n in (1_000, 1_029)] == [None, False]
        await directory.close()


@ON_DATABASE
class TestADatabaseThatHasNoTime:
    async def test_is_not_away_for_five_hundred_strangers_at_once(
        self, directory: DatabaseDirectory, clock: Clock, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def slow(connection: Any, user_id: int) -> Any:
            time.sleep(0.01)
            return queries.find_person(connection, user_id)

        assert await directory.is_blocked(MEMBER, STRANGER)
        assert not await directory.user_is_active(LOCKED_OUT)
        clock.now_s += 10 * IDENTITY_TTL_S
        monkeypatch.setattr("messaging.directory.database.find_person", slow)
        strangers = [directory.user_exists(1_000 + n) for n in range(500)]
        asked = asyncio.gather(*strangers, return_exceptions=True)
        await asyncio.sleep(0)

        assert await directory.is_blocked(MEMBER, STRANGER)
        assert not await directory.user_is_active(LOCKED_OUT)
        outcomes = await asked
        assert {type(outcome) for outcome in outcomes} == {bool, StoreBusy}
        assert True not in outcomes
        assert directory._threads.breaker.is_closed

    async def test_lets_nobody_pass(
        self, directory: DatabaseDirectory, clock: Clock, busy: Start
    ) -> None:
        assert await directory.user_is_active(MEMBER)
        assert not await directory.is_blocked(STRANGER, MEMBER)
        assert await directory.is_member(GROUP, MEMBER)
        clock.now_s += 10 * IDENTITY_TTL_S
        await busy()
        questions = [
            directory.user_exists(NOBODY),
            directory.user_is_active(MEMBER),
            directory.is_blocked(STRANGER, MEMBER),
            directory.is_member(GROUP, MEMBER),
        ]

        outcomes = await asyncio.gather(*questions, return_exceptions=True)
        assert {type(outcome) for outcome in outcomes} == {StoreBusy}


async def is_member_now(directory: DatabaseDirectory) -> bool:
    try:
        return bool(await directory.is_member(GROUP, MEMBER))
    except StoreUnavailable:
        return False


@ON_DATABASE
class TestAChange:
    """A lifetime has not passed in any of these."""

    @pytest.fixture
    async def warm(self, directory: DatabaseDirectory) -> DatabaseDirectory:
        assert not await directory.is_blocked(STRANGER, MEMBER)
        assert await directory.user_is_active(MEMBER)
        assert await directory.is_member(GROUP, MEMBER)
        return directory

    @pytest.mark.parametrize("change", [BlockChanged(STRANGER, MEMBER), AnythingChanged()])
    async def test_of_a_block_is_seen(
        self, warm: DatabaseDirectory, people: Write, change: Change
    ) -> None:
        await people(lambda: block(STRANGER, MEMBER))
        warm.forget(change)

        assert warm.known_blocked(STRANGER, MEMBER) is None
        assert await warm.is_blocked(STRANGER, MEMBER)

    async def test_that_ends_tokens_holds_without_the_database(
        self, warm: DatabaseDirectory, outage: Begin
    ) -> None:
        outage()
        warm.forget(TokensEnded(MEMBER, 2, ("a", "b")))
        warm.forget(TokensEnded(MEMBER, 1, ("c",)))
        warm.forget(UserChanged(MEMBER))

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
        warm.forget(change)

        assert warm.known_active(MEMBER) is None
        assert not await warm.user_is_active(MEMBER)

    @pytest.mark.parametrize("change", [MemberChanged(GROUP, MEMBER), AnythingChanged()])
    async def test_of_a_member_is_seen(
        self, warm: DatabaseDirectory, people: Write, change: Change
    ) -> None:
        await people(lambda: ChatGroupMember.objects.all().delete())
        warm.forget(change)

        assert warm.known_member(GROUP, MEMBER) is None
        assert await warm.is_member(GROUP, MEMBER) is False

    async def test_leaves_what_it_is_not_about(
        self, warm: DatabaseDirectory, looks: list[str]
    ) -> None:
        warm.forget(UserChanged(LOCKED_OUT))
        warm.forget(MemberChanged(GROUP, STRANGER))
        warm.forget(BlockChanged(LOCKED_OUT, MEMBER))

        assert warm.known_blocked(STRANGER, MEMBER) is False
        assert warm.known_active(MEMBER) is True
        assert warm.known_member(GROUP, MEMBER) is True
        assert looks == []

    @pytest.mark.parametrize("change", [UserChanged(MEMBER), AnythingChanged()])
    async def test_is_not_undone_by_an_answer_that_was_on_its_way(
        self, directory: DatabaseDirectory, people: Write, change: Change, stalled: Stall
    ) -> None:
        with stalled() as has_read:
            asked = asyncio.create_task(directory.user_is_active(MEMBER))
            await asyncio.to_thread(has_read.wait, 5)
            await people(lambda: get_user_model().objects.update(is_active=False))
            directory.forget(change)
            assert not await directory.user_is_active(MEMBER)

        assert await asked  # as it was when this was asked
        assert directory.known_active(MEMBER) is False

    @pytest.mark.parametrize("knows", [True, False])
    async def test_that_shuts_somebody_out_holds_though_nobody_can_look(
        self, directory: DatabaseDirectory, knows: bool, unanswered: Start
    ) -> None:
        if knows:
            assert await directory.user_is_active(MEMBER)
            assert not await directory.is_blocked(STRANGER, MEMBER)
        directory.forget(UserChanged(MEMBER, is_locked_out=True))
        directory.forget(BlockChanged(STRANGER, MEMBER, is_blocked=True))
        await unanswered()

        assert not await directory.user_is_active(MEMBER)
        assert await directory.is_blocked(STRANGER, MEMBER)

    async def test_leaves_a_refusal_until_somebody_can_look(
        self, directory: DatabaseDirectory, unanswered: Start
    ) -> None:
        assert not await directory.user_is_active(LOCKED_OUT)
        assert await directory.is_blocked(MEMBER, STRANGER)
        directory.forget(UserChanged(LOCKED_OUT))
        directory.forget(BlockChanged(MEMBER, STRANGER))
        directory.forget(AnythingChanged())
        await unanswered()

        assert not await directory.user_is_active(LOCKED_OUT)
        assert await directory.is_blocked(MEMBER, STRANGER)

    async def test_of_very_many_blocks_holds_for_each(
        self, directory: DatabaseDirectory, outage: Begin
    ) -> None:
        others = range(100, 103 + BLOCKS_HELD)
        for other in others:
            directory.forget(BlockChanged(MEMBER, other, is_blocked=True))
        outage()

        assert all([await directory.is_blocked(MEMBER, other) for other in others])
        assert not await directory.is_blocked(MEMBER, LOCKED_OUT)

    async def test_is_not_believed_past_the_next_look(
        self, directory: DatabaseDirectory, people: object
    ) -> None:
        directory.forget(UserChanged(MEMBER, is_locked_out=True))
        directory.forget(BlockChanged(STRANGER, MEMBER, is_blocked=True))

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
        warm.forget(MemberChanged(GROUP, MEMBER))

        with pytest.raises(StoreUnavailable):
            await warm.is_member(GROUP, MEMBER)

    async def test_ends_what_is_under_way_when_it_closes(
        self, directory: DatabaseDirectory, stalled: Stall
    ) -> None:
        with stalled() as has_read:
            asked = asyncio.create_task(directory.user_is_active(MEMBER))
            await asyncio.to_thread(has_read.wait, 5)
            directory.forget(UserChanged(MEMBER))
            await directory.close()

        await asyncio.wait([asked])
        assert asked.cancelled()
        assert asyncio.all_tasks() == {asyncio.current_task()}
