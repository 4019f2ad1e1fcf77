"""Test where a user's list of conversations is read."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from messaging.domain.conversations import Entry, Participant
from messaging.domain.errors import ConversationNotFound, TemporarilyUnavailable
from messaging.domain.groups import OutReason
from messaging.ports import listings
from messaging.ports.listings import LISTING_FRESH_MS
from messaging.service import listing
from messaging.service.listing import find_entry, read_listing
from messaging.service.send import send
from messaging.testing.conversations import MemoryConversations
from tests.support.memory import ALICE, BOB, MALLORY, MemoryService, to_bob

WITH_BOB, WITH_MALLORY, OLD_GROUP = "1_2", "1_3", "g9"


@pytest.fixture
async def service() -> MemoryService:
    """Return a service in which alice has written to bob and mallory, and has left a group."""
    service = MemoryService()
    service.store.participants[ALICE, OLD_GROUP] = Participant(
        user_id=ALICE, conversation_id=OLD_GROUP, is_in=False, out_reason=OutReason.LEFT
    )
    for target_id in (BOB, MALLORY):
        await send(service.backends, to_bob(target_id=target_id), sender_id=ALICE)
    await service.consume()
    return service


def later(service: MemoryService, seconds: float) -> None:
    now_s = service.cache.clock_s()
    service.cache.clock_s = lambda: now_s + seconds


class TestAListing:
    async def test_is_read_in_the_database_once(self, service: MemoryService) -> None:
        read = await read_listing(service.backends, ALICE)
        assert read.entries.keys() == {WITH_BOB, WITH_MALLORY, OLD_GROUP}
        assert not read.partial
        service.store.down = True
        cached = await read_listing(service.backends, ALICE)
        assert (cached.entries, cached.partial) == (read.entries, False)

    async def test_that_is_old_is_read_anew_and_serves_without_the_database(
        self, service: MemoryService
    ) -> None:
        await read_listing(service.backends, ALICE)
        del service.store.participants[ALICE, OLD_GROUP]
        later(service, LISTING_FRESH_MS / 1000 + 1)
        service.store.down = True
        old = await read_listing(service.backends, ALICE)
        assert old.partial
        assert OLD_GROUP in old.entries
        service.store.down = False
        read = await read_listing(service.backends, ALICE)
        assert not read.partial
        assert OLD_GROUP not in read.entries

    async def test_that_is_nowhere_is_refused(self, service: MemoryService) -> None:
        service.store.down = True
        with pytest.raises(TemporarilyUnavailable):
            await read_listing(service.backends, ALICE)

    async def test_is_partial_without_the_cache_and_after_its_loss(
        self, service: MemoryService
    ) -> None:
        await read_listing(service.backends, ALICE)
        service.cache.down = True
        without = await read_listing(service.backends, ALICE)
        assert without.partial
        assert without.entries.keys() == {WITH_BOB, WITH_MALLORY, OLD_GROUP}
        service.cache.down = False

    @pytest.mark.parametrize("is_cache_down", [False, True])
    async def test_that_many_want_at_once_is_read_once(
        self, service: MemoryService, monkeypatch: pytest.MonkeyPatch, is_cache_down: bool
    ) -> None:
        asked: list[int] = []
        listing_of = service.conversations.listing

        async def counted(user_id: int, *args: Any) -> list[Entry]:
            asked.append(user_id)
            return await listing_of(user_id, *args)

        monkeypatch.setattr(MemoryConversations, "listing", staticmethod(counted))
        service.cache.down = is_cache_down
        calls = [read_listing(service.backends, user_id) for user_id in (ALICE, BOB) * 10]
        read = await asyncio.gather(*calls)
        assert sorted(asked) == [ALICE, BOB]
        assert read == read[:2] * 10
        assert read[0].entries.keys() == {WITH_BOB, WITH_MALLORY, OLD_GROUP}
        await read_listing(service.backends, ALICE)
        assert len(asked) == (3 if is_cache_down else 2)

    async def test_of_very_many_conversations_is_not_cached(
        self, service: MemoryService, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        assert listings.MOST_LISTED == listing.MOST_LISTED
        monkeypatch.setattr(listing, "MOST_LISTED", 2)
        await read_listing(service.backends, ALICE)
        service.store.down = True
        with pytest.raises(TemporarilyUnavailable):
            await read_listing(service.backends, ALICE)

    @pytest.mark.parametrize("is_warm", [False, True])
    async def test_knows_of_a_message_that_is_not_stored(
        self, service: MemoryService, is_warm: bool
    ) -> None:
        if is_warm:
            await read_listing(service.backends, ALICE)
        receipt = await send(service.backends, to_bob(), sender_id=ALICE)
        entries = (await read_listing(service.backends, ALICE)).entries
        assert entries[WITH_BOB].listed.newest_id == receipt.message_id
        assert entries[WITH_BOB].has_pending
        assert not entries[WITH_MALLORY].has_pending


class TestAnEntry:
    @pytest.mark.parametrize("is_warm", [False, True])
    async def test_is_of_a_conversation_that_the_user_belongs_to(
        self, service: MemoryService, is_warm: bool
    ) -> None:
        if is_warm:
            await read_listing(service.backends, ALICE)
            service.store.down = True  # nobody is asked
        entry = await find_entry(service.backends, ALICE, WITH_BOB)
        assert (entry.conversation_id, entry.head.last_seq) == (WITH_BOB, 1)
        assert entry.listed.newest_id in (0, entry.head.last_id)
        for absent in (OLD_GROUP, "2_3", "g10"):
            with pytest.raises(ConversationNotFound):
                await find_entry(service.backends, ALICE, absent)

    async def test_that_is_old_serves_without_the_database(self, service: MemoryService) -> None:
        await read_listing(service.backends, ALICE)
        later(service, LISTING_FRESH_MS / 1000 + 1)
        service.store.down = True
        assert (await find_entry(service.backends, ALICE, WITH_BOB)).head.last_seq == 1
        with pytest.raises(TemporarilyUnavailable):
            await find_entry(service.backends, ALICE, "2_3")
