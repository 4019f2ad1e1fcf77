"""Read all rows of the tables, and mend rows, for an audit.

Used through `ports.audit.StoreInspector`. All work goes by primary key and in pieces, each a
statement of its own, because the service writes at the same time.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from django.db.models import Count, Min

from messaging import models
from messaging.conf import Settings
from messaging.domain.message import Key, Message, PersistStatus, Status
from messaging.ports.audit import HINTS_SEARCHED, Letters, Mentions, Numbering, StoredRow
from messaging.ports.cached import IdempotencyRecord
from messaging.ports.log import Position
from messaging.ports.store import DeadLetterState
from messaging.store.in_threads import InThreads, in_thread
from messaging.store.key_table import NAME
from messaging.store.rows import COLUMNS, NO_USERS, from_row
from messaging.store.statements import chunks, listed
from messaging.store.tables import DELETES_BY_MESSAGE, Tables

THREADS = 1
PERSIST_STATUS = COLUMNS.index("persist_status")
ROW = ", ".join(f"m.{column}" for column in COLUMNS)


class InspectedTables(Tables):
    """Hold the statements that only an audit makes."""

    def clock_ms(self) -> int:
        return int(self._read(f"SELECT {self._dialect.NOW_MS}", [])[0][0])

    def letters_by_state(self) -> dict[DeadLetterState, Letters]:
        """Count by the index of states; the oldest letter of a state has its smallest id."""
        letters = models.DeadLetter.objects.using(self._connection.alias)
        counted = letters.order_by().values("state").annotate(count=Count("id"), first=Min("id"))
        found = {each["first"]: each for each in counted}
        times = dict(letters.filter(pk__in=found).values_list("id", "created_at"))
        return {
            DeadLetterState(each["state"]): Letters(
                each["count"], round(times[first].timestamp() * 1000)
            )
            for first, each in found.items()
            if first in times  # deleted meanwhile, maybe
        }

    def hints_noted(self) -> int:
        return int(self._read("SELECT COUNT(*) FROM cache_arrear", [])[0][0])

    def newest_id(self) -> int:
        return self._read("SELECT MAX(id) FROM message", [])[0][0] or 0

    def rows_after(self, message_id: int, *, limit: int) -> list[StoredRow]:
        return self._rows("> %s", [message_id], limit)

    def rows(self, message_ids: Iterable[int]) -> list[StoredRow]:
        parts = chunks(sorted(message_ids))
        return [row for part in parts for row in self._rows(f"IN {listed(part)}", part, len(part))]

    def _rows(self, condition: str, values: Sequence[int], limit: int) -> list[StoredRow]:
        rows = self._read(
            f"SELECT {ROW}, k.message_id, k.body_hash, COALESCE(x.rev, 0), COALESCE(c.last_rev, 0)"
            f" FROM message m{self._dialect.by_index('message', 'PRIMARY')}"
            " LEFT JOIN message_key k"
            " ON k.from_user_id = m.from_user_id AND k.client_msg_id = m.client_msg_id"
            " AND k.body_hash = m.body_hash"
            " LEFT JOIN message_change x ON x.message_id = m.id"
            " LEFT JOIN conversation c ON c.id = m.conversation_id"
            f" WHERE m.id {condition} ORDER BY m.id LIMIT {limit}",
            values,
        )
        return [
            StoredRow(
                from_row(row),
                row[PERSIST_STATUS],
                None if row[-4] is None else IdempotencyRecord(row[-4], row[-3]),
                *row[-2:],
            )
            for row in rows
        ]

    def letters(self, message_ids: Iterable[int]) -> dict[int, frozenset[DeadLetterState]]:
        found: dict[int, frozenset[DeadLetterState]] = {}
        query = "SELECT message_id, state FROM dead_letter WHERE message_id IN"
        for message_id, state in self._read_all(query, message_ids):
            found[message_id] = found.get(message_id, frozenset()) | {DeadLetterState(state)}
        return found

    def mentions(self, message_id: int) -> Mentions:
        by_message = self._dialect.by_index("message_delete", DELETES_BY_MESSAGE)
        oldest = f"SELECT message_id FROM cache_arrear ORDER BY id LIMIT {HINTS_SEARCHED}"
        ((owner, deletes, hints),) = self._read(
            "SELECT (SELECT owner_id FROM message_alias WHERE message_id = %s),"
            f" (SELECT COUNT(*) FROM message_delete{by_message} WHERE message_id = %s),"
            f" (SELECT COUNT(*) FROM ({oldest}) AS hint WHERE message_id = %s)",
            [message_id] * 3,
        )
        return Mentions(owner, deletes, hints)

    def records_named(self, send: Key, *, limit: int) -> list[IdempotencyRecord]:
        found = self._read_records(NAME, 1, send, f" ORDER BY message_id LIMIT {limit}")
        return list(found.values())

    def kept(self, sources: Iterable[Position]) -> set[Position]:
        found: set[Position] = set()
        columns = ("topic", "partition", "offset")
        names = ", ".join(map(self._connection.ops.quote_name, columns))
        each = " AND ".join(f"{self._connection.ops.quote_name(name)} = %s" for name in columns)
        for part in chunks(sorted(sources, key=lambda s: (s.topic, s.partition, s.offset))):
            rows = self._read(
                f"SELECT {names} FROM dead_letter WHERE {' OR '.join([f'({each})'] * len(part))}",
                [value for s in part for value in (s.topic, s.partition, s.offset)],
            )
            found.update(Position(*row) for row in rows)
        return found

    def conversations_after(
        self, conversation_id: str, *, limit: int
    ) -> list[tuple[str, int, int]]:
        rows = self._read(
            "SELECT id, last_seq, last_message_id FROM conversation WHERE id > %s"
            " ORDER BY id LIMIT %s",
            [conversation_id, limit],
        )
        return [(row[0], row[1], row[2]) for row in rows]

    def numberings(self, conversation_ids: Iterable[str]) -> dict[str, Numbering]:
        query = (
            "SELECT c.id, c.last_seq, COUNT(m.seq), COUNT(DISTINCT m.seq),"
            " COALESCE(MAX(m.seq), 0) FROM conversation c LEFT JOIN message m"
            " ON m.conversation_id = c.id WHERE c.id IN"
        )
        rows = self._read_all(query, conversation_ids, end=" GROUP BY c.id, c.last_seq")
        return {row[0]: Numbering(*row[1:]) for row in rows}

    def change_rows(self, assignments: str, condition: str, message_ids: Iterable[int]) -> None:
        for part in chunks(sorted(message_ids)):
            self._execute(
                f"UPDATE message SET {assignments} WHERE id IN {listed(part)} AND {condition}", part
            )


class DatabaseInspector(InThreads[InspectedTables]):
    """Implement `ports.audit.StoreInspector`, in one thread.

    Each statement ends within `store_timeout_s` and one probe of the server.
    Raises: StoreUnavailable, at that bound at the latest.
    """

    def __init__(self, settings: Settings) -> None:
        timeout_s = settings.store_timeout_s
        super().__init__(InspectedTables, name="inspector", threads=THREADS, timeout_s=timeout_s)

    ping = in_thread(InspectedTables.ping)
    clock_ms = in_thread(InspectedTables.clock_ms)
    letters_by_state = in_thread(InspectedTables.letters_by_state)
    hints_noted = in_thread(InspectedTables.hints_noted)
    newest_id = in_thread(InspectedTables.newest_id)
    rows_after = in_thread(InspectedTables.rows_after)
    rows = in_thread(InspectedTables.rows)
    letters = in_thread(InspectedTables.letters)
    mentions = in_thread(InspectedTables.mentions)
    records_named = in_thread(InspectedTables.records_named)
    kept = in_thread(InspectedTables.kept)
    conversations_after = in_thread(InspectedTables.conversations_after)
    numberings = in_thread(InspectedTables.numberings)
    _change_rows = in_thread(InspectedTables.change_rows)

    async def mark_rows(self, message_ids: Sequence[int]) -> None:
        stored = PersistStatus.PERSISTED.value
        await self._change_rows(
            f"persist_status = '{stored}'", f"persist_status <> '{stored}'", message_ids
        )

    async def blank_tombstones(self, message_ids: Sequence[int]) -> None:
        nothing = f"content = '', url = NULL, at_user_ids = '{NO_USERS}'"
        await self._change_rows(nothing, f"status = {Status.RECALLED.value}", message_ids)

    async def restore_keys(self, messages: Sequence[Message]) -> None:
        records = {
            key: IdempotencyRecord.of(m) for m in messages if (key := m.send_key) is not None
        }
        await self.with_tables(lambda tables: tables.reserve_keys(records))
