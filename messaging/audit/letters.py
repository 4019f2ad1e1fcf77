"""Check that each committed record that is no event has a dead letter."""

from __future__ import annotations

from collections.abc import Sequence

from messaging.audit.check import AuditBackends, Check
from messaging.audit.findings import Defect, Suspect
from messaging.pipeline.batch import dead_letter
from messaging.ports.audit import Pieces
from messaging.ports.log import Record


class Letters(Check[Record]):
    """Check the dead letters of unreadable records.

    `poison` are the unreadable records that a walk of the whole log has met.
    """

    title = "dead letters of unreadable records"

    def __init__(self, backends: AuditBackends, poison: Sequence[Record]) -> None:
        super().__init__(backends)
        self._poison = poison

    async def subjects(self) -> Pieces[Record]:
        yield 1.0, self._poison

    async def judge(self, subjects: Sequence[Record]) -> list[Suspect[Record]]:
        kept = await self._backends.stored.kept([record.position for record in subjects])
        return [
            Suspect(Defect.LETTER_MISSING, _name(record), record)
            for record in subjects
            if record.position not in kept
        ]

    async def mend(self, suspects: Sequence[Suspect[Record]]) -> None:
        """Keep the records as dead letters for people, as the consumer should have done."""
        await self._backends.store.save_dead_letters(
            [
                dead_letter(suspect.subject, reason="unreadable", error="found by an audit")
                for suspect in suspects
            ]
        )


def _name(record: Record) -> str:
    position = record.position
    return f"{position.topic}/{position.partition}/{position.offset}"
