"""Check that every process sees a change of people long before its entry's lifetime is over.

Two directories on a real Redis stand for two processes.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import pytest
import redis
from django.contrib.auth import get_user_model
from django.db import transaction
from pytest_django import Settings as DjangoSettings
from redis.asyncio.client import PubSub

from messaging.cache import keys
from messaging.cache.change_feed import LAST_WAIT_S, ChangeListener, publish
from messaging.conf import Settings
from messaging.database.threads import DatabaseThreads
from messaging.directory import DatabaseDirectory
from messaging.domain.changes import (
    AnythingChanged,
    BlockChanged,
    Change,
    Notice,
    TokensEnded,
    UserChanged,
    decode_notice,
)
from messaging.domain.conversations import NEVER
from messaging.models import ChatGroup, ChatGroupMember, Profile, UserBlock
from messaging.runtime import signals, wiring
from tests.contract.directory.people import is_member
from tests.support.proxy import Mode, Proxy
from tests.support.real_services import free_port

pytestmark = pytest.mark.django_db(transaction=True)
ALICE, BOB, CAROL, NOBODY = 1, 2, 3, 4
GROUP = 7
SOON_S = 1.0
LONG_S = 600.0
PING_AFTER_S = 0.2
Write = Callable[[Callable[[], object]], Awaitable[None]]
Told = Callable[[], list[list[Change]]]


@dataclass
class ListeningProcess:
    """Hold one process's directory and listener; `gaps` counts its new connections."""

    directory: DatabaseDirectory
    listener: ChangeListener
    gaps: int = 0


@contextlib.asynccontextmanager
async def process(settings: Settings) -> AsyncIterator[ListeningProcess]:
    def note_gap() -> None:
        started.gaps += 1
        directory.expire_all()

    directory = DatabaseDirectory(settings)
    listener = ChangeListener(
        settings, on_change=directory.invalidate, on_gap=note_gap, silence_s=PING_AFTER_S
    )
    started = ListeningProcess(directory, listener)
    await listener.start()
    try:
        yield started
    finally:
        await listener.close()
        await directory.close()


@pytest.fixture
def current(settings: DjangoSettings, redis_url: str) -> Settings:
    settings.IM = replace(
        settings.IM, redis_url=redis_url, identity_ttl_s=LONG_S, redis_timeout_s=0.5
    )
    current: Settings = settings.IM
    return current


@pytest.fixture(autouse=True)
def lasting(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make lifetimes so long that none is over within a test."""
    monkeypatch.setattr("messaging.directory.group_answers.MEMBERSHIP_TTL_S", LONG_S)
    monkeypatch.setattr("messaging.directory.group_answers.NEGATIVE_TTL_S", LONG_S)
    monkeypatch.setattr("messaging.directory.database.NEGATIVE_TTL_S", LONG_S)


@pytest.fixture
async def write(current: Settings) -> AsyncIterator[Write]:
    """Yield a function that runs a write in a thread where Django allows it; some users exist."""
    threads = DatabaseThreads(name="people", threads=1, timeout_s=10)

    async def run(job: Callable[[], object]) -> None:
        await threads.run(lambda _: job())

    await run(populate)
    yield run
    await threads.close()


@pytest.fixture
async def processes(current: Settings, write: Write) -> AsyncIterator[list[ListeningProcess]]:
    async with process(current) as one, process(current) as other:
        yield [one, other]


@pytest.fixture
def proxy(redis_url: str) -> Iterator[Proxy]:
    with contextlib.closing(Proxy(redis_url)) as opened:
        yield opened


@pytest.fixture
def told(redis_url: str) -> Iterator[Callable[[], list[list[Change]]]]:
    """Yield a function that returns the changes published since its last call, a list a message."""
    with redis.Redis.from_url(redis_url) as client, client.pubsub() as pubsub:
        pubsub.subscribe(keys.CHANGES)
        assert pubsub.get_message(timeout=5)

        def take() -> list[list[Change]]:
            client.publish(keys.CHANGES, "end")
            messages = list(iter(lambda: pubsub.get_message(timeout=5)["data"], b"end"))
            return [sorted(decode_notice(each).changes, key=repr) for each in messages]

        yield take


def populate() -> None:
    users = get_user_model().objects
    for user_id in (ALICE, BOB):
        users.create(pk=user_id, username=f"user {user_id}")
    users.create(pk=CAROL, username="carol", is_active=False)
    group = ChatGroup.objects.create(pk=GROUP, name="group")
    ChatGroupMember.objects.create(group=group, user_id=ALICE)
    UserBlock.objects.create(blocker_id=BOB, blocked_id=CAROL)


def user(user_id: int) -> Any:
    return get_user_model().objects.get(pk=user_id)


def members() -> Any:
    return ChatGroup.objects.get(pk=GROUP).members


def set_active(user_id: int, is_active: bool, **options: Any) -> None:
    changed = user(user_id)
    changed.is_active = is_active
    changed.save(**options)


def block(blocker_id: int, blocked_id: int) -> None:
    UserBlock.objects.create(blocker_id=blocker_id, blocked_id=blocked_id)


async def until(answers: Callable[[], Awaitable[bool]], *, within_s: float = SOON_S) -> None:
    async with asyncio.timeout(within_s):
        while not await answers():
            await asyncio.sleep(0.005)


async def is_all_muted(directory: DatabaseDirectory, group_id: int, user_id: int) -> bool:
    access = await directory.group_access(group_id, user_id)
    return access is not None and access.group.is_all_muted


Question = Callable[..., Awaitable[object]]
ACTIVE, EXISTS = DatabaseDirectory.user_is_active, DatabaseDirectory.user_exists
MEMBER, BLOCKED = is_member, DatabaseDirectory.is_blocked
SHOWN_FROM = DatabaseDirectory.receipts_from
WRITES: dict[str, tuple[Callable[[], object], Question, tuple[int, ...], object]] = {
    "a user is locked out": (lambda: set_active(ALICE, False), ACTIVE, (ALICE,), False),
    "a user is locked out by one field": (
        lambda: set_active(ALICE, False, update_fields=["is_active"]),
        ACTIVE,
        (ALICE,),
        False,
    ),
    "a user is let in again": (lambda: set_active(CAROL, True), ACTIVE, (CAROL,), True),
    "a profile is changed": (
        lambda: Profile.objects.update_or_create(user_id=BOB, defaults={"shows_receipts": False}),
        SHOWN_FROM,
        (BOB,),
        NEVER,
    ),
    "a user is deleted": (lambda: user(BOB).delete(), EXISTS, (BOB,), False),
    "users are deleted": (
        lambda: get_user_model().objects.exclude(pk=ALICE).delete(),  # a member of a group
        EXISTS,
        (BOB,),
        False,
    ),
    "there is a new user": (
        lambda: get_user_model().objects.create(pk=NOBODY, username="new"),
        EXISTS,
        (NOBODY,),
        True,
    ),
    "a member is added": (lambda: members().add(BOB), MEMBER, (GROUP, BOB), True),
    "a group is joined": (lambda: user(BOB).chat_groups.add(GROUP), MEMBER, (GROUP, BOB), True),
    "members are chosen": (lambda: members().set([BOB]), MEMBER, (GROUP, ALICE), False),
    "a member is removed": (lambda: members().remove(ALICE), MEMBER, (GROUP, ALICE), False),
    "all groups are left": (lambda: user(ALICE).chat_groups.clear(), MEMBER, (GROUP, ALICE), False),
    "a membership is made": (
        lambda: ChatGroupMember.objects.create(group_id=GROUP, user_id=BOB),
        MEMBER,
        (GROUP, BOB),
        True,
    ),
    "a group is deleted": (
        lambda: ChatGroup.objects.get(pk=GROUP).delete(),
        MEMBER,
        (GROUP, ALICE),
        None,
    ),
    "a group is changed": (
        lambda: ChatGroup(pk=GROUP, is_all_muted=True).save(update_fields=["is_all_muted"]),
        is_all_muted,
        (GROUP, ALICE),
        True,
    ),
    "a block is set": (lambda: block(ALICE, BOB), BLOCKED, (ALICE, BOB), True),
    "a block is removed": (lambda: UserBlock.objects.all().delete(), BLOCKED, (BOB, CAROL), False),
    "a blocked user is deleted": (lambda: user(CAROL).delete(), BLOCKED, (BOB, CAROL), False),
}


class TestAChange:
    @pytest.mark.alone
    @pytest.mark.parametrize("name", WRITES)
    async def test_is_seen_by_every_process_at_once(
        self, processes: list[ListeningProcess], write: Write, name: str
    ) -> None:
        job, question, about, expected = WRITES[name]
        for each in processes:
            assert await question(each.directory, *about) != expected
        await write(job)

        for each in processes:

            async def answers(directory: DatabaseDirectory = each.directory) -> bool:
                return bool(await question(directory, *about) == expected)

            await until(answers)

    async def test_that_is_rolled_back_is_told_to_nobody(self, write: Write, told: Told) -> None:
        def undo() -> None:
            with contextlib.suppress(ZeroDivisionError), transaction.atomic():
                block(ALICE, BOB)
                raise ZeroDivisionError

        await write(undo)

        assert told() == []

    async def test_is_told_when_it_is_committed_and_not_before(
        self, write: Write, told: Told
    ) -> None:
        def job() -> None:
            with transaction.atomic():
                set_active(ALICE, False)
                assert told() == []

        await write(job)

        assert told() == [[TokensEnded(ALICE, 1), UserChanged(ALICE, is_locked_out=True)]]

    async def test_is_told_though_a_part_before_it_was_rolled_back(
        self, write: Write, told: Told
    ) -> None:
        def job() -> None:
            with transaction.atomic():
                with contextlib.suppress(ZeroDivisionError), transaction.atomic():
                    set_active(ALICE, False)
                    raise ZeroDivisionError
                block(ALICE, BOB)

        await write(job)

        (changes,) = told()
        assert BlockChanged(ALICE, BOB, is_blocked=True) in changes

    async def test_is_told_together_with_all_others_of_its_transaction(
        self, write: Write, told: Told
    ) -> None:
        await write(lambda: user(BOB).delete())  # bob's block of carol is deleted with bob

        assert told() == [[BlockChanged(BOB, CAROL), UserChanged(BOB, is_locked_out=True)]]

    async def test_among_very_many_is_told_as_anything(
        self, write: Write, told: Told, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(signals, "PUBLISHED_ONE_BY_ONE", 1)

        await write(lambda: user(BOB).delete())

        assert told() == [[AnythingChanged()]]

    async def test_a_login_is_none(self, write: Write, told: Told) -> None:
        await write(lambda: user(ALICE).save(update_fields=["last_login"]))

        assert told() == []


@pytest.mark.alone
class TestWithRedisAway:
    async def test_a_write_succeeds_and_is_seen_when_the_lifetime_is_over(
        self, current: Settings, write: Write, settings: DjangoSettings, caplog: Any
    ) -> None:
        settings.IM = replace(
            current, redis_url=f"redis://127.0.0.1:{free_port()}/0", identity_ttl_s=0.3
        )
        async with process(settings.IM) as alone:
            assert await alone.directory.user_is_active(ALICE)
            await write(lambda: set_active(ALICE, False))
            assert await alone.directory.user_is_active(ALICE)
            assert "changes.not_published" in {getattr(r, "action", "") for r in caplog.records}

            async def locked_out() -> bool:
                return not await alone.directory.user_is_active(ALICE)

            await until(locked_out)

    async def test_what_was_missed_is_looked_up_when_it_is_back(
        self, current: Settings, write: Write, proxy: Proxy
    ) -> None:
        async with process(replace(current, redis_url=proxy.url)) as cut_off:
            assert not await cut_off.directory.is_blocked(ALICE, BOB)
            proxy.turn(Mode.DROP)
            await write(lambda: block(ALICE, BOB))
            await asyncio.sleep(3 * PING_AFTER_S)
            assert not await cut_off.directory.is_blocked(ALICE, BOB)
            assert proxy.count > 1  # the listener tries again and again

            proxy.heal()
            await until(
                lambda: cut_off.directory.is_blocked(ALICE, BOB), within_s=LAST_WAIT_S + SOON_S
            )

    async def test_that_stopped_answering_is_noticed(
        self, current: Settings, write: Write, redis_url: str
    ) -> None:
        async with process(current) as frozen:
            gaps = frozen.gaps
            with redis.Redis.from_url(redis_url) as client:
                client.client_pause(round(5 * PING_AFTER_S * 1000))

            async def has_connected_again() -> bool:
                return frozen.gaps > gaps

            await until(has_connected_again, within_s=5)


class TestTheWritersOwnProcess:
    async def test_sees_a_change_before_anything_else_even_without_redis(
        self, current: Settings, write: Write, settings: DjangoSettings
    ) -> None:
        settings.IM = replace(current, redis_url=f"redis://127.0.0.1:{free_port()}/0")
        await wiring.start()
        try:
            directory = wiring.backends().directory
            assert await directory.user_is_active(ALICE)
            await write(lambda: set_active(ALICE, False))
            assert not await directory.user_is_active(ALICE)
        finally:
            await wiring.stop()

    @pytest.mark.alone
    async def test_is_not_told_a_second_time(self, current: Settings, write: Write) -> None:
        async with process(current) as own, process(current) as other:
            for each in (own, other):
                await each.directory.user_exists(ALICE)
            notice = Notice(own.listener.origin, (UserChanged(ALICE),))
            await asyncio.to_thread(publish, current, notice)

            async def heard() -> bool:
                return other.directory.known_active(ALICE) is None

            await until(heard)
            await asyncio.sleep(0.05)
            assert own.directory.known_active(ALICE)


class TestTheListener:
    @pytest.mark.alone
    async def test_takes_what_it_cannot_read_for_any_change(
        self, processes: list[ListeningProcess], redis_url: str
    ) -> None:
        for each in processes:
            await each.directory.user_exists(ALICE)
        with redis.Redis.from_url(redis_url) as client:
            client.publish(keys.CHANGES, '[["unheard of", 1]]')

        for each in processes:
            directory = each.directory

            async def forgotten(directory: DatabaseDirectory = directory) -> bool:
                return directory.known_active(ALICE) is None

            await until(forgotten)

    async def test_leaves_nothing_behind(self, current: Settings, redis_url: str) -> None:
        tasks = asyncio.all_tasks()
        async with process(current):
            with redis.Redis.from_url(redis_url) as client:
                assert client.pubsub_numsub(keys.CHANGES) == [(keys.CHANGES.encode(), 1)]
        assert asyncio.all_tasks() == tasks
        with redis.Redis.from_url(redis_url) as client:
            assert client.pubsub_numsub(keys.CHANGES) == [(keys.CHANGES.encode(), 0)]

    async def test_ends_while_it_waits_for_redis(self, current: Settings) -> None:
        nowhere = replace(current, redis_url=f"redis://127.0.0.1:{free_port()}/0")
        tasks = asyncio.all_tasks()
        async with process(nowhere) as alone:
            await alone.listener.close()
        assert asyncio.all_tasks() == tasks

    async def test_ends_though_a_wait_swallows_its_cancellation(
        self, current: Settings, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """redis-py's wait swallows a cancellation when the wait ends at the same moment."""
        get_message, swallowed = PubSub.get_message, []

        async def swallow(self: PubSub, *args: Any, **options: Any) -> Any:
            try:
                return await get_message(self, *args, **options)
            except asyncio.CancelledError:
                if swallowed:
                    raise
                swallowed.append(True)
                return None

        async with process(current) as one:
            monkeypatch.setattr(PubSub, "get_message", swallow)
            await asyncio.sleep(2 * PING_AFTER_S)
            async with asyncio.timeout(5):
                await one.listener.close()
        assert swallowed


async def test_a_listener_that_fails_by_a_fault_of_its_own_listens_again(current: Settings) -> None:
    heard: list[Change] = []

    def hear(change: Change) -> None:
        heard.append(change)
        if len(heard) == 1:
            raise RuntimeError("a bug")

    gaps: list[int] = []
    listener = ChangeListener(current, on_change=hear, on_gap=lambda: gaps.append(len(heard)))
    await listener.start()
    notice = Notice("another", (UserChanged(ALICE),))
    await asyncio.to_thread(publish, current, notice)
    async with asyncio.timeout(10):
        while len(gaps) < 2:
            await asyncio.sleep(0.01)
    await asyncio.to_thread(publish, current, notice)
    async with asyncio.timeout(10):
        while len(heard) < 2:
            await asyncio.sleep(0.01)
    await listener.close()
