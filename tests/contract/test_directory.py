"""What every directory promises: the one in memory and the database of the settings in force."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
from django.contrib.auth import get_user_model
from django.db import connections

from messaging import directory as directory_module
from messaging.conf import settings
from messaging.database_threads import DatabaseThreads
from messaging.directory import AWAY_S, MEMBERSHIP_TTL_S, NEGATIVE_TTL_S, DatabaseDirectory
from messaging.errors import StoreUnavailable
from messaging.events import ID_MAX
from messaging.models import ChatGroup, ChatGroupMember
from messaging.ports import Directory
from messaging.testing.store import MemoryDirectory

MEMBER, STRANGER, LOCKED_OUT, NOBODY = 1, 2, 3, 4
GROUP, NO_GROUP = 7, 8
ON_DATABASE = pytest.mark.django_db(transaction=True)
IDENTITY_TTL_S = settings().identity_ttl_s
Write = Callable[[Callable[[], object]], Awaitable[None]]
Begin = Callable[[], None]


class Clock:
    now_s = 1_000.0

    def __call__(self) -> float:
        return self.now_s


def add_user(user_id: int, *, is_active: bool = True) -> None:
    get_user_model().objects.create(pk=user_id, username=f"u{user_id}", is_active=is_active)


def populate() -> None:
    add_user(MEMBER)
    add_user(STRANGER)
    add_user(LOCKED_OUT, is_active=False)
    group = ChatGroup.objects.create(pk=GROUP, name="a group")
    ChatGroupMember.objects.create(group=group, user_id=MEMBER)


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

    async def test_knows_who_belongs_to_a_group(self, any_directory: Directory) -> None:
        assert await any_directory.is_member(GROUP, MEMBER) is True
        assert await any_directory.is_member(GROUP, STRANGER) is False
        assert await any_directory.is_member(GROUP, ID_MAX) is False
        assert await any_directory.is_member(NO_GROUP, MEMBER) is None
        assert await any_directory.is_member(ID_MAX, MEMBER) is None

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

    async def test_notices_somebody_new_soon(
        self, directory: DatabaseDirectory, people: Write, clock: Clock
    ) -> None:
        assert not await directory.user_exists(NOBODY)
        await people(lambda: add_user(NOBODY))

        clock.now_s += NEGATIVE_TTL_S
        assert await directory.user_exists(NOBODY)

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
        assert await directory.is_member(GROUP, STRANGER) is False
        assert not await directory.user_is_active(LOCKED_OUT)
        clock.now_s += 10 * IDENTITY_TTL_S
        outage()
        assert await directory.is_member(GROUP, STRANGER) is False
        assert not await directory.user_is_active(LOCKED_OUT)
        monkeypatch.undo()

        with pytest.raises(StoreUnavailable):
            await directory.is_member(GROUP, MEMBER)  # it is not asked again at once
        clock.now_s += AWAY_S
        assert await directory.is_member(GROUP, MEMBER) is True

    async def test_forgets_the_oldest_answers_when_there_are_too_many(
        self, directory: DatabaseDirectory, outage: Begin, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(directory_module, "MAX_ENTRIES", 2)
        for user_id in (LOCKED_OUT, NOBODY, MEMBER):
            await directory.user_is_active(user_id)
        outage()

        assert await directory.user_is_active(LOCKED_OUT)  # forgotten
        assert not await directory.user_is_active(NOBODY)
