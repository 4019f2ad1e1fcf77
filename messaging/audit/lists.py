"""Check that cached lists hold what they claim to hold, and that recall marks have ended."""

from __future__ import annotations

from collections.abc import Sequence

from messaging.audit.check import Check
from messaging.audit.findings import Defect, Suspect
from messaging.audit.sources import pending_entries
from messaging.ports.audit import Pieces

MORE = 100  # rows than the list has ids


class Lists(Check[str]):
    """Compare each list that claims to be complete above its floor with the rows there."""

    title = "cached lists against the database"

    def subjects(self) -> Pieces[str]:
        return self._backends.cached.loaded()

    async def judge(self, subjects: Sequence[str]) -> list[Suspect[str]]:
        suspects = []
        for conversation_id in subjects:
            if kind := await self._wrong(conversation_id):
                suspects.append(Suspect(kind, conversation_id, conversation_id))
        return suspects

    async def _wrong(self, conversation_id: str) -> Defect | None:
        loaded = await self._backends.cached.tail(conversation_id)
        if loaded is None:
            return None
        tail = await self._backends.store.tail(conversation_id, limit=len(loaded.ids) + MORE)
        above = {row.id for row in tail.rows if row.id > loaded.floor}
        if above.difference(loaded.ids):
            return Defect.LIST_LACKS
        if loaded.base + len(above) != tail.total:
            return Defect.LIST_COUNT
        unstored = [i for i in loaded.ids if i not in above]
        return Defect.LIST_ORPHAN if await self._orphans(unstored) else None

    async def _orphans(self, ids: Sequence[int]) -> list[int]:
        """Return the ids that are neither pending, nor cached, nor stored."""
        pending = await self._backends.cached.pending_among(ids)
        ids = [i for i in ids if i not in pending]
        known = (
            await self._backends.cache.get(ids) | await self._backends.store.get(ids) if ids else {}
        )
        return [i for i in ids if i not in known]

    async def mend(self, suspects: Sequence[Suspect[str]]) -> None:
        """Unload the lists, so that the next reader of each fills it anew."""
        for suspect in suspects:
            loaded = await self._backends.cached.tail(suspect.subject)
            orphans = await self._orphans(loaded.ids) if loaded else []
            await self._backends.cached.unload(suspect.subject, orphans=orphans)


class PendingLists(Check[int]):
    """Check that each pending message is in the list of its conversation.

    A pending message has no row, so only that list leads a reader to the message.
    """

    title = "lists of pending messages"

    async def subjects(self) -> Pieces[int]:
        async for done, entries in pending_entries(self._backends.cache):
            yield done, [entry.message_id for entry in entries]

    async def judge(self, subjects: Sequence[int]) -> list[Suspect[int]]:
        details = await self._backends.cache.get(subjects)
        unlisted = await self._backends.cached.unlisted(list(details.values()))
        pending = await self._backends.cached.pending_among(unlisted)
        return [Suspect(Defect.PENDING_UNLISTED, str(i), i) for i in pending]

    async def mend(self, suspects: Sequence[Suspect[int]]) -> None:
        """Add the messages to their lists, as the compensation does with each attempt."""
        details = await self._backends.cache.get([s.subject for s in suspects])
        await self._backends.cache.count_attempt(list(details.values()))


class RecallMarks(Check[int]):
    """Check that no recall mark is left after its tombstone was stored.

    A mark that is left keeps its message's detail in the cache for ever.
    """

    title = "recall marks"

    def subjects(self) -> Pieces[int]:
        return self._backends.cached.recall_marks()

    async def judge(self, subjects: Sequence[int]) -> list[Suspect[int]]:
        rows = await self._backends.store.get(subjects)
        recalled = [i for i, row in rows.items() if row.is_recalled]
        marks = await self._backends.cache.recall_marks(recalled)
        return [Suspect(Defect.MARK_LEFT, str(i), i) for i in marks]

    async def mend(self, suspects: Sequence[Suspect[int]]) -> None:
        rows = await self._backends.store.get([s.subject for s in suspects])
        await self._backends.cache.mark_stored(list(rows.values()))
