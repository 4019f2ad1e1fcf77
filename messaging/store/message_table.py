"""Read and write the messages, the aliases of their ids, and the numbers of conversations."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from messaging.domain.conversations import Head
from messaging.domain.message import Message, Status
from messaging.ports.store import Tail
from messaging.store.rows import COLUMNS, NO_USERS, from_row, size_bytes, to_row
from messaging.store.statements import Statements, assigned, chunks, listed

MESSAGE = ", ".join(COLUMNS)


class MessageTable(Statements):
    """Hold the statements on messages, aliases and conversations, the same in all dialects."""

    def messages(self, message_ids: Iterable[int]) -> dict[int, Message]:
        """Return the rows of these ids, by id; an id without a row is left out."""
        found: dict[int, Message] = {}
        for part in chunks(sorted(message_ids)):
            numbers = ", ".join(map(str, part))
            query = f"SELECT {MESSAGE} FROM message WHERE id IN ({numbers})"
            found |= {row[0]: from_row(row) for row in self._read(query, [])}
        return found

    def find(self, message_ids: Iterable[int]) -> dict[int, Message]:
        """Return the rows of these ids, and under an alias the row of the message it leads to."""
        rows = self.messages(message_ids)
        aliases = self.aliases(set(message_ids).difference(rows))
        owners = rows | self.messages(set(aliases.values()).difference(rows))
        return rows | {i: owners[owner] for i, owner in aliases.items() if owner in owners}

    def page(self, conversation_id: str, *, before: int | None, limit: int) -> list[Message]:
        rows = self._read(*self._page(MESSAGE, conversation_id, before, limit))
        return [from_row(row) for row in rows]

    def nth_visible(
        self, conversation_id: str, *, reader_id: int, before: int, count: int, above: int = 0
    ) -> int | None:
        """Return the id of the `count`-th row between the ids without the reader's deletes.

        The newest row counts first. Return None where there are fewer rows. The statement reads the
        index alone, and looks each id up among the reader's deletes.
        """
        hint = self._dialect.by_index("message", "message_conversation_id")
        by_key = self._dialect.by_index("message_delete", "PRIMARY")
        query = (
            f"SELECT message.id FROM message{hint} LEFT JOIN message_delete AS hidden{by_key}"
            " ON hidden.user_id = %s AND hidden.message_id = message.id"
            " WHERE message.conversation_id = %s AND message.id < %s AND message.id > %s"
            " AND hidden.message_id IS NULL ORDER BY message.id DESC LIMIT 1 OFFSET %s"
        )
        rows = self._read(query, [reader_id, conversation_id, before, above, count - 1])
        return rows[0][0] if rows else None

    def tail(self, conversation_id: str, *, limit: int) -> Tail:
        """Return the newest rows and the number of all rows of a conversation.

        One statement reads both, so that they are of one moment.
        """
        last_seq = "(SELECT last_seq FROM conversation WHERE id = %s)"
        query, values = self._page(f"{MESSAGE}, {last_seq}", conversation_id, None, limit)
        rows = self._read(query, [conversation_id, *values])
        return Tail(tuple(from_row(row) for row in rows), rows[0][-1] if rows else 0)

    def _page(
        self, columns: str, conversation_id: str, before: int | None, limit: int
    ) -> tuple[str, list[Any]]:
        # Without this index MariaDB reads a long conversation from its newest message to `before`.
        table = f"message{self._dialect.by_index('message', 'message_conversation_id')}"
        below, values = ("", []) if before is None else (" AND id < %s", [before])
        query = f"SELECT {columns} FROM {table} WHERE conversation_id = %s{below}"
        return f"{query} ORDER BY id DESC LIMIT %s", [conversation_id, *values, limit]

    def insert_messages(self, messages: Sequence[Message]) -> None:
        """Insert the messages as new rows; a row that exists is never overwritten.

        Raises: IntegrityError for an id that has a row by now.
        """
        for part in chunks(messages, size_of=size_bytes):
            self._insert("message", COLUMNS, [to_row(message) for message in part])

    def raise_messages(self, messages: Sequence[Message]) -> None:
        """Join the states into rows that exist (`message.join`).

        A status only rises, and so does `rev`; the earlier recall time wins, and `seq` stays. A
        recalled row loses its content, address and mentioned users.
        """
        given, greatest, least = self._dialect.given, self._dialect.GREATEST, self._dialect.LEAST
        status = f"{greatest}(status, {given('status')})"
        new_time, new_by = given("recall_time"), given("recalled_by")
        unless_recalled = f"CASE WHEN {status} = {Status.RECALLED.value} THEN %s ELSE %s END"
        times = f"COALESCE(recall_time, {new_time}), COALESCE({new_time}, recall_time)"
        assignments = {
            "content": unless_recalled % ("''", "content"),
            "url": unless_recalled % ("NULL", "url"),
            "at_user_ids": unless_recalled % (f"'{NO_USERS}'", "at_user_ids"),
            # MySQL assigns in this order: the time that is compared is the stored one.
            "recalled_by": f"CASE WHEN {new_time} IS NULL THEN recalled_by"
            f" WHEN recall_time IS NULL OR {new_time} < recall_time THEN {new_by}"
            f" WHEN {new_time} = recall_time THEN NULLIF("
            f"{least}(COALESCE(recalled_by, 0), COALESCE({new_by}, 0)), 0)"
            " ELSE recalled_by END",
            "recall_time": f"{least}({times})",
            "rev": f"{greatest}(rev, {given('rev')})",
            "status": status,
        }
        suffix = self._dialect.or_update("id", assigned(assignments))
        for part in chunks(messages, size_of=size_bytes):
            self._insert("message", COLUMNS, [to_row(message) for message in part], suffix)

    def put_changes(self, messages: Sequence[Message]) -> None:
        """Write the latest change of each of these messages; a greater `rev` stays."""
        given, greatest = self._dialect.given, self._dialect.GREATEST
        suffix = self._dialect.or_update(
            "message_id", f"rev = {greatest}(message_change.rev, {given('rev')})"
        )
        for part in chunks(messages):
            rows = [(m.id, m.conversation_id, m.rev) for m in part]
            self._insert("message_change", ("message_id", "conversation_id", "rev"), rows, suffix)

    # conversations

    def extend_conversations(self, growth: Mapping[str, Head]) -> dict[str, tuple[int, int]]:
        """Count new and changed rows into their conversations, and lock each conversation's row.

        `growth` has by conversation the number of new rows and of changed ones, and the largest id
        of the new rows. Return each `last_seq` and `last_rev` after the addition.
        `last_message_id` never moves back. The lock lasts until the transaction ends.
        """
        given, greatest = self._dialect.given, self._dialect.GREATEST
        columns = ("id", "last_seq", "last_rev", "last_message_id")
        assignments = {
            "last_seq": f"conversation.last_seq + {given('last_seq')}",
            "last_rev": f"conversation.last_rev + {given('last_rev')}",
            "last_message_id": f"{greatest}(last_message_id, {given('last_message_id')})",
        }
        suffix = self._dialect.or_update("id", assigned(assignments))
        last: dict[str, tuple[int, int]] = {}
        for part in chunks(sorted(growth)):
            heads = [(name, growth[name]) for name in part]
            rows = [(name, head.last_seq, head.last_rev, head.last_id) for name, head in heads]
            self._insert("conversation", columns, rows, suffix)
            query = f"SELECT id, last_seq, last_rev FROM conversation WHERE id IN {listed(part)}"
            last |= {row[0]: (row[1], row[2]) for row in self._read(query, part)}
        return last

    def lock_conversation(self, conversation_id: str) -> tuple[int, int]:
        """Lock a conversation's row, and return `last_seq` and `last_message_id`.

        An absent row is made. The lock lasts until the transaction ends.
        """
        columns = ("id", "last_seq", "last_message_id")
        row = (conversation_id, 0, 0)
        self._insert("conversation", columns, [row], self._dialect.or_keep("id"))
        query = "SELECT last_seq, last_message_id FROM conversation WHERE id = %s"
        ((last_seq, last_id),) = self._read(query, [conversation_id])
        return last_seq, last_id

    def insert_participants(self, participants: Sequence[tuple[int, str]]) -> None:
        """Insert participants who have read nothing, each a pair of a user and a conversation.

        A row that exists stays. Safe to repeat.
        """
        keep = self._dialect.or_keep("user_id, conversation_id")
        for part in chunks(sorted(participants)):
            self._insert("participant", ("user_id", "conversation_id"), part, keep)

    # aliases

    def aliases(self, ids: Iterable[int]) -> dict[int, int]:
        """Return the owner of each of these ids that is an alias."""
        query = "SELECT message_id, owner_id FROM message_alias WHERE message_id IN"
        return {row[0]: row[1] for row in self._read_all(query, ids)}

    def insert_aliases(self, aliases: Mapping[int, int]) -> None:
        """Insert aliases with their owners; an alias that exists stays.

        Safe to repeat.
        """
        keep = self._dialect.or_keep("message_id")
        for part in chunks(sorted(aliases.items())):
            self._insert("message_alias", ("message_id", "owner_id"), part, keep)
