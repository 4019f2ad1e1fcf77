"""Check that the cached deletes of each user are those in the database."""

from __future__ import annotations

from collections.abc import Sequence

from messaging.audit.check import Check
from messaging.audit.findings import Defect, Suspect
from messaging.ports.audit import Pieces

MORE = 1_000  # deletes than the cache knows of


class CachedDeletes(Check[int]):
    """Compare each user's cached deletes with the stored ones.

    The cache must have every stored delete above its floor, and no delete that is not stored.
    """

    title = "cached deletes against the database"

    def subjects(self) -> Pieces[int]:
        return self._backends.cached.deleters()

    async def judge(self, subjects: Sequence[int]) -> list[Suspect[int]]:
        suspects = []
        for user_id in subjects:
            if kind := await self._wrong(user_id):
                suspects.append(Suspect(kind, f"user {user_id}", user_id))
        return suspects

    async def _wrong(self, user_id: int) -> Defect | None:
        cached = await self._backends.cached.deletes(user_id)
        if cached is None:
            return None
        known = set(cached.message_ids)
        stored = await self._backends.store.deletes_of(user_id, limit=len(known) + MORE)
        above = {i for i in stored.message_ids if i > cached.floor}
        if above - known:
            return Defect.DELETES_LACK
        unsure = sorted(known - above)
        deleted = await self._backends.store.deleted_among(user_id, unsure) if unsure else set()
        return Defect.DELETES_ORPHAN if len(deleted) < len(unsure) else None

    async def mend(self, suspects: Sequence[Suspect[int]]) -> None:
        """Drop the cached deletes of these users; the next reading fetches them anew."""
        for suspect in suspects:
            await self._backends.cached.forget_deletes(suspect.subject)
