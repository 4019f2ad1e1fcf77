"""Check that the cached deletes and floors of each user are those in the database."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from messaging.audit.check import Check
from messaging.audit.findings import Defect, Suspect
from messaging.domain.conversations import NO_FLOOR, Floor
from messaging.domain.ids import is_group
from messaging.ports.audit import Pieces

MORE = 1_000  # deletes than the cache knows of


class CachedDeletes(Check[int]):
    """Compare each user's cached deletes and floors with the stored ones.

    The cache must have every stored delete above its floor, and no delete that is not stored. No
    floor may be higher than the stored one. In private conversations none may be lower: the floor
    of a join to a group is known by the access, and not told to the cache.
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
        if len(deleted) < len(unsure):
            return Defect.DELETES_ORPHAN
        return None if _are_floors(cached.floors, stored.floors) else Defect.FLOORS_DIFFER

    async def mend(self, suspects: Sequence[Suspect[int]]) -> None:
        """Drop the cached deletes of these users; the next reading fetches them anew."""
        for suspect in suspects:
            await self._backends.cached.forget_deletes(suspect.subject)


def _are_floors(cached: Mapping[str, Floor], stored: Mapping[str, Floor]) -> bool:
    """Tell whether the cached floors may be those of a user with these stored floors."""
    if any(floor.id > stored.get(name, NO_FLOOR).id for name, floor in cached.items()):
        return False
    return all(
        is_group(name) or floor == cached.get(name, NO_FLOOR) for name, floor in stored.items()
    )
