"""Hold the statements by which a user's device catches up with many conversations at once.

Each statement asks about many conversations, and reads one range of an index for each of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from messaging.domain.batched import batched
from messaging.domain.conversations import Participant
from messaging.domain.message import Message, MsgType, Status
from messaging.ports.conversations import DeletedSince, Since, Span
from messaging.store.participant_table import ParticipantTable
from messaging.store.rows import COLUMNS, from_row

MESSAGE = ", ".join(f"message.{column}" for column in COLUMNS)
QUERIES_PER_STATEMENT = 500  # SQLite takes no more
BY_SEQ = "message_unread"  # the indexes
BY_CHANGE = "message_change_rev"
BY_DELETE = "message_delete_rev"


class ConversationTables(ParticipantTable):
    """Hold the statements on conversations over one connection."""

    def spans(self, wanted: Sequence[Span]) -> dict[str, list[Message]]:
        """Return rows as `ConversationStore.spans` promises."""
        query = (
            f"SELECT {MESSAGE} FROM message{self._dialect.by_index('message', BY_SEQ)}"
            " WHERE conversation_id = %s AND seq > %s AND seq <= %s"
        )
        found: dict[str, list[Message]] = {span.conversation_id: [] for span in wanted}
        for row in self._read_union(query, [(s.conversation_id, *s.bounds) for s in wanted]):
            message = from_row(row)
            found[message.conversation_id].append(message)
        return {name: sorted(rows, key=lambda m: m.seq or 0) for name, rows in found.items()}

    def changes(self, wanted: Sequence[Since], *, limit: int) -> dict[str, list[Message]]:
        """Return rows as `ConversationStore.changes` promises."""
        table = f"message_change{self._dialect.by_index('message_change', BY_CHANGE)}"
        query = (
            f"SELECT {MESSAGE} FROM (SELECT message_id FROM {table}"
            " WHERE conversation_id = %s AND rev > %s AND rev <= %s ORDER BY rev LIMIT %s)"
            " AS changed JOIN message ON message.id = changed.message_id"
        )
        values = [(each.conversation_id, each.above, each.up_to, limit) for each in wanted]
        found: dict[str, list[Message]] = {each.conversation_id: [] for each in wanted}
        for row in self._read_union(query, values):
            message = from_row(row)
            found[message.conversation_id].append(message)
        return {name: sorted(rows, key=lambda m: m.rev) for name, rows in found.items()}

    def deletes_since(
        self, user_id: int, wanted: Sequence[Since], *, limit: int
    ) -> dict[str, DeletedSince]:
        """Return deletes as `ConversationStore.deletes_since` promises."""
        table = f"message_delete{self._dialect.by_index('message_delete', BY_DELETE)}"
        of_each = f"FROM {table} WHERE user_id = %s AND conversation_id = %s AND rev > %s"
        last = f"SELECT rev {of_each} ORDER BY rev LIMIT 1 OFFSET %s"
        query = (
            f"SELECT conversation_id, rev, message_id {of_each} AND rev <= %s"
            f" AND rev <= COALESCE(({last}), %s)"
        )
        values = []
        for each in wanted:
            key = (user_id, each.conversation_id, each.above)
            values.append((*key, each.up_to, *key, limit - 1, each.up_to))
        found: dict[str, list[tuple[int, int]]] = {each.conversation_id: [] for each in wanted}
        for name, rev, message_id in self._read_union(query, values):
            found[name].append((rev, message_id))
        return {
            each.conversation_id: _deleted(sorted(found[each.conversation_id]), each.up_to, limit)
            for each in wanted
        }

    def count_unread(
        self, participants: Iterable[Participant], *, up_to: Mapping[str, int], most: int
    ) -> dict[str, int]:
        """Count rows as `ConversationStore.count_unread` promises.

        The statement reads the index alone, and looks each id up among the user's deletes.
        """
        table = f"message{self._dialect.by_index('message', BY_SEQ)}"
        by_key = self._dialect.by_index("message_delete", "PRIMARY")
        query = (
            f"SELECT %s, COUNT(*) FROM (SELECT 1 FROM {table}"
            f" LEFT JOIN message_delete AS hidden{by_key}"
            " ON hidden.user_id = %s AND hidden.message_id = message.id"
            " WHERE message.conversation_id = %s AND message.seq > %s AND message.seq <= %s"
            f" AND message.status = {Status.NORMAL.value}"
            f" AND message.msg_type <> {MsgType.NOTICE.value} AND message.from_user_id <> %s"
            " AND message.id > %s AND hidden.message_id IS NULL LIMIT %s) AS unread"
        )
        values = []
        for each in participants:
            name, user_id = each.conversation_id, each.user_id
            key = (name, user_id, name, each.read_seq, up_to[name])
            values.append((*key, user_id, each.floor_id, most))
        return {row[0]: row[1] for row in self._read_union(query, values)}

    def _read_union(self, query: str, values: Sequence[Sequence[Any]]) -> Iterator[tuple[Any, ...]]:
        """Yield the rows of the query with each of these values, many in one statement."""
        for part in batched(values, QUERIES_PER_STATEMENT):
            union = " UNION ALL ".join([query] * len(part))
            yield from self._read(union, [value for each in part for value in each])


def _deleted(deletes: Sequence[tuple[int, int]], up_to: int, limit: int) -> DeletedSince:
    ids = tuple(message_id for _, message_id in deletes)
    return DeletedSince(ids, deletes[-1][0] if len(deletes) >= limit else up_to)
