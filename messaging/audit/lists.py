"""Check that cached lists hold what they claim to hold, and that recall marks have ended."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence

from messaging.audit.check import Check, Parts, Step
from messaging.audit.findings import Kind, Suspect
from messaging.audit.sources import pending_entries

MORE = 100  # rows than the list has ids


class Lists(Check[str]):
    """Compare each list that claims to be complete above its floor with the rows there."""

    title = "cached lists against the database"

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    async def walk(self) -> AsyncIterator[Step[str]]:
        async for done, conversations in self._parts.cached.loaded():
            yield Step(done, len(conversations), await self.judge(conversations))

    async def judge(self, subjects: Sequence[str]) -> list[Suspect[str]]:
        suspects = []
        for conversation_id in subjects:
            if kind := await self._wrong(conversation_id):
                suspects.append(Suspect(kind, conversation_id, conversation_id))
        return suspects

    async def _wrong(self, conversation_id: str) -> Kind | None:
        loaded = await self._parts.cached.tail(conversation_id)
        if loaded is None:
            return None
        tail = await self._parts.store.tail(conversation_id, limit=len(loaded.ids) + MORE)
        above = {row.id for row in tail.rows if row.id > loaded.floor}
        if above.difference(loaded.ids):
            return Kind.LIST_LACKS
        if loaded.base + len(above) != tail.total:
            return Kind.LIST_COUNT
        unstored = [i for i in loaded.ids if i not in above]
        return Kind.LIST_STRANGER if await self._strangers(unstored) else None

    async def _strangers(self, ids: Sequence[int]) -> list[int]:
        """Return the ids that are neither pending, nor cached, nor stored."""
        pending = await self._parts.cached.pending_among(ids)
        ids = [i for i in ids if i not in pending]
        known = await self._parts.cache.get(ids) | await self._parts.store.get(ids) if ids else {}
        return [i for i in ids if i not in known]

    async def mend(self, suspects: Sequence[Suspect[str]]) -> None:
        """Unload the lists, so that the next reader of each fills it anew."""
        for suspect in suspects:
            loaded = await self._parts.cached.tail(suspect.subject)
            strangers = await self._strangers(loaded.ids) if loaded else []
            await self._parts.cached.unload(suspect.subject, strangers=strangers)


class PendingLists(Check[int]):
    """Check that each pending message is in the list of its conversation.

    A pending message has no row, so only that list leads a reader to the message.
    """

    title = "lists of pending messages"

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    async def walk(self) -> AsyncIterator[Step[int]]:
        async for done, entries in pending_entries(self._parts.cache):
            ids = [entry.message_id for entry in entries]
            yield Step(done, len(ids), await self.judge(ids))

    async def judge(self, subjects: Sequence[int]) -> list[Suspect[int]]:
        details = await self._parts.cache.get(subjects)
        unlisted = await self._parts.cached.unlisted(list(details.values()))
        pending = await self._parts.cached.pending_among(unlisted)
        return [Suspect(Kind.PENDING_UNLISTED, str(i), i) for i in pending]

    async def mend(self, suspects: Sequence[Suspect[int]]) -> None:
        """Add the messages to their lists, as the compensation does with each attempt."""
        details = await self._parts.cache.get([s.subject for s in suspects])
        await self._parts.cache.retry(list(details.values()))


class RecallMarks(Check[int]):
    """Check that no recall mark is left after its tombstone was stored.

    A mark that is left keeps its message's detail in the cache for ever.
    """

    title = "recall marks"

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    async def walk(self) -> AsyncIterator[Step[int]]:
        async for done, ids in self._parts.cached.recall_marks():
            yield Step(done, len(ids), await self.judge(ids))

    async def judge(self, subjects: Sequence[int]) -> list[Suspect[int]]:
        rows = await self._parts.store.get(subjects)
        recalled = [i for i, row in rows.items() if row.is_recalled]
        marks = await self._parts.cache.recall_marks(recalled)
        return [Suspect(Kind.MARK_LEFT, str(i), i) for i in marks]

    async def mend(self, suspects: Sequence[Suspect[int]]) -> None:
        rows = await self._parts.store.get([s.subject for s in suspects])
        await self._parts.cache.mark_stored(list(rows.values()))
