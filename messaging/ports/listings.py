"""Promise the cache of users' conversation lists: participants, heads, and numbers of unread.

All of it is a copy of the database. A copy counts only while no process was lost and none came back
since the copy was written: until then each change of the database is told to the cache. The
database is asked for what a copy lacks.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from messaging.domain.conversations import Entry, Listed, Participant, UnreadMemo

LISTING_TTL_S = 30 * 60
LISTING_FRESH_MS = 60_000  # an older copy serves only while the database is away
NEWEST_LOOKED_AT = 8  # listed ids of a conversation, for a pending one
MOST_LISTED = 2_000  # conversations of a user; of a user who has more, nothing is cached


@dataclass(frozen=True, slots=True)
class CachedListing:
    """Hold the cached conversations of a user.

    `entries`: by conversation, all of them; None where any is not cached.
    `age_ms`: how long ago the participants were read in the database.
    `token`: for `fill_listing`; None where nothing may be filled now.
    `digest`: of the entries and their order in the cache. Other entries have another digest, and
    equal ones may have another after a fill. None where any entry is not cached.
    `is_known`: the entries are left out, because the caller knows their digest.
    """

    entries: Mapping[str, Entry] | None = None
    age_ms: int = 0
    token: str | None = None
    digest: int | None = None
    is_known: bool = False


class Listings(Protocol):
    """Keep conversation lists.

    Raises: CacheUnavailable, from every method.
    """

    async def listing(self, user_id: int, *, known: int | None = None) -> CachedListing:
        """Return the cached conversations of a user, in one round trip.

        `known`: a digest that an earlier answer had. Entries of this digest are left out, unless
        they are older than LISTING_FRESH_MS.

        Order: the token of the answer is taken before the database is read.
        """

    async def fill_listing(self, user_id: int, token: str, entries: Sequence[Entry]) -> None:
        """Cache all conversations of a user, as the database told them.

        Nothing of the participants is cached when a participant of the user was changed since the
        token was taken. Heads are joined by maximum.
        """

    async def newest_ids(self, conversation_ids: Sequence[str]) -> dict[str, Listed]:
        """Return what is listed of each of these conversations, where anything is."""

    async def raise_participants(self, participants: Sequence[Participant]) -> None:
        """Tell of participants as the database has them now.

        A cached participant of a larger `rev` stays. The positions are told to the other parties of
        private conversations.
        """

    async def forget_listings(self, user_ids: Collection[int]) -> None:
        """Drop the cached participants of these users."""

    async def unread_memos(
        self, user_id: int, conversation_ids: Sequence[str]
    ) -> dict[str, UnreadMemo]:
        """Return cached numbers of unread messages, by conversation.

        Each one has the state that it counts for.
        """

    async def note_unread(self, user_id: int, memos: Mapping[str, UnreadMemo]) -> None:
        """Cache numbers of unread messages, by conversation."""
