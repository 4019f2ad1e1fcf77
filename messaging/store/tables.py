"""Hold every statement on the message tables, in the words that all dialects share.

Used by `apply` and `database`. Affected-row counts are never read: Django makes MySQL count found
rows as changed ones.

Order: rows of every statement are sorted by primary key, because two writers that lock the same
rows in different orders deadlock.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

from django.db.backends.base.base import BaseDatabaseWrapper

from messaging.domain.batched import batched
from messaging.domain.events import Message, SendKey, Status
from messaging.ports.cached import Claim
from messaging.ports.store import Arrear, Tail
from messaging.store.dialect import Dialect, dialect_of
from messaging.store.rows import COLUMNS, NO_USERS, client_msg_id, from_row, size_bytes, to_row

ROWS_PER_STATEMENT = 500  # 8,000 values; SQLite takes 32,766
BYTES_PER_STATEMENT = 4 * 1024 * 1024  # max_allowed_packet is 16 MiB or more
MESSAGE = ", ".join(COLUMNS)
DELETES_BY_MESSAGE = "message_delete_message_id"  # the index
NAME = "from_user_id = %s AND client_msg_id = %s"
KEY = "from_user_id, client_msg_id, body_hash"

Item = TypeVar("Item")


class Tables:
    """Run the statements over one connection; the caller opens the transaction where one is due."""

    def __init__(self, connection: BaseDatabaseWrapper) -> None:
        self._connection = connection
        self._dialect: Dialect = dialect_of(connection.vendor)

    # messages

    def messages(self, ids: Iterable[int]) -> dict[int, Message]:
        """Return the rows of these ids, by id; an id without a row is left out."""
        found: dict[int, Message] = {}
        for part in chunks(sorted(ids)):
            numbers = ", ".join(map(str, part))
            query = f"SELECT {MESSAGE} FROM message WHERE id IN ({numbers})"
            found |= {row[0]: from_row(row) for row in self._read(query, [])}
        return found

    def find(self, ids: Iterable[int]) -> dict[int, Message]:
        """Return the rows of these ids, and under an alias the row of the message it leads to."""
        rows = self.messages(ids)
        aliases = self.aliases(set(ids).difference(rows))
        owners = rows | self.messages(set(aliases.values()).difference(rows))
        return rows | {i: owners[owner] for i, owner in aliases.items() if owner in owners}

    def page(self, conversation_id: str, *, before: int | None, limit: int) -> list[Message]:
        rows = self._read(*self._page(MESSAGE, conversation_id, before, limit))
        return [from_row(row) for row in rows]

    def nth_visible(
        self, conversation_id: str, *, reader_id: int, before: int, count: int
    ) -> int | None:
        """Return the id of the `count`-th row below `before` without the reader's deletes.

        The newest row counts first. Return None where there are fewer rows. The statement reads the
        index alone, and looks each id up among the reader's deletes.
        """
        hint = self._dialect.by_index("message", "message_conversation_id")
        query = (
            f"SELECT message.id FROM message{hint} LEFT JOIN message_delete AS hidden"
            " ON hidden.user_id = %s AND hidden.message_id = message.id"
            " WHERE message.conversation_id = %s AND message.id < %s"
            " AND hidden.message_id IS NULL ORDER BY message.id DESC LIMIT 1 OFFSET %s"
        )
        rows = self._read(query, [reader_id, conversation_id, before, count - 1])
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
        """Join the states into rows that exist (`events.join`).

        A status only rises, the earlier recall time wins, and `seq` stays. A recalled row loses its
        content, address and mentioned users.
        """
        given, greatest, least = self._dialect.given, self._dialect.GREATEST, self._dialect.LEAST
        status = f"{greatest}(status, {given('status')})"
        new_time = given("recall_time")
        unless_recalled = f"CASE WHEN {status} = {Status.RECALLED.value} THEN %s ELSE %s END"
        times = f"COALESCE(recall_time, {new_time}), COALESCE({new_time}, recall_time)"
        assignments = {
            "content": unless_recalled % ("''", "content"),
            "url": unless_recalled % ("NULL", "url"),
            "at_user_ids": unless_recalled % (f"'{NO_USERS}'", "at_user_ids"),
            "recall_time": f"{least}({times})",
            "status": status,
        }
        suffix = self._dialect.or_update("id", _assignments(assignments))
        for part in chunks(messages, size_of=size_bytes):
            self._insert("message", COLUMNS, [to_row(message) for message in part], suffix)

    # conversations

    def extend_conversations(self, growth: Mapping[str, tuple[int, int]]) -> dict[str, int]:
        """Count new rows into their conversations, and lock each conversation's row.

        `growth` has the number of new rows and their largest id by conversation. Return each
        `last_seq` after the addition. `last_message_id` never moves back. The lock lasts until the
        transaction ends.
        """
        given, greatest = self._dialect.given, self._dialect.GREATEST
        columns = ("id", "last_seq", "last_message_id")
        assignments = {
            "last_seq": f"conversation.last_seq + {given('last_seq')}",
            "last_message_id": f"{greatest}(last_message_id, {given('last_message_id')})",
        }
        suffix = self._dialect.or_update("id", _assignments(assignments))
        last_seqs: dict[str, int] = {}
        for part in chunks(sorted(growth)):
            rows = [(conversation_id, *growth[conversation_id]) for conversation_id in part]
            self._insert("conversation", columns, rows, suffix)
            query = f"SELECT id, last_seq FROM conversation WHERE id IN {listed(part)}"
            last_seqs.update(self._read(query, part))
        return last_seqs

    # keys

    def take_keys(self, claims: Mapping[SendKey, Claim]) -> dict[SendKey, Claim]:
        """Insert the keys, and return the claims as given.

        Raises: IntegrityError for a key that exists.
        """
        self._insert_keys(claims)
        return dict(claims)

    def reserve_keys(self, claims: Mapping[SendKey, Claim]) -> dict[SendKey, Claim]:
        """Insert the keys that are free, and return the claim that each key has now.

        Safe to repeat.
        """
        self._insert_keys(claims, self._dialect.or_keep(KEY))
        return self.claims(claims)

    def _insert_keys(self, claims: Mapping[SendKey, Claim], suffix: str = "") -> None:
        columns = ("from_user_id", "client_msg_id", "body_hash", "message_id")
        for part in chunks(sorted(claims)):
            rows = [(*key, claims[key].message_id) for key in part]
            self._insert("message_key", columns, rows, suffix)

    def claims(self, keys: Iterable[SendKey], *, as_written: bool = False) -> dict[SendKey, Claim]:
        """Return the claims under these keys; the body hash has to match as well.

        With `as_written` the statement waits for transactions that are writing one of the keys.
        """
        shared = self._dialect.SHARED if as_written else ""
        found: dict[SendKey, Claim] = {}
        for part in chunks(sorted(keys)):
            values = [value for key in part for value in key]
            found |= self._read_claims(f"{NAME} AND body_hash = %s", len(part), values, shared)
        return found

    def claims_of_names(self, keys: Iterable[SendKey]) -> dict[SendKey, Claim]:
        """Return each key's claim, or else the first claim of another body under its clientMsgId.

        A claim of another body counts only when its message is stored; the smallest id is first.
        """
        found: dict[SendKey, Claim] = {}
        for part in chunks(sorted(keys)):
            names = sorted({key[:2] for key in part})
            values = [value for name in names for value in name]
            known = self._read_claims(NAME, len(names), values)
            firsts: dict[tuple[int, str], Claim] = {}
            for key, claim in sorted(known.items(), key=lambda item: item[1].message_id):
                if claim.is_stored:
                    firsts.setdefault(key[:2], claim)
            claims = {key: known.get(key) or firsts.get(key[:2]) for key in part}
            found |= {key: claim for key, claim in claims.items() if claim is not None}
        return found

    def hand_keys(self, claims: Mapping[SendKey, Claim]) -> None:
        """Point each key to the message of its claim, in place of the message that it named."""
        self._insert_keys(
            claims,
            self._dialect.or_update(KEY, f"message_id = {self._dialect.given('message_id')}"),
        )

    def _read_claims(
        self, condition: str, count: int, values: Sequence[Any], suffix: str = ""
    ) -> dict[SendKey, Claim]:
        is_stored = "EXISTS (SELECT 1 FROM message m WHERE m.id = message_key.message_id)"
        rows = self._read(
            f"SELECT {KEY}, message_id, {is_stored} FROM message_key"
            f" WHERE {' OR '.join([f'({condition})'] * count)}{suffix}",
            values,
        )
        return {
            (user_id, client_msg_id(text), body_hash): Claim(message_id, body_hash, bool(stored))
            for user_id, text, body_hash, message_id, stored in rows
        }

    # aliases

    def aliases(self, ids: Iterable[int]) -> dict[int, int]:
        """Return the owner of each of these ids that is an alias."""
        found: dict[int, int] = {}
        for part in chunks(sorted(ids)):
            query = (
                f"SELECT message_id, owner_id FROM message_alias WHERE message_id IN {listed(part)}"
            )
            found.update(self._read(query, part))
        return found

    def insert_aliases(self, aliases: Mapping[int, int]) -> None:
        """Insert aliases with their owners; an alias that exists stays.

        Safe to repeat.
        """
        keep = self._dialect.or_keep("message_id")
        for part in chunks(sorted(aliases.items())):
            self._insert("message_alias", ("message_id", "owner_id"), part, keep)

    # deletes

    def insert_deletes(self, deletes: Sequence[tuple[int, int]]) -> None:
        """Insert deletes, each a pair of a user's id and a message's id.

        Safe to repeat.
        """
        keep = self._dialect.or_keep("user_id, message_id")
        for part in chunks(sorted(deletes)):
            self._insert("message_delete", ("user_id", "message_id"), part, keep)

    def owner(self, message: Message) -> int | None:
        """Return the id of the message that this one was folded into, or None.

        The statement waits for a transaction that is folding the message just now.
        """
        if (key := message.send_key) is None:
            return None
        claim = self.claims([key], as_written=True).get(key)
        return claim.message_id if claim and claim.message_id != message.id else None

    def deletes_of(self, message_ids: Iterable[int]) -> list[tuple[int, int]]:
        """Return all deletes of these messages, each a pair of a user's id and a message's id."""
        table = f"message_delete{self._dialect.by_index('message_delete', DELETES_BY_MESSAGE)}"
        found: list[tuple[int, int]] = []
        for part in chunks(sorted(message_ids)):
            query = f"SELECT user_id, message_id FROM {table} WHERE message_id IN {listed(part)}"
            found += [(row[0], row[1]) for row in self._read(query, part)]
        return found

    def deleted_among(self, user_id: int, message_ids: Iterable[int]) -> set[int]:
        found: set[int] = set()
        for part in chunks(sorted(message_ids)):
            query = (
                "SELECT message_id FROM message_delete"
                f" WHERE user_id = %s AND message_id IN {listed(part)}"
            )
            found.update(row[0] for row in self._read(query, [user_id, *part]))
        return found

    def newest_deletes(self, user_id: int, *, limit: int) -> list[int]:
        query = (
            "SELECT message_id FROM message_delete WHERE user_id = %s"
            " ORDER BY message_id DESC LIMIT %s"
        )
        return [row[0] for row in self._read(query, [user_id, limit])]

    # arrears

    def insert_arrears(self, arrears: Sequence[Arrear]) -> None:
        for part in chunks(arrears):
            rows = [(arrear.message_id, arrear.user_id) for arrear in part]
            self._insert("cache_arrear", ("message_id", "user_id"), rows)

    def arrears(self, *, limit: int) -> list[Arrear]:
        query = "SELECT message_id, user_id, id FROM cache_arrear ORDER BY id LIMIT %s"
        return [Arrear(*row) for row in self._read(query, [limit])]

    def delete_arrears(self, note_ids: Sequence[int]) -> None:
        for part in chunks(sorted(note_ids)):
            self._execute(f"DELETE FROM cache_arrear WHERE id IN {listed(part)}", part)

    # leases

    def take_lease(self, name: str, owner: str, ttl_ms: int) -> bool:
        """Take or prolong a lease for `ttl_ms`, and tell whether `owner` holds the lease now."""
        now_ms = self._dialect.NOW_MS
        self._execute(
            f"INSERT INTO lease (name, owner, expires_at) VALUES (%s, %s, {now_ms} + %s)"
            + self._dialect.or_keep("name"),
            [name, owner, ttl_ms],
        )
        self._execute(
            f"UPDATE lease SET owner = %s, expires_at = {now_ms} + %s"
            f" WHERE name = %s AND (owner = %s OR expires_at <= {now_ms})",
            [owner, ttl_ms, name, owner],
        )
        query = "SELECT 1 FROM lease WHERE name = %s AND owner = %s"
        return bool(self._read(query, [name, owner]))

    def take_worker(
        self, node: int, owner: str, ttl_ms: int, *, now_ms: int, until_ms: int
    ) -> int | None:
        """Lease a worker id for `ttl_ms`, and note that its ids bear times to `until_ms`.

        Return the last time that another owner may have used, 0 where none is known. Return None
        when another owner holds the lease, or may have used a time after `now_ms`. A row beside
        the lease holds the used times.
        """
        name = f"worker:{node}:used"
        query = "SELECT expires_at FROM lease WHERE name = %s AND owner <> %s"
        used_ms = max((row[0] for row in self._read(query, [name, owner])), default=0)
        if used_ms > now_ms or not self.take_lease(f"worker:{node}", owner, ttl_ms):
            return None
        given = self._dialect.given
        assignments = {"owner": given("owner"), "expires_at": given("expires_at")}
        suffix = self._dialect.or_update("name", _assignments(assignments))
        self._insert("lease", ("name", "owner", "expires_at"), [(name, owner, until_ms)], suffix)
        return int(used_ms)

    # the connection

    def ping(self) -> None:
        self._read("SELECT 1", [])

    def _insert(
        self, table: str, columns: Sequence[str], rows: Sequence[Sequence[Any]], suffix: str = ""
    ) -> None:
        head = f"INSERT INTO {table} ({', '.join(columns)}) VALUES "
        with self._connection.cursor() as cursor:
            cursor.execute(*self._dialect.insertion(self._connection, head, rows, suffix))

    def _execute(self, query: str, values: Sequence[Any]) -> None:
        with self._connection.cursor() as cursor:
            cursor.execute(query, values)

    def _read(self, query: str, values: Sequence[Any]) -> list[tuple[Any, ...]]:
        with self._connection.cursor() as cursor:
            cursor.execute(query, values)
            return list(cursor.fetchall())


def chunks(
    items: Sequence[Item], *, size_of: Callable[[Item], int] | None = None
) -> Iterator[Sequence[Item]]:
    """Yield the items in runs that fit one statement: by number and, with `size_of`, by bytes.

    A single item larger than the bound makes a run of its own.
    """
    if size_of is None:
        yield from batched(items, ROWS_PER_STATEMENT)
        return
    part: list[Item] = []
    taken_bytes = 0
    for item in items:
        size_bytes = size_of(item)
        full = len(part) == ROWS_PER_STATEMENT or taken_bytes + size_bytes > BYTES_PER_STATEMENT
        if part and full:
            yield part
            part, taken_bytes = [], 0
        part.append(item)
        taken_bytes += size_bytes
    if part:
        yield part


def listed(items: Sequence[object]) -> str:
    """Return one placeholder for each item, in parentheses."""
    return f"({', '.join(['%s'] * len(items))})"


def _assignments(assignments: Mapping[str, str]) -> str:
    return ", ".join(f"{column} = {value}" for column, value in assignments.items())
