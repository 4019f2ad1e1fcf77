"""Read a user's list of conversations out of the cache, and out of the database where it is old.

Used by the list, the unread numbers and sync. The cache is filled with all conversations of a user.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from msgspec.structs import replace

from messaging.domain.backend_errors import CacheUnavailable, StoreUnavailable
from messaging.domain.conversations import Entry, Listed
from messaging.domain.errors import ConversationNotFound, TemporarilyUnavailable
from messaging.ports.listings import LISTING_FRESH_MS, MOST_LISTED, CachedListing
from messaging.service.backends import Backends


@dataclass(frozen=True, slots=True)
class Listing:
    """Hold a user's conversations, those that the user is out of as well.

    `entries`: by conversation, as in `CachedListing`.
    `partial`: a backend was away or recovering, and a conversation or a message may be missing.
    `digest`: of the entries, where they are out of the cache. `is_known`: the entries are left out,
    because the caller knows their digest.
    """

    entries: Mapping[str, Entry]
    partial: bool = False
    digest: int | None = None
    is_known: bool = False


async def read_listing(backends: Backends, user_id: int, *, known: int | None = None) -> Listing:
    """Return all conversations of a user; `known`: the digest of those that the caller knows.

    A fresh cached listing costs one round trip and no query. Calls at the same time that find none
    share a query.

    Raises: TemporarilyUnavailable when the listing is not cached and the database is away.
    """
    cached = await _cached(backends, user_id, known)
    if (fresh := _fresh(cached)) is not None:
        return fresh
    return await backends.listings.read(user_id, lambda: _read_all(backends, user_id, cached))


async def find_listed(backends: Backends, user_id: int, conversation_id: str) -> Listing:
    """Return a listing with this conversation in it; other conversations may be missing.

    Raises: ConversationNotFound for a conversation that the user has no part in, or is out of;
    TemporarilyUnavailable as `read_listing` does.
    """
    cached = await _cached(backends, user_id)
    known = _fresh(cached) or await _read_one(backends, user_id, conversation_id, cached)
    entry = known.entries.get(conversation_id)
    if entry is None or not entry.participant.is_in:
        raise ConversationNotFound
    return known


async def find_entry(backends: Backends, user_id: int, conversation_id: str) -> Entry:
    """Return the entry of one conversation that the user belongs to.

    Raises: as `find_listed` does.
    """
    found = await find_listed(backends, user_id, conversation_id)
    return found.entries[conversation_id]


async def _cached(
    backends: Backends, user_id: int, known: int | None = None
) -> CachedListing | None:
    """Return what the cache holds; None while the cache is away."""
    try:
        return await backends.cache.listing(user_id, known=known)
    except CacheUnavailable:
        return None


def _fresh(cached: CachedListing | None) -> Listing | None:
    if cached is None or cached.age_ms > LISTING_FRESH_MS:
        return None
    if cached.is_known:
        return Listing({}, digest=cached.digest, is_known=True)
    return None if cached.entries is None else Listing(cached.entries, digest=cached.digest)


async def _read_all(backends: Backends, user_id: int, cached: CachedListing | None) -> Listing:
    """Return all conversations from the database, and fill the cache.

    Stale cached ones serve while the database is away.
    """
    try:
        stored = await backends.conversations.listing(user_id)
    except StoreUnavailable as error:
        if cached is None or cached.entries is None:
            raise TemporarilyUnavailable from error
        return Listing(cached.entries, partial=True)
    if cached is not None and cached.token is not None and len(stored) <= MOST_LISTED:
        with contextlib.suppress(CacheUnavailable):
            await backends.cache.fill_listing(user_id, cached.token, stored)
    return await _with_newest(backends, stored, cached)


async def _read_one(
    backends: Backends, user_id: int, conversation_id: str, cached: CachedListing | None
) -> Listing:
    """Return a listing of one conversation at most, from the database.

    A stale cached entry serves while the database is away.
    """
    try:
        stored = await backends.conversations.listing(user_id, [conversation_id])
    except StoreUnavailable as error:
        if cached is None or conversation_id not in (cached.entries or {}):
            raise TemporarilyUnavailable from error
        return Listing(cached.entries or {}, partial=True)
    return await _with_newest(backends, stored, cached)


async def _with_newest(
    backends: Backends, stored: Sequence[Entry], cached: CachedListing | None
) -> Listing:
    """Return a listing of stored entries, each with the newest id that the cache lists.

    The listing is partial where the cache is away, or recovers and gives no token.
    """
    partial = cached is None or (cached.entries is None and cached.token is None)
    newest: Mapping[str, Listed] = {}
    try:
        if stored:
            newest = await backends.cache.newest_ids([entry.conversation_id for entry in stored])
    except CacheUnavailable:
        partial = True
    entries = {
        entry.conversation_id: replace(entry, listed=newest.get(entry.conversation_id, Listed()))
        for entry in stored
    }
    return Listing(entries, partial)
