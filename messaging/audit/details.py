"""Check that the cache and the database say the same of each message."""

from __future__ import annotations

from collections.abc import Sequence

from messaging.audit.check import Check
from messaging.audit.findings import Defect, Suspect
from messaging.audit.log_search import search
from messaging.audit.rows import is_as_sent
from messaging.domain.message import Message, is_same, join
from messaging.pipeline.write_through import WriteThrough
from messaging.ports.audit import Pieces


class Details(Check[int]):
    """Compare each cached detail with its row, if there is a row.

    Pending messages have no row; `accounting` accounts for them.
    """

    title = "cached details against the database"

    async def subjects(self) -> Pieces[int]:
        async for done, messages in self._backends.cached.details():
            yield done, [message.id for message in messages]

    async def judge(self, subjects: Sequence[int]) -> list[Suspect[int]]:
        cached = await self._backends.cache.get(subjects)
        rows = await self._rows(list(cached))
        pending = await self._backends.cached.pending_among(list(rows))
        return [
            Suspect(kind, str(i), i)
            for i, row in rows.items()
            if (kind := _wrong(cached[i], row, is_pending=i in pending))
        ]

    async def _rows(self, ids: Sequence[int]) -> dict[int, Message]:
        """Return the rows as readers may see them.

        A tombstone that still has its content is shown without, because that is the row's own
        fault.
        """
        rows = await self._backends.store.get(ids)
        return {i: row if row.recall is None else row.under(row.recall) for i, row in rows.items()}

    async def conclude(self, suspects: Sequence[Suspect[int]]) -> list[Suspect[int]]:
        """Clear the recalls that are in the log's tail, which the consumer has not read yet."""
        recalls = {s.subject for s in suspects if s.kind is Defect.RECALL_NOT_STORED}
        found = await search(self._backends.log, recalls, tail_alone=True)
        under_way = {i for i, there in found.items() if there.message.is_recalled}
        return [s for s in suspects if s.subject not in under_way]

    async def mend(self, suspects: Sequence[Suspect[int]]) -> None:
        """Store recalls that the cache alone has, and make the cached details agree with the rows.

        Order: store the recalls, join the rows into the cache, drop the details that still
        disagree. A detail beside an altered row is not dropped, because the row may need the
        detail.
        """
        ids = [s.subject for s in suspects]
        cached = await self._backends.cache.get(ids)
        rows = await self._rows(list(cached))
        ahead = [cached[i] for i, row in rows.items() if _is_ahead(cached[i], row)]
        await WriteThrough(self._backends.cache, self._backends.store).write(ahead)
        if rows := await self._rows(list(rows)):
            await self._backends.cache.mark_stored(list(rows.values()))
        sound = {i for i, row in rows.items() if row.is_recalled or is_as_sent(row)}
        left = [s.subject for s in await self.judge(ids) if s.subject in sound]
        if left:
            await self._backends.cached.forget(left)


def _wrong(cached: Message, row: Message, *, is_pending: bool) -> Defect | None:
    if is_same(cached, row) and cached.is_recalled != row.is_recalled:
        return Defect.RECALLED_SHOWN if row.is_recalled else Defect.RECALL_NOT_STORED
    if cached.seq is None:
        return None if is_pending else Defect.DETAIL_PENDING
    return Defect.DETAIL_DIFFERS if cached != row else None


def _is_ahead(cached: Message, row: Message) -> bool:
    """Tell whether the cache has a recall, or an earlier recall, that the row lacks."""
    if not (cached.is_recalled and is_same(cached, row)):
        return False
    state = join(row, cached)
    return (state.status, state.recall_time) != (row.status, row.recall_time)
