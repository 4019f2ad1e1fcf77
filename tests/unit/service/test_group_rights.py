"""Test that a right in a group that has shrunk is gone in every process, for reads and sends.

The process under test remembers for ever what it once knew of the group, and hears of no change:
the guard alone, or the absence of the cache, makes it ask the database.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from messaging.domain.backend_errors import StoreUnavailable
from messaging.domain.errors import (
    ApiError,
    GroupDissolved,
    GroupNotFound,
    MessageNotFound,
    MutedInGroup,
    NotAMember,
    SendFailed,
    TemporarilyUnavailable,
)
from messaging.domain.groups import FOR_GOOD, Group, GroupState, Role
from messaging.domain.ids import group_conversation
from messaging.domain.requests import Ack
from messaging.pipeline.queued_send import Durability
from messaging.ports.directory import GroupAccess
from messaging.service.delete import delete
from messaging.service.fetch import fetch
from messaging.service.history import history
from messaging.service.recall import recall
from messaging.service.send import send
from messaging.testing.store import MemoryStore
from tests.support.memory import ALICE, BOB, GROUP, MemoryService, to_group, with_group

CONVERSATION = group_conversation(GROUP)

Call = Callable[[MemoryService], Awaitable[object]]


@pytest.fixture
def service() -> MemoryService:
    service = MemoryService()
    service.directory.known = {}
    return service


async def sent(service: MemoryService, *, sender_id: int = ALICE, **changes: Any) -> int:
    service.clock.now_ms += 1
    receipt = await send(service.backends, to_group(**changes), sender_id=sender_id)
    return receipt.message_id


async def remember(service: MemoryService) -> int:
    """Let the process know the members, and return the id of a message of alice."""
    message_id = await sent(service)
    await history(service.backends, with_group(), reader_id=BOB)
    assert service.directory.known
    return message_id


async def doubt(service: MemoryService, *user_ids: int) -> None:
    await service.cache.distrust(CONVERSATION, user_ids or None)


def counted(service: MemoryService) -> list[int]:
    """Return a list that grows by the score of each question to the database."""
    asked: list[int] = []
    ask = service.directory.ask_access

    async def ask_access(group_id: int, user_id: int, *, after: int) -> GroupAccess | None:
        asked.append(after)
        return await ask(group_id, user_id, after=after)

    service.directory.ask_access = ask_access  # type: ignore[method-assign]
    return asked


class TestARemovedMember:
    @pytest.mark.parametrize("whom", [(BOB,), ()], ids=["named", "everybody"])
    @pytest.mark.parametrize("stored", [False, True], ids=["pending", "stored"])
    async def test_gets_nothing_more(
        self, service: MemoryService, whom: tuple[int, ...], stored: bool
    ) -> None:
        message_id = await remember(service)
        if stored:
            await service.consume()
        service.directory.groups[GROUP].remove(BOB)
        await doubt(service, *whom)

        assert service.directory.known is not None
        stale = service.directory.known.copy()
        for call, error in (
            (history(service.backends, with_group(), reader_id=BOB), NotAMember),
            (send(service.backends, to_group(), sender_id=BOB), NotAMember),
            (fetch(service.backends, message_id, reader_id=BOB), MessageNotFound),
            (delete(service.backends, message_id, user_id=BOB), MessageNotFound),
            (recall(service.backends, message_id, user_id=BOB), MessageNotFound),
        ):
            service.directory.known |= stale
            with pytest.raises(error):
                await call
        assert len((await history(service.backends, with_group(), reader_id=ALICE)).messages) == 1

    @pytest.mark.parametrize("mode", ["async", "sync"])
    async def test_leaves_no_trace_by_a_send(self, service: MemoryService, mode: str) -> None:
        service.directory.records[GROUP] = Group(id=GROUP, name="group", mode=mode)
        await remember(service)
        before = len(service.cache.details), len(service.store.rows)
        service.directory.groups[GROUP].remove(BOB)
        await doubt(service, BOB)
        with pytest.raises(NotAMember):
            await sent(service, sender_id=BOB, client_msg_id="k")
        assert (len(service.cache.details), len(service.store.rows)) == before
        assert (BOB, "k") not in service.cache.idempotency_records

    @pytest.mark.parametrize("mode", ["async", "sync"])
    async def test_is_told_the_first_id_of_an_earlier_send(
        self, service: MemoryService, mode: str
    ) -> None:
        service.directory.records[GROUP] = Group(id=GROUP, name="group", mode=mode)
        first = await sent(service, sender_id=BOB, client_msg_id="k")
        service.directory.groups[GROUP].remove(BOB)
        await doubt(service, BOB)
        assert await sent(service, sender_id=BOB, client_msg_id="k") == first

    async def test_is_asked_about_where_only_the_database_has_the_message(
        self, service: MemoryService
    ) -> None:
        message_id = await remember(service)
        await service.consume()
        service.cache.run_out()
        assert (await fetch(service.backends, message_id, reader_id=BOB)).id == message_id
        service.cache.run_out()
        service.directory.groups[GROUP].remove(BOB)
        with pytest.raises(MessageNotFound):
            await fetch(service.backends, message_id, reader_id=BOB)

    async def test_sees_nothing_while_a_deep_page_is_read(self, service: MemoryService) -> None:
        """The doubt arises between two steps of one page."""
        for _ in range(9):
            await sent(service)
        await history(service.backends, with_group(), reader_id=BOB)
        listed = service.guarded_cache.listed

        async def meanwhile(*args: Any, **options: Any) -> object:
            service.directory.groups[GROUP].discard(BOB)
            await doubt(service, BOB)
            return await listed(*args, **options)

        service.guarded_cache.listed = meanwhile  # type: ignore[assignment]
        with pytest.raises(NotAMember):
            await history(service.backends, with_group(page=4, size=2), reader_id=BOB)


class TestAMemberInDoubt:
    async def test_goes_on_and_the_database_is_asked_once(self, service: MemoryService) -> None:
        message_id = await remember(service)
        asked = counted(service)
        await doubt(service, BOB)
        for _ in range(3):
            page = await history(service.backends, with_group(), reader_id=BOB)
            assert page.messages[-1].id == message_id
            assert (await fetch(service.backends, message_id, reader_id=BOB)).id == message_id
            await sent(service, sender_id=BOB)
        assert len(asked) == 1
        await doubt(service)
        await sent(service, sender_id=BOB)
        await history(service.backends, with_group(), reader_id=BOB)
        assert asked == sorted(set(asked))
        assert len(asked) == 2

    async def test_reads_by_the_floor_of_a_new_membership(self, service: MemoryService) -> None:
        message_id = await remember(service)
        service.directory.floors[GROUP, BOB] = (message_id, 1)
        await doubt(service, BOB)
        page = await history(service.backends, with_group(), reader_id=BOB)
        assert (page.messages, page.total) == ((), 0)

    async def test_is_refused_where_nobody_can_tell(self, service: MemoryService) -> None:
        message_id = await remember(service)
        await doubt(service, BOB)
        service.directory.down = True
        for call in (
            history(service.backends, with_group(), reader_id=BOB),
            fetch(service.backends, message_id, reader_id=BOB),
            send(service.backends, to_group(), sender_id=BOB),
        ):
            with pytest.raises(TemporarilyUnavailable):
                await call

    async def test_is_refused_after_too_many_doubts(self, service: MemoryService) -> None:
        await remember(service)
        asked = counted(service)
        ask = service.directory.ask_access

        async def ever_again(group_id: int, user_id: int, *, after: int) -> GroupAccess | None:
            answer = await ask(group_id, user_id, after=after)
            await doubt(service, BOB)
            return answer

        service.directory.ask_access = ever_again  # type: ignore[method-assign]
        await doubt(service, BOB)
        for call in (
            history(service.backends, with_group(), reader_id=BOB),
            send(service.backends, to_group(), sender_id=BOB),
        ):
            asked.clear()
            with pytest.raises(TemporarilyUnavailable):
                await call
            assert len(asked) == 3


class TestAfterALossOfTheCache:
    async def test_a_right_is_in_doubt_though_the_guard_is_lost(
        self, service: MemoryService
    ) -> None:
        await remember(service)
        service.directory.groups[GROUP].remove(BOB)
        await doubt(service, BOB)
        service.cache.guards.clear()
        service.hints.breaker.trip()
        assert await service.hints.breaker.try_now()
        with pytest.raises(NotAMember):
            await send(service.backends, to_group(), sender_id=BOB)


class TestWithoutTheCache:
    @pytest.mark.parametrize("mode", ["async", "sync"])
    async def test_the_database_is_asked_for_every_call(
        self, service: MemoryService, mode: str
    ) -> None:
        service.directory.records[GROUP] = Group(id=GROUP, name="group", mode=mode)
        message_id = await remember(service)
        await service.consume()
        service.cache.down = True
        receipt = await send(service.backends, to_group(), sender_id=BOB)
        assert receipt.durability is (Durability.STORE if mode == "sync" else Durability.LOG)
        await service.consume()
        assert (await fetch(service.backends, message_id, reader_id=BOB)).id == message_id
        page = await history(service.backends, with_group(), reader_id=BOB)
        assert message_id in [m.id for m in page.messages]

        service.directory.groups[GROUP].remove(BOB)
        assert service.directory.known is not None
        stale = service.directory.known.copy()
        for call, error in (
            (send(service.backends, to_group(), sender_id=BOB), NotAMember),
            (history(service.backends, with_group(), reader_id=BOB), NotAMember),
            (fetch(service.backends, message_id, reader_id=BOB), MessageNotFound),
        ):
            service.directory.known |= stale
            with pytest.raises(error):
                await call

    async def test_a_send_that_the_cache_may_have_taken_keeps_its_id(
        self, service: MemoryService
    ) -> None:
        """The cache wrote the message, and its answer was lost."""
        await remember(service)
        accept = service.cache.accept

        async def lose_the_answer(*args: Any, **options: Any) -> object:
            await accept(*args, **options)
            service.cache.down = True
            service.cache._answer()
            return None

        service.acceptor.commit.cache = _With(service.guarded_cache, accept=lose_the_answer)
        receipt = await send(service.backends, to_group("once"), sender_id=BOB)
        assert [m.id for m in service.cache.details.values() if m.content == "once"] == [
            receipt.message_id
        ]

    @pytest.mark.parametrize("mode", ["async", "sync"])
    async def test_nobody_is_guessed_to_be_a_member_without_the_database(
        self, service: MemoryService, mode: str
    ) -> None:
        service.directory.records[GROUP] = Group(id=GROUP, name="group", mode=mode)
        message_id = await remember(service)
        service.cache.down = service.directory.down = service.store.down = True
        for call in (
            history(service.backends, with_group(), reader_id=BOB),
            fetch(service.backends, message_id, reader_id=BOB),
            send(service.backends, to_group(), sender_id=BOB),
        ):
            with pytest.raises(TemporarilyUnavailable):
                await call


class _With:
    """Stand for a cache with another method."""

    def __init__(self, cache: object, **methods: object) -> None:
        self._cache = cache
        self.__dict__.update(methods)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._cache, name)


class TestAMessageBelowAFloor:
    @pytest.mark.parametrize("mode", ["async", "sync"])
    async def test_takes_a_later_id_and_asks_nobody(
        self, service: MemoryService, mode: str
    ) -> None:
        service.directory.records[GROUP] = Group(id=GROUP, name="group", mode=mode)
        await remember(service)
        asked = counted(service)
        floor_ms = await service.cache.open_floor(CONVERSATION, service.clock.now_ms + 200)
        receipt = await send(service.backends, to_group(), sender_id=ALICE)
        assert receipt.send_time > floor_ms
        assert asked == []
        again = await send(service.backends, to_group(), sender_id=ALICE)
        assert again.message_id > receipt.message_id
        assert service.backends.ids.now_ms() < floor_ms  # nobody has waited

    @pytest.mark.parametrize("name", [None, "k"], ids=["without a name", "with a clientMsgId"])
    async def test_takes_no_other_id_where_a_first_attempt_may_stand(
        self, service: MemoryService, name: str | None, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The store takes the message, and its answer is lost; then a floor is opened above it."""
        service.directory.records[GROUP] = Group(id=GROUP, name="group", mode="sync")
        await remember(service)
        apply = MemoryStore.apply

        async def lose_the_answer(*args: Any, **options: Any) -> object:
            await apply(*args, **options)
            await service.cache.open_floor(CONVERSATION, service.clock.now_ms + 200)
            raise StoreUnavailable

        monkeypatch.setattr(MemoryStore, "apply", lose_the_answer)
        sending = send(service.backends, to_group("once", client_msg_id=name), sender_id=BOB)
        if name is None:
            with pytest.raises(SendFailed):
                await sending
        else:
            await sending
        monkeypatch.undo()
        await service.consume()
        assert [row.content for row in service.store.rows.values()].count("once") == 1


async def muted(service: MemoryService, until: int) -> None:
    service.directory.mutes[GROUP, BOB] = until


async def all_muted(service: MemoryService) -> None:
    service.directory.records[GROUP] = Group(id=GROUP, name="group", is_all_muted=True)


async def dissolved(service: MemoryService) -> None:
    service.directory.records[GROUP] = Group(id=GROUP, name="group", state=GroupState.DISSOLVED)


async def removed(service: MemoryService) -> None:
    service.directory.groups[GROUP].remove(BOB)


async def absent(service: MemoryService) -> None:
    del service.directory.groups[GROUP]


class TestARefusal:
    @pytest.mark.parametrize(
        ("change", "error", "data"),
        [
            (lambda s: muted(s, s.clock.now_ms + 9), MutedInGroup, 9),
            (lambda s: muted(s, FOR_GOOD), MutedInGroup, 0),
            (all_muted, MutedInGroup, 0),
            (dissolved, GroupDissolved, None),
            (removed, NotAMember, None),
            (absent, GroupNotFound, None),
        ],
        ids=["muted", "muted for good", "all muted", "dissolved", "removed", "absent"],
    )
    @pytest.mark.parametrize("mode", ["async", "sync"])
    async def test_is_told_at_once_and_a_repeat_gets_its_first_receipt(
        self, mode: str, change: Call, error: type[ApiError], data: int | None
    ) -> None:
        service = MemoryService().restarted_with(group_mode=mode)
        first = await sent(service, sender_id=BOB, client_msg_id="k")
        await change(service)
        now_ms = service.clock.now_ms
        for _ in range(2):
            with pytest.raises(error) as told:
                await send(service.backends, to_group(client_msg_id="l"), sender_id=BOB)
            if data is not None:
                assert told.value.data == {"mutedUntil": now_ms + data if data else 0}
            again = await send(
                service.backends, to_group(client_msg_id="k", ack=Ack.CACHE), sender_id=BOB
            )
            assert again.message_id == first

    @pytest.mark.parametrize("role", list(Role))
    async def test_of_all_is_one_of_plain_members(self, role: Role) -> None:
        service = MemoryService()
        await all_muted(service)
        service.directory.roles[GROUP, BOB] = role
        if role is Role.MEMBER:
            with pytest.raises(MutedInGroup):
                await sent(service, sender_id=BOB)
        else:
            await sent(service, sender_id=BOB)

    async def test_of_a_mute_ends_with_it(self) -> None:
        service = MemoryService()
        await muted(service, service.clock.now_ms + 9)
        service.clock.now_ms += 8
        assert await sent(service, sender_id=BOB)

    async def test_lets_a_member_read_on(self) -> None:
        service = MemoryService()
        message_id = await sent(service)
        for change in (dissolved, lambda s: muted(s, FOR_GOOD)):
            await change(service)
            page = await history(service.backends, with_group(), reader_id=BOB)
            assert [m.id for m in page.messages] == [message_id]
            assert (await fetch(service.backends, message_id, reader_id=BOB)).id == message_id
        await delete(service.backends, message_id, user_id=BOB)

    async def test_by_a_mute_reaches_a_process_that_knows_of_none(
        self, service: MemoryService
    ) -> None:
        await sent(service, sender_id=BOB)
        await all_muted(service)
        await doubt(service)
        with pytest.raises(MutedInGroup):
            await sent(service, sender_id=BOB)


@pytest.mark.parametrize("own", ["async", "sync"])
@pytest.mark.parametrize("default", ["async", "sync"])
async def test_the_mode_of_a_group_is_its_own(own: str, default: str) -> None:
    service = MemoryService().restarted_with(group_mode=default)
    for mode, expected in ((None, default), (own, own)):
        service.directory.records[GROUP] = Group(id=GROUP, name="group", mode=mode)
        receipt = await send(service.backends, to_group(), sender_id=ALICE)
        assert (receipt.durability is Durability.STORE) is (expected == "sync")
