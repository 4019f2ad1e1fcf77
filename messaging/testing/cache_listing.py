"""Keep in memory users' lists of conversations, heads, and numbers of unread messages."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping, Sequence

import msgspec

from messaging.domain.conversations import Entry, Listed, Participant, Peer, UnreadMemo, peer_of
from messaging.domain.ids import is_group
from messaging.ports.cache import FILL_TTL_S
from messaging.ports.listings import (
    LISTING_FRESH_MS,
    MOST_LISTED,
    NEWEST_LOOKED_AT,
    CachedListing,
)
from messaging.testing.cache_heads import MemoryHeads
from messaging.testing.heads import MemoryListing, Token


class MemoryListings(MemoryHeads):
    """Implement the listing part of `MemoryCache`."""

    __slots__ = ()

    async def listing(self, user_id: int, *, known: int | None = None) -> CachedListing:
        self._answer()
        if self.recovering:
            return CachedListing()
        held = self.listings.get(user_id)
        if held is None or held.stamp != self._stamp:
            held = self.listings[user_id] = MemoryListing(self._stamp)
        entries = self._entries(held)
        if entries is None:
            return CachedListing(token=self._token(held).text)
        age_ms = round((self.clock_s() - held.read_s) * 1000)
        is_fresh, digest = age_ms < LISTING_FRESH_MS, _digest(entries)
        is_known = is_fresh and digest == known
        return CachedListing(
            entries=None if is_known else entries,
            age_ms=age_ms,
            token=None if is_fresh else self._token(held).text,
            digest=digest,
            is_known=is_known,
        )

    async def fill_listing(self, user_id: int, token: str, entries: Sequence[Entry]) -> None:
        self._answer()
        known = self.listings.get(user_id)
        begun = None if known is None else known.token
        if begun is None or begun.text != token or begun.stamp != self._stamp:
            return
        if self.clock_s() >= begun.end_s or len(entries) > MOST_LISTED:
            return
        for entry in entries:
            self._fill_head(entry, begun)
        self.listings[user_id] = MemoryListing(
            self._stamp,
            participants={entry.conversation_id: entry.participant for entry in entries},
            read_s=begun.end_s - FILL_TTL_S,
        )

    async def newest_ids(self, conversation_ids: Sequence[str]) -> dict[str, Listed]:
        self._answer()
        found = {each: self._listed(each) for each in conversation_ids}
        return {each: listed for each, listed in found.items() if listed.newest_id}

    async def raise_participants(self, participants: Sequence[Participant]) -> None:
        self._answer()
        for participant in participants:
            name = participant.conversation_id
            if not is_group(name):
                self._head(name).move(participant.user_id, participant.position)
            if (known := self.listings.get(participant.user_id)) is not None:
                known.token = None
                held = (known.participants or {}).get(name)
                is_newer = held is None or _rank(participant) >= _rank(held)
                if known.participants is not None and is_newer:
                    known.participants[name] = participant

    async def forget_listings(self, user_ids: Collection[int]) -> None:
        self._answer()
        for user_id in user_ids:
            self.listings.pop(user_id, None)

    async def unread_memos(
        self, user_id: int, conversation_ids: Sequence[str]
    ) -> dict[str, UnreadMemo]:
        self._answer()
        memos = self.memos.get(user_id, {})
        return {name: memos[name] for name in conversation_ids if name in memos}

    async def note_unread(self, user_id: int, memos: Mapping[str, UnreadMemo]) -> None:
        self._answer()
        self.memos.setdefault(user_id, {}).update(memos)

    def _entries(self, listing: MemoryListing) -> dict[str, Entry] | None:
        if listing.participants is None:
            return None
        entries = {name: self._entry(each) for name, each in listing.participants.items()}
        whole = {name: entry for name, entry in entries.items() if entry is not None}
        return whole if len(whole) == len(entries) else None

    def _entry(self, participant: Participant) -> Entry | None:
        name = participant.conversation_id
        head = self.heads.get(name)
        if head is None or head.stamp != self._stamp or not head.is_whole:
            return None
        peer_id = peer_of(name, participant.user_id)
        return Entry(
            participant=participant,
            head=head.numbers,
            peer=None if peer_id is None else head.positions.get(peer_id, Peer()),
            listed=self._listed(name, above=head.numbers.last_id),
        )

    def _fill_head(self, entry: Entry, token: Token) -> None:
        """Make a head whole, unless a head was evicted that was raised since the token."""
        name, user_id = entry.conversation_id, entry.participant.user_id
        known = self.heads.get(name)
        was_there = known is not None and known.stamp == token.stamp and known.born <= token.count
        head = self._head(name)
        head.rise(entry.head)
        if not is_group(name):
            head.move(user_id, entry.participant.position)
            if entry.peer is not None and (peer_id := peer_of(name, user_id)) is not None:
                head.move(peer_id, entry.peer)
        if was_there or self.evicted == token.evicted:
            head.is_whole = True

    def _token(self, listing: MemoryListing) -> Token:
        """Return the token of the fill under way, or a new one."""
        token, now_s = listing.token, self.clock_s()
        if token is None or now_s >= token.end_s:
            count = self._count()
            token = listing.token = Token(self._stamp, count, self.evicted, now_s + FILL_TTL_S)
        return token

    def _listed(self, conversation_id: str, *, above: int = 0) -> Listed:
        """Return what is listed; nothing is above the heads while no message at all is pending.

        `above`: the largest stored id. Where nothing is listed above it and nothing is pending,
        nothing is told.
        """
        tail, times = self.tails.get(conversation_id), self.pending_set.times
        if not times or tail is None or not tail.ids:
            return Listed()
        pending = [each for each in tail.ids[:NEWEST_LOOKED_AT] if each in times]
        if not pending and tail.ids[0] <= above:
            return Listed()
        return Listed(tail.ids[0], *pending[:1])


def _digest(entries: Mapping[str, Entry]) -> int:
    text = msgspec.json.encode(list(entries.values()))
    return int(hashlib.sha1(text, usedforsecurity=False).hexdigest()[:15], 16)


def _rank(participant: Participant) -> tuple[int, int]:
    return participant.rev, participant.delivered_seq
