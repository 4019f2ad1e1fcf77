"""Test how users mark what they have read and got."""

from __future__ import annotations

import asyncio
import random
from dataclasses import replace

import pytest
from msgspec.structs import replace as with_fields

from messaging.domain.conversations import Mark, joint_mark
from messaging.domain.errors import ConversationNotFound, TemporarilyUnavailable, TooManyRequests
from messaging.domain.groups import OutReason
from messaging.service.listing import read_listing
from messaging.service.marks import mark, mark_later
from messaging.service.send import send
from tests.support.memory import ALICE, BOB, MALLORY, SETTINGS, MemoryService, to_bob

CHAT = "1_2"


def of_bob(read_seq: int = 0, delivered_seq: int = 0, conversation_id: str = CHAT) -> Mark:
    return Mark(
        user_id=BOB,
        conversation_id=conversation_id,
        read_seq=read_seq,
        delivered_seq=delivered_seq,
    )


async def told(service: MemoryService, *marks: Mark) -> list[tuple[int, int]]:
    marked = await mark(service.backends, marks, user_id=BOB)
    return [(each.read_seq, each.delivered_seq) for each in marked.participants]


async def written(service: MemoryService, count: int = 5) -> MemoryService:
    for _ in range(count):
        await send(service.backends, to_bob(), sender_id=ALICE)
    await service.consume()
    return service


@pytest.fixture
async def service() -> MemoryService:
    """Return a service in which bob has five messages of alice."""
    return await written(MemoryService())


class TestAMark:
    async def test_is_never_lower_than_before_and_never_past_the_last_message(
        self, service: MemoryService
    ) -> None:
        assert await told(service, of_bob(3)) == [(3, 3)]
        assert await told(service, of_bob(2, 4)) == [(3, 4)]
        assert await told(service, of_bob(99)) == [(5, 5)]
        assert await told(service, of_bob(delivered_seq=99)) == [(5, 5)]

    async def test_moves_its_own_user_alone(self, service: MemoryService) -> None:
        before = service.store.participants[ALICE, CHAT]
        await told(service, of_bob(3))
        assert service.store.participants[ALICE, CHAT] == before

    async def test_is_repeated_with_the_same_answer(self, service: MemoryService) -> None:
        assert await told(service, of_bob(3)) == await told(service, of_bob(3))
        assert service.store.participants[BOB, CHAT].rev == 1

    @pytest.mark.parametrize("numbers", [(1, 0), (0, 0), (0, 2)])
    async def test_ends_the_mark_as_unread_unless_it_is_of_the_background(
        self, service: MemoryService, numbers: tuple[int, int]
    ) -> None:
        seat = (BOB, CHAT)
        service.store.participants[seat] = with_fields(
            service.store.participants[seat], is_marked_unread=True
        )
        await told(service, with_fields(of_bob(delivered_seq=2), ends_unread=False))
        assert service.store.participants[seat].is_marked_unread
        await told(service, of_bob(*numbers))
        assert not service.store.participants[seat].is_marked_unread

    async def test_reaches_the_cached_lists_of_both(self, service: MemoryService) -> None:
        for user_id in (ALICE, BOB):
            await read_listing(service.backends, user_id)
        await told(service, of_bob(3, 4))
        service.store.down = True  # what follows is cached
        own = (await read_listing(service.backends, BOB)).entries[CHAT].participant
        assert (own.read_seq, own.rev) == (3, 1)
        peer = (await read_listing(service.backends, ALICE)).entries[CHAT].peer
        assert peer is not None
        assert (peer.read_seq, peer.delivered_seq) == (3, 4)

    async def test_is_written_while_the_cache_is_away(self, service: MemoryService) -> None:
        service.cache.down = True
        assert await told(service, of_bob(3)) == [(3, 3)]

    async def test_without_the_database_has_changed_nothing(self, service: MemoryService) -> None:
        service.store.down = True
        with pytest.raises(TemporarilyUnavailable):
            await told(service, of_bob(3))
        service.store.down = False
        assert service.store.participants[BOB, CHAT].read_seq == 0


class TestAMarkThatIsRefused:
    @pytest.mark.parametrize("name", ["1_3", "g9", "2_9"])
    async def test_alone_is_an_error(self, service: MemoryService, name: str) -> None:
        with pytest.raises(ConversationNotFound):
            await told(service, of_bob(1, conversation_id=name))
        assert (BOB, name) not in service.store.participants

    async def test_among_others_is_named_and_the_others_count(self, service: MemoryService) -> None:
        marks = [of_bob(1, conversation_id="g9"), of_bob(2)]
        marked = await mark(service.backends, marks, user_id=BOB)
        assert [each.read_seq for each in marked.participants] == [2]
        assert {name: why.code for name, why in marked.refused.items()} == {"g9": 2007}

    async def test_is_of_a_conversation_that_the_user_is_out_of(
        self, service: MemoryService
    ) -> None:
        seat = (BOB, CHAT)
        service.store.participants[seat] = with_fields(
            service.store.participants[seat], is_in=False, out_reason=OutReason.LEFT
        )
        with pytest.raises(ConversationNotFound):
            await told(service, of_bob(1))


def test_a_joint_mark_ends_the_mark_as_unread_if_one_of_both_does() -> None:
    silent = with_fields(of_bob(delivered_seq=4), ends_unread=False)
    assert joint_mark(silent, of_bob(3)) == joint_mark(of_bob(3), silent) == of_bob(3, 4)
    assert joint_mark(silent, silent) == silent


async def test_marks_of_many_at_once_end_at_the_largest(service: MemoryService) -> None:
    marks = [of_bob(random.Random(n).randint(0, 7), n % 9) for n in range(200)]
    answers = await asyncio.gather(*(told(service, each) for each in marks))
    participant = service.store.participants[BOB, CHAT]
    assert (participant.read_seq, participant.delivered_seq) == (5, 5)
    assert max(answer[0] for answer in answers) == (5, 5)
    assert len(service.store.participants) == 2


async def test_marks_in_the_background_are_written_or_dropped(service: MemoryService) -> None:
    mark_later(service.backends, [of_bob(delivered_seq=4)])
    await service.backends.marks.close()
    assert service.store.participants[BOB, CHAT].delivered_seq == 4
    service.store.down = True
    mark_later(service.backends, [of_bob(delivered_seq=5)])
    await service.backends.marks.close()
    mark_later(service.backends, [of_bob(conversation_id=f"g{n}") for n in range(1, 6_000)])
    await service.backends.marks.close()
    service.store.down = False
    assert service.store.participants[BOB, CHAT].delivered_seq == 4


async def test_a_call_counts_once_for_each_ten_marks() -> None:
    service = await written(MemoryService(replace(SETTINGS, change_rate=0.001, change_burst=12)))
    marks = [of_bob(1), *(of_bob(1, conversation_id=f"g{n}") for n in range(1, 101))]
    await mark(service.backends, marks[:100], user_id=BOB)  # ten of twelve
    await mark(service.backends, marks[:11], user_id=BOB)
    with pytest.raises(TooManyRequests):
        await mark(service.backends, marks[:1], user_id=BOB)
    await send(service.backends, to_bob(target_id=ALICE), sender_id=MALLORY)
