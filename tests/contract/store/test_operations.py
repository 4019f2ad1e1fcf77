"""Test leases, hints, dead letters, and the life of a store itself."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from messaging import models
from messaging.ports.cache_service import LeaseRequest
from messaging.ports.log import Position
from messaging.ports.store import CacheHint, DeadLetter, DeadLetterState, MessageStore
from messaging.testing.store import MemoryStore
from tests.support.messages import make_message


async def takes(store: MessageStore, node: int, owner: str, ttl_s: float) -> bool:
    return await store.take_worker(LeaseRequest(node, owner, ttl_s, 0, 0)) is not None


class TestLeases:
    async def test_have_one_owner_who_may_renew(self, store: MessageStore) -> None:
        assert await takes(store, 1, "one", 30)
        assert not await takes(store, 1, "other", 30)
        assert await takes(store, 1, "one", 30)
        assert await takes(store, 2, "other", 30)

    async def test_run_out(self, store: MessageStore) -> None:
        assert await takes(store, 1, "one", 0.2)
        assert not await takes(store, 1, "other", 30)
        await asyncio.sleep(0.25)
        assert await takes(store, 1, "other", 30)
        assert not await takes(store, 1, "one", 30)

    async def test_of_worker_ids_are_not_used_again_for_the_same_times(
        self, store: MessageStore
    ) -> None:
        now_ms, until_ms = 1_800_000_000_000, 1_800_000_600_000
        for _ in range(2):
            assert await store.take_worker(LeaseRequest(30, "a", 0.05, now_ms, until_ms)) == 0
        assert await store.take_worker(LeaseRequest(30, "b", 9, until_ms, until_ms)) is None
        await asyncio.sleep(0.1)

        assert await store.take_worker(LeaseRequest(30, "b", 9, until_ms - 1, until_ms)) is None
        taken = await store.take_worker(LeaseRequest(30, "b", 9, until_ms, until_ms + 1))
        assert taken == until_ms
        assert await store.take_worker(LeaseRequest(30, "b", 9, 0, until_ms + 2)) == 0

    async def test_are_won_by_one_of_many(self, store: MessageStore) -> None:
        taken = await asyncio.gather(*(takes(store, 1, f"o{n}", 30) for n in range(8)))
        assert sum(taken) == 1


class TestLosses:
    async def test_are_announced_to_the_others_until_they_are_withdrawn(
        self, store: MessageStore
    ) -> None:
        assert not await store.is_loss_announced(besides="b")
        for _ in range(2):
            await store.announce_loss("a", 30)
        assert await store.is_loss_announced(besides="b")
        assert not await store.is_loss_announced(besides="a")
        await store.announce_loss("b", 30)
        assert await store.is_loss_announced(besides="a")
        for _ in range(2):
            await store.withdraw_loss("a")
        assert not await store.is_loss_announced(besides="b")
        assert await store.is_loss_announced(besides="a")

    async def test_run_out_unless_they_are_renewed(self, store: MessageStore) -> None:
        await store.announce_loss("a", 0.2)
        await asyncio.sleep(0.25)
        assert not await store.is_loss_announced(besides="b")
        await store.announce_loss("a", 0.2)
        await store.announce_loss("a", 30)
        await asyncio.sleep(0.25)
        assert await store.is_loss_announced(besides="b")

    async def test_are_no_leases_of_worker_ids(self, store: MessageStore) -> None:
        assert await takes(store, 1, "a", 30)
        assert not await store.is_loss_announced(besides="b")


class TestHints:
    async def test_are_told_until_they_are_dropped(self, store: MessageStore) -> None:
        await store.record_hints([CacheHint(3), CacheHint(1, user_id=7)])
        await store.record_hints([CacheHint(2)])

        noted = await store.hints(limit=2)
        assert [(a.message_id, a.user_id) for a in noted] == [(3, None), (1, 7)]
        await store.drop_hints(noted)
        await store.drop_hints(noted)
        assert [a.message_id for a in await store.hints(limit=9)] == [2]

    async def test_are_noted_with_the_rows(self, store: MessageStore) -> None:
        first, repeat = (make_message(n, content="x", client_msg_id="k") for n in (1, 2))
        await store.apply([first])
        assert await store.hints(limit=9) == []
        await store.apply([repeat, make_message(3)], hinted=True)

        noted = {hint.message_id for hint in await store.hints(limit=9)}
        assert noted == {first.id, make_message(3).id}

    async def test_noted_again_meanwhile_stay(self, store: MessageStore) -> None:
        await store.record_hints([CacheHint(1)])
        noted = await store.hints(limit=9)
        await store.record_hints([CacheHint(1)])
        await store.drop_hints(noted)

        assert [a.message_id for a in await store.hints(limit=9)] == [1]


async def test_dead_letters_are_kept_whatever_is_in_them(store: MessageStore) -> None:
    letter = DeadLetter(
        *("im-message-private", 0, "7", b"\x00\xff'", bytes(range(256)) * 4_096),
        *("reason" * 50, "\ud800 é 👩‍👩‍👧‍👦" * 1_000),
    )
    for _ in range(2):
        await store.save_dead_letters([letter, replace(letter, offset="8")])
    await store.save_dead_letters([])


async def test_dead_letters_are_settled_once_known_and_not_reopened(store: MessageStore) -> None:
    letter = DeadLetter("im-message-private", 0, "7", b"k", b"v", "unreadable", "not JSON")
    other = replace(letter, offset="8")
    await store.save_dead_letters([letter, other])

    for _ in range(2):
        await store.settle_dead_letters(
            [letter.source, replace(letter, partition=1).source], DeadLetterState.REPLAYED
        )
    await store.settle_dead_letters([], DeadLetterState.DISCARDED)
    await store.save_dead_letters([letter])

    assert await _dead_letter_states(store) == {
        letter.source: DeadLetterState.REPLAYED,
        other.source: DeadLetterState.OPEN,
    }


async def _dead_letter_states(store: MessageStore) -> dict[Position, DeadLetterState]:
    if isinstance(store, MemoryStore):
        return {
            letter.source: store.settled.get(letter.source, DeadLetterState.OPEN)
            for letter in store.dead_letters
        }
    return {
        Position(letter.topic, letter.partition, letter.offset): DeadLetterState(letter.state)
        async for letter in models.DeadLetter.objects.all()
    }


async def test_a_store_answers_a_ping_and_closes_twice(store: MessageStore) -> None:
    await store.ping()
    await store.close()
