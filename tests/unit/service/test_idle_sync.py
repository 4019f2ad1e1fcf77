"""Check that a client who knows its list is told nothing cheaply, and everything that is new."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from msgspec.structs import replace

from messaging.domain.conversation_requests import SetRequest
from messaging.domain.conversations import NEVER, Mark
from messaging.domain.groups import History
from messaging.domain.sync_cursor import decode_cursor, encode_cursor
from messaging.ports.listings import LISTING_FRESH_MS, CachedListing
from messaging.service import groups
from messaging.service.conversation_settings import set_state
from messaging.service.delete import delete
from messaging.service.group_rules import Actor
from messaging.service.marks import mark
from messaging.service.recall import recall
from messaging.service.send import send
from tests.support.memory import ALICE, BOB, MALLORY, to_bob, to_group
from tests.support.sync_site import SyncSite, chat

CHAT, OTHER_CHAT = chat(ALICE, BOB), chat(ALICE, MALLORY)
MOST_CALLS = 10


class Scene:
    """Hold a site in which alice and bob talk, in private and in a group."""

    def __init__(self) -> None:
        self.site = SyncSite()
        self.group_id = 0
        self.last_id = 0
        self.listings: list[CachedListing] = []
        self._watch()

    def _watch(self) -> None:
        cache = self.site.service.guarded_cache
        read = cache.listing

        async def seen(user_id: int, *, known: int | None = None) -> CachedListing:
            self.listings.append(await read(user_id, known=known))
            return self.listings[-1]

        cache.listing = seen  # type: ignore[method-assign]

    async def begin(self) -> None:
        self.group_id = await self.site.create_group(ALICE, BOB, history=History.JOINED)
        self.last_id = await self.say()
        await self.say_in_group()
        await self.site.service.consume()

    async def say(self, receiver: int = BOB, sender: int = ALICE) -> int:
        self.site.tick()
        wanted = to_bob(target_id=receiver)
        return (await send(self.site.backends, wanted, sender_id=sender)).message_id

    async def say_in_group(self) -> None:
        self.site.tick()
        await send(self.site.backends, to_group(target_id=self.group_id), sender_id=ALICE)

    async def mark(self, user_id: int, seq: int) -> None:
        wanted = Mark(user_id=user_id, conversation_id=CHAT, read_seq=seq)
        await mark(self.site.backends, [wanted], user_id=user_id)

    async def idle_cursor(self, user_id: int = BOB) -> str:
        """Return a cursor of a client that has asked until it knew its list."""
        cursor = None
        for _ in range(MOST_CALLS):
            answer = await self.site.sync(user_id, cursor=cursor)
            if answer["cursor"] == cursor and digest_of(cursor, user_id) is not None:
                return cursor
            cursor = answer["cursor"]
        raise AssertionError("the client never knew its list")


def digest_of(cursor: str, user_id: int = BOB) -> int | None:
    return decode_cursor(cursor, own_id=user_id).idle_digest


def without_digest(cursor: str, user_id: int = BOB) -> str:
    known = decode_cursor(cursor, own_id=user_id)
    return encode_cursor(replace(known, idle_digest=None), own_id=user_id)


@pytest.fixture
async def scene() -> Scene:
    scene = Scene()
    await scene.begin()
    return scene


async def test_a_client_who_knows_its_list_is_answered_without_it(scene: Scene) -> None:
    cursor = await scene.idle_cursor()
    scene.listings.clear()
    answer = await scene.site.sync(BOB, cursor=cursor)
    (listing,) = scene.listings
    assert (listing.is_known, listing.entries) == (True, None)
    assert (answer["cursor"], answer["conversations"]) == (cursor, [])
    assert (answer["hasMore"], answer["partial"]) == (False, False)


async def pending(scene: Scene) -> None:
    await scene.say()


async def stored(scene: Scene) -> None:
    await scene.say()
    await scene.site.service.consume()


async def stored_in_the_group(scene: Scene) -> None:
    await scene.say_in_group()
    await scene.site.service.consume()


async def recalled(scene: Scene) -> None:
    await recall(scene.site.backends, scene.last_id, user_id=ALICE)
    await scene.site.service.consume()


async def deleted(scene: Scene) -> None:
    await delete(scene.site.backends, scene.last_id, user_id=BOB)


async def read_on_another_device(scene: Scene) -> None:
    await scene.mark(BOB, 1)


async def read_by_the_other_party(scene: Scene) -> None:
    await scene.mark(ALICE, 1)


async def pinned(scene: Scene) -> None:
    await scene.site.pin(BOB, CHAT, pinned=True)


async def marked_unread(scene: Scene) -> None:
    wanted = SetRequest(conversation_id=CHAT, marked_unread=True)
    await set_state(scene.site.backends, wanted, user_id=BOB)


async def cleared(scene: Scene) -> None:
    await scene.site.clear(BOB, CHAT)


async def removed(scene: Scene) -> None:
    await groups.remove(
        scene.site.backends, scene.group_id, [BOB], bans=False, actor=Actor(user_id=ALICE)
    )


async def written_to_by_another(scene: Scene) -> None:
    await scene.say(BOB, MALLORY)
    await scene.site.service.consume()


async def told_of_a_new_group(scene: Scene) -> None:
    await scene.site.create_group(MALLORY, BOB)


Change = Callable[[Scene], Awaitable[None]]
CHANGES: list[Change] = [
    pending,
    stored,
    stored_in_the_group,
    recalled,
    deleted,
    read_on_another_device,
    read_by_the_other_party,
    pinned,
    marked_unread,
    cleared,
    removed,
    written_to_by_another,
    told_of_a_new_group,
]


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)
async def test_every_change_is_told_as_to_a_client_that_knows_no_list(
    scene: Scene, change: Change
) -> None:
    cursor = await scene.idle_cursor()
    await change(scene)
    told = await scene.site.sync(BOB, cursor=cursor)
    plain = await scene.site.sync(BOB, cursor=without_digest(cursor))
    assert told["conversations"] == plain["conversations"] != []
    assert told["cursor"] == plain["cursor"]
    assert digest_of(told["cursor"]) is None


async def test_what_is_pending_elsewhere_does_not_matter(scene: Scene) -> None:
    cursor = await scene.idle_cursor()
    await scene.say(MALLORY)
    scene.listings.clear()
    assert (await scene.site.sync(BOB, cursor=cursor))["cursor"] == cursor
    assert scene.listings[0].is_known


async def test_a_list_that_is_not_known_to_be_delivered_is_read_again(scene: Scene) -> None:
    first = await scene.site.sync(BOB)
    second = await scene.site.sync(BOB, cursor=first["cursor"])  # proves the delivery
    assert second["conversations"] == []
    assert digest_of(second["cursor"]) is None


async def test_positions_make_a_cursor_that_knows_no_list(scene: Scene) -> None:
    first = await scene.site.sync(BOB)
    position = first["conversations"][0]["position"]
    name = first["conversations"][0]["conversationId"]
    await stored(scene)
    await stored_in_the_group(scene)
    cursor = await scene.idle_cursor()
    told = await scene.site.sync(BOB, cursor=cursor, positions={name: position})
    assert [each["conversationId"] for each in told["conversations"]] == [name]


async def test_positions_that_are_hidden_now_make_no_known_list(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene.site.directory.shown_from = {ALICE: NEVER}
    known = {ALICE: NEVER, BOB: 0}
    monkeypatch.setattr(scene.site.directory, "known_receipts_from", known.get)
    cursor = None
    for _ in range(MOST_CALLS):
        cursor = (await scene.site.sync(BOB, cursor=cursor))["cursor"]
    await scene.mark(ALICE, 1)
    for _ in range(MOST_CALLS):
        answer = await scene.site.sync(BOB, cursor=cursor)
        cursor = answer["cursor"]
        assert answer["conversations"] == []
    assert digest_of(cursor) is None


async def test_a_list_that_is_read_anew_and_has_not_changed_is_still_known(scene: Scene) -> None:
    cursor = await scene.idle_cursor()
    scene.site.tick(LISTING_FRESH_MS + 1)
    for _ in range(2):
        scene.listings.clear()
        answer = await scene.site.sync(BOB, cursor=cursor)
        assert (answer["cursor"], answer["conversations"]) == (cursor, [])
    assert scene.listings[0].is_known


async def test_a_known_list_that_is_old_answers_while_the_database_is_away(scene: Scene) -> None:
    cursor = await scene.idle_cursor()
    scene.site.tick(LISTING_FRESH_MS + 1)
    scene.site.service.store.down = True
    answer: dict[str, Any] = await scene.site.sync(BOB, cursor=cursor)
    assert (answer["conversations"], answer["partial"]) == ([], True)
