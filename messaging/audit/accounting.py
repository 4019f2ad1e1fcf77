"""Determine the fate of the accepted messages that the sources in `sources` name."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence

from messaging.audit.check import AT_ONCE, AuditBackends, Check
from messaging.audit.fates import fate_of, repeats_record
from messaging.audit.findings import Defect, Fate, Suspect
from messaging.audit.log_search import search
from messaging.audit.sources import AcceptedMessage, Walk, named_by
from messaging.domain.batched import batched
from messaging.domain.message import Message, is_same
from messaging.pipeline.write_through import WriteThrough
from messaging.ports.audit import Pieces
from messaging.ports.cached import IdempotencyRecord


class Accounting(Check[AcceptedMessage]):
    """Count the fates of the messages that one source names.

    `stuck_ms` is the age up to which a pending message is no finding.
    """

    def __init__(
        self,
        title: str,
        walk: Walk,
        backends: AuditBackends,
        *,
        stuck_ms: int,
        on_search: Callable[[int], None],
    ) -> None:
        super().__init__(backends)
        self.title = title
        self.fates: Counter[Fate] = Counter()
        self._walk = walk
        self._stuck_ms = stuck_ms
        self._on_search = on_search

    async def subjects(self) -> Pieces[AcceptedMessage]:
        async for done, accepted in self._walk():
            for piece in batched(accepted, AT_ONCE):
                yield done, piece

    async def judge(self, subjects: Sequence[AcceptedMessage]) -> list[Suspect[AcceptedMessage]]:
        """Return the suspects among these messages, and count the fates of all others."""
        ids = list(dict.fromkeys(each.id for each in subjects))
        pending = await self._backends.cached.pending_among(ids)
        found = await self._backends.store.find(ids)
        rows = {i: row for i, row in found.items() if row.id == i}
        fates = await self._fates([each for each in subjects if each.id not in found], pending)
        fates |= {i: fate_of(i, found=row) for i, row in found.items()}
        misleading = await self._misleading(subjects, fates)
        conflicting = await self._conflicting(subjects, rows)
        suspects = []
        for each in subjects:
            row, fate = rows.get(each.id), fates[each.id]
            if each in conflicting:
                suspects.append(Suspect(Defect.LOG_DIFFERS, str(each.id), each, fate))
            elif each in misleading:
                suspects.append(Suspect(Defect.RECORD_STALE, str(each.id), each, fate))
            elif kind := self._wrong(each, row, fate, pending.get(each.id)):
                suspects.append(Suspect(kind, str(each.id), each, fate))
            else:
                self.fates[fate] += 1
        return suspects

    async def _fates(
        self, accepted: Sequence[AcceptedMessage], pending: Mapping[int, int]
    ) -> dict[int, Fate]:
        """Return the fates of messages that have no row and are no alias of one."""
        ids = [each.id for each in accepted]
        if not ids:
            return {}
        details = await self._backends.cache.get(ids)
        letters = await self._backends.stored.letters(ids)
        records = await self._idempotency_records(accepted)
        return {
            each.id: fate_of(
                each.id,
                letters=letters.get(each.id, frozenset()),
                is_pending=each.id in pending and each.id in details,
                in_tail=each.in_tail,
                repeats=repeats_record(each.id, each.body_hash, records.get(each.id)),
            )
            for each in accepted
        }

    async def _idempotency_records(
        self, accepted: Sequence[AcceptedMessage]
    ) -> dict[int, IdempotencyRecord]:
        """Return the stored records under the keys of these messages, by the messages' ids."""
        sends = {each.id: (*each.key, each.body_hash or "") for each in accepted if each.key}
        found = await self._backends.store.find_idempotency_records(list(sends.values()))
        records = {i: found[send] for i, send in sends.items() if send in found}
        return {i: record for i, record in records.items() if record.is_stored}

    async def _misleading(
        self, subjects: Sequence[AcceptedMessage], fates: Mapping[int, Fate]
    ) -> set[AcceptedMessage]:
        """Return the cached records that still name a message deduplicated into another."""
        duplicates = {
            each.key: each
            for each in subjects
            if each.answers_repeats and each.key and fates.get(each.id) is Fate.DUPLICATE
        }
        recorded = await self._backends.cached.recorded_ids(list(duplicates))
        return {each for key, each in duplicates.items() if recorded.get(key) == each.id}

    async def _conflicting(
        self, subjects: Sequence[AcceptedMessage], rows: Mapping[int, Message]
    ) -> set[AcceptedMessage]:
        """Return the messages whose row is another message's, unless a dead letter says so."""
        strange = [
            each
            for each in subjects
            if each.message and each.id in rows and not is_same(rows[each.id], each.message)
        ]
        if not strange:
            return set()
        letters = await self._backends.stored.letters([each.id for each in strange])
        return {each for each in strange if each.id not in letters}

    def _wrong(
        self, each: AcceptedMessage, row: Message | None, fate: Fate, pending_since: int | None
    ) -> Defect | None:
        if fate is Fate.UNACCOUNTED:
            return Defect.UNACCOUNTED
        if row is not None and pending_since is not None:
            return Defect.STILL_PENDING
        if row is not None and each.message is not None and not each.in_tail:
            return _against_log(row, each.message)
        if fate is Fate.PENDING and pending_since is not None:
            age_ms = self._backends.compensator.clock_ms() - pending_since
            return Defect.STUCK if age_ms > self._stuck_ms else None
        return None

    async def conclude(
        self, suspects: Sequence[Suspect[AcceptedMessage]]
    ) -> list[Suspect[AcceptedMessage]]:
        """Search the whole log for unaccounted messages, and judge again those that are found.

        The log may have the message itself, or show which send the message repeats.
        """
        lost = [s.subject for s in suspects if s.kind is Defect.UNACCOUNTED]
        found = await search(
            self._backends.log, {each.id for each in lost}, on_read=self._on_search
        )
        known = [
            named_by(there.message, logged=True, in_tail=there.in_tail) for there in found.values()
        ]
        rest = [
            s for s in suspects if s.kind is not Defect.UNACCOUNTED or s.subject.id not in found
        ]
        return rest + await self.judge(known)

    async def mend(self, suspects: Sequence[Suspect[AcceptedMessage]]) -> None:
        """Persist the messages that can be found, and correct stale idempotency records.

        The message that the source knows is used where the cache has no detail.
        """
        ids = [s.subject.id for s in suspects]
        cached = await self._backends.cache.get(ids)
        unmarked = {s.subject.id for s in suspects if s.kind is Defect.STILL_PENDING}
        stuck = [i for i in ids if i in cached or i in unmarked]
        if stuck:
            await self._backends.compensator.repair(stuck)
        logged = [
            s.subject.message
            for s in suspects
            if s.kind in (Defect.UNACCOUNTED, Defect.RECALL_NOT_STORED)
            and s.subject.message is not None
            and s.subject.id not in cached
        ]
        await WriteThrough(self._backends.cache, self._backends.store).write(logged)
        await self._correct_idempotency_records(
            [s.subject for s in suspects if s.kind is Defect.RECORD_STALE]
        )

    def leave(self, suspects: Sequence[Suspect[AcceptedMessage]]) -> None:
        self.fates.update(s.fate for s in suspects if s.fate is not None)

    async def _correct_idempotency_records(self, records: Sequence[AcceptedMessage]) -> None:
        owners = await self._idempotency_records(records)
        rows = await self._backends.store.get([owner.message_id for owner in owners.values()])
        duplicates = {
            i: rows[owner.message_id] for i, owner in owners.items() if owner.message_id in rows
        }
        if duplicates:
            await self._backends.cache.mark_duplicates(duplicates)


def _against_log(row: Message, logged: Message) -> Defect | None:
    """Return the kind of disagreement between a row and its committed event, or None.

    Everything that the consumer has committed must be in the row.
    """
    if not is_same(row, logged):
        return None  # a dead letter tells of it
    if logged.is_recalled:
        return None if row.is_recalled else Defect.RECALL_NOT_STORED
    said = (logged.content, logged.url, logged.at_user_ids)
    differs = not row.is_recalled and said != (row.content, row.url, row.at_user_ids)
    return Defect.LOG_DIFFERS if differs else None
