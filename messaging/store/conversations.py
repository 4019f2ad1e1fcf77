"""Implement ConversationStore over Django's database: SQLite, MySQL or MariaDB.

Built by `runtime`. No use case is known here.

Order: participants are the last rows that a transaction locks, sorted by user and conversation.
"""

from __future__ import annotations

from collections.abc import Sequence

from django.db import transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from msgspec.structs import replace

from messaging.conf import Settings
from messaging.database.threads import PROBE_TIMEOUT_S
from messaging.domain.conversations import Mark, Participant, marked
from messaging.domain.errors import ConversationNotFound
from messaging.ports.conversations import ChangeParticipant, ParticipantFacts
from messaging.ports.store import CacheHint
from messaging.store.conversation_tables import ConversationTables
from messaging.store.groups import CALL_S
from messaging.store.in_threads import InThreads, in_thread
from messaging.store.tables import Seat, Tables

THREADS = 4


class DatabaseConversations(InThreads[ConversationTables]):
    """Implement `ports.conversations.ConversationStore`, with a bound on each call.

    Each call ends within `CALL_S`, a probe of the server included.
    Raises: StoreBusy and StoreUnavailable, at that bound at the latest.
    """

    def __init__(self, settings: Settings) -> None:
        timeout_s = min(settings.store_timeout_s, CALL_S - PROBE_TIMEOUT_S)
        super().__init__(
            ConversationTables, name="conversations", threads=THREADS, timeout_s=timeout_s
        )

    async def mark(self, marks: Sequence[Mark], *, now_ms: int) -> dict[Seat, Participant]:
        return await self._threads.run(lambda connection: mark(connection, marks, now_ms))

    async def change_participant(
        self, user_id: int, conversation_id: str, decide: ChangeParticipant
    ) -> Participant:
        return await self._threads.run(
            lambda connection: change_participant(connection, user_id, conversation_id, decide)
        )

    async def change_hinted(
        self, user_id: int, conversation_id: str, decide: ChangeParticipant
    ) -> tuple[Participant, CacheHint]:
        return await self._threads.run(
            lambda connection: change_hinted(connection, user_id, conversation_id, decide)
        )

    listing = in_thread(ConversationTables.listing)
    spans = in_thread(ConversationTables.spans)
    changes = in_thread(ConversationTables.changes)
    deletes_since = in_thread(ConversationTables.deletes_since)
    count_unread = in_thread(ConversationTables.count_unread)
    readers = in_thread(ConversationTables.readers)


def mark(
    connection: BaseDatabaseWrapper, marks: Sequence[Mark], now_ms: int
) -> dict[Seat, Participant]:
    """Raise positions as `ConversationStore.mark` promises.

    The participants are read without a lock, to leave out those who are absent or out, and marks
    that change nothing. The statement that writes compares once more, under its locks.
    """
    tables = ConversationTables(connection)
    given = {(mark.user_id, mark.conversation_id): mark for mark in marks}
    with transaction.atomic(using=connection.alias):
        before = {seat: known for seat, known in tables.seats(given).items() if known[0].is_in}
        after = {
            seat: marked(participant, given[seat], last_seq=head.last_seq, now_ms=now_ms)
            for seat, (participant, head) in before.items()
        }
        raised = [seat for seat, participant in after.items() if participant != before[seat][0]]
        tables.raise_positions(
            [
                (
                    *seat,
                    after[seat].read_seq,
                    after[seat].delivered_seq,
                    now_ms,
                    int(not given[seat].ends_unread),
                )
                for seat in raised
            ]
        )
        written = {seat: known for seat, (known, _) in tables.seats(raised).items() if known.is_in}
    return {seat: each for seat, each in after.items() if seat not in raised} | written


def change_participant(
    connection: BaseDatabaseWrapper, user_id: int, conversation_id: str, decide: ChangeParticipant
) -> Participant:
    """Change a participant as `ConversationStore.change_participant` promises."""
    tables = ConversationTables(connection)
    with transaction.atomic(using=connection.alias):
        before, pins = tables.lock_with_pins(user_id, conversation_id)
        if before is None:
            raise ConversationNotFound
        head = tables.head(conversation_id)
        after = decide(ParticipantFacts(participant=before, head=head, pins=pins))
        if replace(after, rev=before.rev) == before:
            return before
        changed = replace(after, rev=before.rev + 1)
        tables.update_participant(changed)
    return changed


def change_hinted(
    connection: BaseDatabaseWrapper, user_id: int, conversation_id: str, decide: ChangeParticipant
) -> tuple[Participant, CacheHint]:
    """Change a participant as `ConversationStore.change_hinted` promises."""
    with transaction.atomic(using=connection.alias):
        changed = change_participant(connection, user_id, conversation_id, decide)
        return changed, Tables(connection).insert_hint(CacheHint(0, user_id))
