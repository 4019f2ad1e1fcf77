"""Search the log for the events of one message."""

from __future__ import annotations

from messaging.audit.log_search import EARLIER_MS, message_of, read, sections
from messaging.domain.events import Action
from messaging.domain.ids import time_of_id
from messaging.domain.message import Message
from messaging.ports.audit import LogInspector
from messaging.ports.log import Record
from messaging.trace.evidence import Event, Logged

MOST_EVENTS = 20


class LogSearch:
    """Search for a message from the minute before its id's time on.

    `logged` holds what was found so far, also after an error or a timeout; None before the log has
    answered. `message` is the message as its last event that was found has it.

    `conversation_id`: where it is known, its partition alone is searched.
    """

    def __init__(self, log: LogInspector, message_id: int, *, conversation_id: str | None) -> None:
        self.logged: Logged | None = None
        self.message: Message | None = None
        self._log = log
        self._id = message_id
        self._digits = str(message_id).encode()
        self._partition = None if conversation_id is None else log.partition_of(conversation_id)

    async def run(self) -> None:
        """Read to the end that the log has when the search begins.

        Raises: LogUnavailable.
        """
        since_ms = time_of_id(self._id) - EARLIER_MS
        extents = await self._log.extents(since_ms=since_ms)
        self.logged = logged = Logged()
        for extent in extents:
            if self._partition not in (None, extent.partition):
                continue
            for start, until, in_tail in sections(extent):
                async for records in read(self._log, extent.partition, start, until):
                    for record in records:
                        self._note(logged, record, in_tail=in_tail)
                    logged.searched += len(records)
                    logged.lag += len(records) if in_tail else 0
        logged.is_whole = True

    def _note(self, logged: Logged, record: Record, *, in_tail: bool) -> None:
        # Most records are another message's: they are left out before they are decoded.
        if record.value is None or self._digits not in record.value:
            return
        message = message_of(record)
        if message is None or message.id != self._id:
            return
        self.message = message
        logged.found += 1
        logged.in_tail |= in_tail
        if len(logged.events) < MOST_EVENTS:
            position = record.position
            logged.events.append(
                Event(
                    position.partition,
                    position.offset,
                    Action.RECALL if message.is_recalled else Action.PERSIST,
                    is_committed=not in_tail,
                    appended_ms=record.time_ms,
                )
            )
