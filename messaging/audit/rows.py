"""Check that the database agrees with itself: rows, keys and the numbers of conversations."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence

from messaging.audit.check import AT_ONCE, AuditBackends, Check, Step, runs
from messaging.audit.findings import Defect, Suspect
from messaging.domain.message import Message, MsgType, PersistStatus, hash_body
from messaging.ports.audit import Numbering, Pieces, StoredRow


class Rows(Check[int]):
    """Check each row by itself, from the id `since_id` on."""

    title = "rows"

    def __init__(self, backends: AuditBackends, *, since_id: int) -> None:
        super().__init__(backends)
        self._since_id = since_id

    async def walk(self) -> AsyncIterator[Step[int]]:
        """Judge the rows as they are read, without a second query."""
        after = max(self._since_id - 1, 0)
        newest = await self._backends.stored.newest_id()
        first = 0
        while rows := await self._backends.stored.rows_after(after, limit=AT_ONCE):
            after = rows[-1].message.id
            first = first or rows[0].message.id
            done = (after - first) / max(newest - first, 1)
            yield Step(min(done, 1.0), len(rows), _suspects(rows))

    async def judge(self, subjects: Sequence[int]) -> list[Suspect[int]]:
        return _suspects(await self._backends.stored.rows(subjects))

    async def mend(self, suspects: Sequence[Suspect[int]]) -> None:
        """Correct statuses, blank the tombstones that have content, and restore missing keys.

        An altered row stays, because nothing here knows the original. A row whose key stands for
        another message stays too, because a person has to choose between the two messages. A wrong
        `rev` stays, because clients have seen it.
        """
        by_kind: dict[Defect, list[int]] = {}
        for suspect in suspects:
            by_kind.setdefault(suspect.kind, []).append(suspect.subject)
        if unmarked := by_kind.get(Defect.ROW_STATUS):
            await self._backends.stored.mark_rows(unmarked)
        if speaking := by_kind.get(Defect.TOMBSTONE_SPEAKS):
            await self._backends.stored.blank_tombstones(speaking)
        if keyless := by_kind.get(Defect.KEY_MISSING):
            rows = await self._backends.stored.rows(keyless)
            await self._backends.stored.restore_keys([row.message for row in rows])


def is_as_sent(message: Message) -> bool:
    """Tell whether a NORMAL message has the content that its sender sent."""
    return message.body_hash == hash_body(
        to_id=message.to_id,
        chat_type=message.chat_type,
        msg_type=message.msg_type,
        content=message.content,
        url=message.url,
        at_user_ids=message.at_user_ids,
    )


def _suspects(rows: Sequence[StoredRow]) -> list[Suspect[int]]:
    return [
        Suspect(kind, str(row.message.id), row.message.id) for row in rows for kind in _wrong(row)
    ]


def _wrong(row: StoredRow) -> list[Defect]:
    message, wrong = row.message, []
    if row.persist_status != PersistStatus.PERSISTED:
        wrong.append(Defect.ROW_STATUS)
    if message.is_recalled:
        if message.content or message.url or message.at_user_ids:
            wrong.append(Defect.TOMBSTONE_SPEAKS)
    elif not is_as_sent(message):
        wrong.append(Defect.ROW_ALTERED)
    is_notice = message.msg_type is MsgType.NOTICE
    if is_notice != (message.notice is not None) or (is_notice and message.is_recalled):
        wrong.append(Defect.NOTICE)
    if message.client_msg_id is not None and row.key is None:
        wrong.append(Defect.KEY_MISSING)
    elif row.key is not None and row.key.message_id != message.id:
        wrong.append(Defect.KEY_OTHER)
    if message.rev != row.change or message.rev > row.last_rev:
        wrong.append(Defect.REV)
    return wrong


class Numbers(Check[str]):
    """Check that the numbers of each conversation are 1, 2, 3 … without a gap.

    Only conversations that have a message from `since_id` on are checked. Nothing is mended,
    because clients have seen these numbers.
    """

    title = "numbers of conversations"

    def __init__(self, backends: AuditBackends, *, since_id: int) -> None:
        super().__init__(backends)
        self._since_id = since_id

    async def subjects(self) -> Pieces[str]:
        after = ""
        while found := await self._backends.stored.conversations_after(after, limit=AT_ONCE):
            after = found[-1][0]
            new = [(name, seq) for name, seq, last_id in found if last_id >= self._since_id]
            for names in runs(new):
                yield 0.0, names

    async def judge(self, subjects: Sequence[str]) -> list[Suspect[str]]:
        numberings = await self._backends.stored.numberings(subjects)
        return [
            Suspect(Defect.SEQ, name, name)
            for name, numbering in numberings.items()
            if not _is_gapless(numbering)
        ]


def _is_gapless(numbering: Numbering) -> bool:
    counts = (numbering.rows, numbering.distinct, numbering.highest)
    return all(count == numbering.last_seq for count in counts)
