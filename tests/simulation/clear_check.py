"""Judge that what a user has cleared is never shown to the user again."""

from __future__ import annotations

from collections.abc import Iterator

from tests.simulation.group_acts import NEVER
from tests.simulation.record import Clear, Read, Said, ScheduleRecord


class ClearCheck:
    """Tell which messages clears may hide, and record those that are shown all the same."""

    def __init__(self, record: ScheduleRecord) -> None:
        self._record = record

    def everything(self) -> None:
        for read in self._record.reads:
            for clear in self._clears_of(read):
                self._check(read, clear)

    def may_hide(self, read: Read, said: Said) -> bool:
        """Tell whether a clear may hide the message from the reader.

        A message that was first tried after the clear was answered is shown.
        """
        ended = max((each.ended for each in read.answers), default=NEVER)
        return any(
            clear.begun < ended and not clear.ended < min(said.attempts)
            for clear in self._clears_of(read)
            if said.conversation == clear.conversation
        )

    def _check(self, read: Read, clear: Clear) -> None:
        for answer in read.answers:
            if answer.begun <= clear.ended:
                continue
            for said in self._said_before(clear):
                if any(m.id in said.ids or m.content == said.content for m in answer.messages):
                    told = f"{said} to user {read.reader} at {answer.begun}"
                    self._record.violate("shown after a clear", told)

    def _clears_of(self, read: Read) -> Iterator[Clear]:
        for clear in self._record.clears:
            if (clear.user, clear.conversation) == (read.reader, read.conversation):
                yield clear

    def _said_before(self, clear: Clear) -> Iterator[Said]:
        """Yield what was acknowledged before a clear began, and never tried again."""
        for said in self._record.said:
            acknowledged = NEVER if said.acknowledged is None else said.acknowledged
            if (
                said.conversation == clear.conversation
                and max(acknowledged, *said.attempts) < clear.begun
            ):
                yield said
