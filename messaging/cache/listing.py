"""Serve users' lists of conversations, and tell them of changes in the database."""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping, Sequence

import msgspec
from msgspec import structs

from messaging.cache import keys
from messaging.cache.client import RedisClient
from messaging.cache.lua import load
from messaging.domain.batched import batched
from messaging.domain.conversations import (
    Entry,
    Listed,
    Participant,
    UnreadMemo,
    peer_of,
)
from messaging.domain.ids import is_group
from messaging.domain.sync_cursor import DIGEST_BITS
from messaging.ports.listings import MOST_LISTED, CachedListing

_USES = ("incarnation", "rates", "tail", "heads")
LISTING = load("listing", uses=(*_USES, "newest"))
FILL_LISTING = load("fill_listing", uses=_USES)
FILL_HEADS = load("fill_heads", uses=("rows", *_USES))
RAISE_PARTICIPANTS = load("raise_participants", uses=("rows", *_USES))
NEWEST_IDS = load("newest_ids", uses=("incarnation", "tail", "newest"))
NOTE_UNREAD = load("note_unread")

# by one script: Redis answers no other client while a script runs
RAISED_AT_ONCE = 200
ASKED_AT_ONCE = 500

_NO_PARTY = ("", "", "", "")  # to `fill_heads.lua`

_read_entries = msgspec.json.Decoder(list[Entry]).decode
_read_memo = msgspec.json.Decoder(UnreadMemo).decode
_list_text = msgspec.json.Encoder().encode  # of a participant or a memo; scripts pass it on

logger = logging.getLogger(__name__)


class RedisListings(RedisClient):
    """Implement the listings of `RedisMessageCache`.

    `ports.listings.Listings` has the contract of each method.
    """

    async def listing(self, user_id: int, *, known: int | None = None) -> CachedListing:
        wanted = "" if known is None else f"{known:0{DIGEST_BITS // 4}x}"
        reply = await self._run(LISTING, [keys.mine(user_id)], [user_id, wanted])
        age_ms, token, *told = reply
        fill = None if token is None else token.decode()
        if age_ms is None:
            return CachedListing(token=fill)
        digest, text = int(told[0], 16), told[1]
        if text is None:
            return CachedListing(age_ms=age_ms, token=fill, digest=digest, is_known=True)
        try:
            entries = _read_entries(text)
        except msgspec.DecodeError:
            logger.exception(
                "unreadable conversation list in the cache",
                extra={"action": "cache.unreadable", "user_id": user_id},
            )
            await self.forget_listings([user_id])
            return CachedListing()
        return CachedListing(
            entries={entry.participant.conversation_id: entry for entry in entries},
            age_ms=age_ms,
            token=fill,
            digest=digest,
        )

    async def fill_listing(self, user_id: int, token: str, entries: Sequence[Entry]) -> None:
        if len(entries) > MOST_LISTED:
            return
        for part in batched(entries, RAISED_AT_ONCE):
            heads = [value for entry in part for value in _head_row(entry)]
            await self._run(FILL_HEADS, [], [token, *heads])
        arguments: list[str | bytes] = [token]
        for entry in entries:
            arguments += (entry.conversation_id, _list_text(entry.participant))
        await self._run(FILL_LISTING, [keys.mine(user_id)], arguments)

    async def newest_ids(self, conversation_ids: Sequence[str]) -> dict[str, Listed]:
        listed: dict[str, Listed] = {}
        for part in batched(conversation_ids, ASKED_AT_ONCE):
            reply = await self._run(NEWEST_IDS, [keys.tail(each) for each in part], [])
            for name, newest, pending in zip(part, reply[::2], reply[1::2], strict=True):
                if newest != b"0":
                    listed[name] = Listed(int(newest), int(pending))
        return listed

    async def raise_participants(self, participants: Sequence[Participant]) -> None:
        for part in batched(participants, RAISED_AT_ONCE):
            arguments: list[str | bytes | int] = []
            for each in part:
                arguments += (each.user_id, each.conversation_id, _list_text(each))
                arguments += structs.astuple(each.position)
            await self._run(RAISE_PARTICIPANTS, [], arguments)

    async def forget_listings(self, user_ids: Collection[int]) -> None:
        if user_ids:
            await self._command("DEL", *(keys.mine(each) for each in user_ids))

    async def unread_memos(
        self, user_id: int, conversation_ids: Sequence[str]
    ) -> dict[str, UnreadMemo]:
        if not conversation_ids:
            return {}
        texts = await self._command("HMGET", keys.unread(user_id), *conversation_ids)
        found = zip(conversation_ids, texts, strict=True)
        try:
            return {name: _read_memo(text) for name, text in found if text is not None}
        except msgspec.DecodeError:
            logger.exception(
                "unreadable numbers of unread messages in the cache",
                extra={"action": "cache.unreadable", "user_id": user_id},
            )
            return {}

    async def note_unread(self, user_id: int, memos: Mapping[str, UnreadMemo]) -> None:
        if not memos:
            return
        arguments: list[str | bytes] = []
        for name, memo in memos.items():
            arguments += (name, _list_text(memo))
        await self._run(NOTE_UNREAD, [keys.unread(user_id)], arguments)


def _head_row(entry: Entry) -> tuple[str | int, ...]:
    """Return what `fill_heads.lua` is told of a conversation."""
    own, head, name = entry.participant, entry.head, entry.conversation_id
    row = (name, head.last_seq, head.last_rev, head.last_id)
    if is_group(name):
        return (*row, *_NO_PARTY, *_NO_PARTY)
    parties = (own.user_id, *structs.astuple(own.position))
    peer_id = peer_of(name, own.user_id)
    if peer_id is None or entry.peer is None:
        return (*row, *parties, *_NO_PARTY)
    return (*row, *parties, peer_id, *structs.astuple(entry.peer))
