"""Check that the cached lists and numbers of unread messages are those of the database."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from messaging.audit.check import Check
from messaging.audit.findings import Defect, Suspect
from messaging.domain.conversations import Entry, UnreadMemo
from messaging.limits import MAX_UNREAD
from messaging.ports.audit import Pieces


class CachedListings(Check[int]):
    """Compare each user's cached list with the stored one, and count the unread messages anew.

    A cached participant must have every change of the stored one, and a head every number. A
    number of unread messages is judged where it counts for the present state.
    """

    title = "cached lists and unread numbers against the database"

    def subjects(self) -> Pieces[int]:
        return self._backends.cached.listers()

    async def judge(self, subjects: Sequence[int]) -> list[Suspect[int]]:
        suspects = []
        for user_id in subjects:
            if kind := await self._wrong(user_id):
                suspects.append(Suspect(kind, f"user {user_id}", user_id))
        return suspects

    async def _wrong(self, user_id: int) -> Defect | None:
        cached = await self._backends.cache.listing(user_id)
        if cached.entries is None:
            return None
        stored = {e.conversation_id: e for e in await self._backends.conversations.listing(user_id)}
        if any(_is_behind(cached.entries.get(name), entry) for name, entry in stored.items()):
            return Defect.LISTING_BEHIND
        wrong = await self._recounted(user_id, stored)
        return Defect.UNREAD_DIFFERS if wrong else None

    async def _recounted(self, user_id: int, stored: Mapping[str, Entry]) -> dict[str, UnreadMemo]:
        """Return the right numbers in place of cached ones that count and are wrong."""
        memos = await self._backends.cache.unread_memos(user_id, list(stored))
        counting = {name: memo for name, memo in memos.items() if memo.counts_for(stored[name])}
        if not counting:
            return {}
        counts = await self._backends.conversations.count_unread(
            [stored[name].participant for name in counting],
            up_to={name: memo.seq for name, memo in counting.items()},
            most=MAX_UNREAD + 1,
        )
        return {
            name: UnreadMemo(memo.seq, memo.rev, memo.own_rev, counts.get(name, 0))
            for name, memo in counting.items()
            if memo.count != counts.get(name, 0)
        }

    async def mend(self, suspects: Sequence[Suspect[int]]) -> None:
        """Drop the cached lists of these users, and replace wrong numbers."""
        for suspect in suspects:
            user_id = suspect.subject
            stored = await self._backends.conversations.listing(user_id)
            wrong = await self._recounted(user_id, {e.conversation_id: e for e in stored})
            if wrong:
                await self._backends.cache.note_unread(user_id, wrong)
            await self._backends.cache.forget_listings([user_id])


def _is_behind(cached: Entry | None, stored: Entry) -> bool:
    if cached is None:
        return True
    head, last = cached.head, stored.head
    return (
        cached.participant.rev < stored.participant.rev
        or head.last_seq < last.last_seq
        or head.last_rev < last.last_rev
    )
