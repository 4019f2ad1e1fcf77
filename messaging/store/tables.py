"""Hold every statement on the message tables, in the words that all dialects share.

Used by `apply` and `database`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from messaging.domain.conversations import Floor
from messaging.ports.cache_service import LeaseRequest
from messaging.ports.store import CacheHint, Deletes
from messaging.store.key_table import KeyTable
from messaging.store.message_table import MessageTable
from messaging.store.statements import assigned, chunks, listed

Seat = tuple[int, str]  # the ids of a user and of a conversation

LOSS = "cache-loss:"  # the prefix of the leases' names
OF_LOSSES = "name > 'cache-loss:' AND name < 'cache-loss;'"  # by the order of bytes
DELETES_BY_MESSAGE = "message_delete_message_id"  # the index
FLOORS = (
    "SELECT conversation_id, floor_id, floor_seq FROM participant"
    " WHERE user_id = %s AND floor_id > 0"
)


class Tables(MessageTable, KeyTable):
    """Hold the statements on all message tables over one connection."""

    # deletes

    def insert_deletes(self, rows: Sequence[tuple[int, int, str, int]]) -> None:
        """Insert deletes: the ids of user and message, the conversation, and the `rev`.

        A delete that exists stays. Safe to repeat.
        """
        columns = ("user_id", "message_id", "conversation_id", "rev")
        keep = self._dialect.or_keep("user_id, message_id")
        for part in chunks(sorted(rows)):
            self._insert("message_delete", columns, part, keep)

    def known_deletes(self, deletes: Iterable[tuple[int, int]]) -> set[tuple[int, int]]:
        """Return those of the given pairs of a user's id and a message's id that have a row."""
        columns = ("user_id", "message_id")
        rows = self._read_pairs("SELECT user_id, message_id FROM message_delete", columns, deletes)
        return {(row[0], row[1]) for row in rows}

    def lock_participants(self, seats: Iterable[Seat]) -> dict[Seat, int]:
        """Lock the rows of these participants, and return the `rev` of each.

        The locks last until the transaction ends. By another index than the key, the rows would be
        locked in another order than marks lock them.
        """
        by_key = self._dialect.by_index("participant", "PRIMARY")
        query = f"SELECT user_id, conversation_id, rev FROM participant{by_key}"
        columns = ("user_id", "conversation_id")
        rows = self._read_pairs(query, columns, seats, self._dialect.FOR_UPDATE)
        return {(row[0], row[1]): row[2] for row in rows}

    def raise_participants(self, revs: Mapping[Seat, int]) -> None:
        """Set the `rev` of participants whose rows are locked."""
        set_rev = f"rev = {self._dialect.given('rev')}"
        suffix = self._dialect.or_update("user_id, conversation_id", set_rev)
        for part in chunks(sorted(revs.items())):
            rows = [(*seat, rev) for seat, rev in part]
            self._insert("participant", ("user_id", "conversation_id", "rev"), rows, suffix)

    def deletes_of(self, message_ids: Iterable[int]) -> list[tuple[int, int]]:
        """Return all deletes of these messages, each a pair of a user's id and a message's id."""
        table = f"message_delete{self._dialect.by_index('message_delete', DELETES_BY_MESSAGE)}"
        query = f"SELECT user_id, message_id FROM {table} WHERE message_id IN"
        return [(row[0], row[1]) for row in self._read_all(query, message_ids)]

    def deleted_among(self, user_id: int, message_ids: Iterable[int]) -> set[int]:
        query = "SELECT message_id FROM message_delete WHERE user_id = %s AND message_id IN"
        return {row[0] for row in self._read_all(query, message_ids, user_id)}

    def deletes_of_user(self, user_id: int, *, limit: int) -> Deletes:
        """Return a user's newest deletes and all floors, which one statement reads."""
        deletes = (
            "SELECT message_id FROM message_delete WHERE user_id = %s"
            " ORDER BY message_id DESC LIMIT %s"
        )
        query = f"SELECT NULL, message_id, 0 FROM ({deletes}) AS newest UNION ALL {FLOORS}"
        rows = self._read(query, [user_id, limit + 1, user_id])
        ids = sorted((row[1] for row in rows if row[0] is None), reverse=True)
        floors = {row[0]: Floor(row[1], row[2]) for row in rows if row[0] is not None}
        return Deletes(tuple(ids[:limit]), ids[limit] if len(ids) > limit else 0, floors)

    def floors_of(self, user_id: int, conversation_id: str | None = None) -> dict[str, Floor]:
        if conversation_id is None:
            rows = self._read(FLOORS, [user_id])
        else:
            rows = self._read(f"{FLOORS} AND conversation_id = %s", [user_id, conversation_id])
        return {row[0]: Floor(row[1], row[2]) for row in rows}

    # hints

    def insert_hints(self, hints: Sequence[CacheHint]) -> None:
        for part in chunks(hints):
            rows = [(hint.message_id, hint.user_id) for hint in part]
            self._insert("cache_arrear", ("message_id", "user_id"), rows)

    def insert_hint(self, hint: CacheHint) -> CacheHint:
        """Insert a hint, and return the hint with its `hint_id`."""
        row = (hint.message_id, hint.user_id)
        hint_id = self._insert_one("cache_arrear", ("message_id", "user_id"), row)
        return replace(hint, hint_id=hint_id)

    def hints(self, *, limit: int) -> list[CacheHint]:
        query = "SELECT message_id, user_id, id FROM cache_arrear ORDER BY id LIMIT %s"
        return [CacheHint(*row) for row in self._read(query, [limit])]

    def delete_hints(self, hint_ids: Sequence[int]) -> None:
        for part in chunks(sorted(hint_ids)):
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

    def take_worker(self, request: LeaseRequest) -> int | None:
        """Lease a worker id as `MessageCache.take_worker` does.

        A row beside the lease holds the last time that the owner's ids may bear.
        """
        name, owner = f"worker:{request.node}:used", request.owner
        query = "SELECT expires_at FROM lease WHERE name = %s AND owner <> %s"
        used_ms = max((row[0] for row in self._read(query, [name, owner])), default=0)
        if used_ms > request.now_ms:
            return None
        if not self.take_lease(f"worker:{request.node}", owner, round(request.ttl_s * 1000)):
            return None
        given = self._dialect.given
        assignments = {"owner": given("owner"), "expires_at": given("expires_at")}
        suffix = self._dialect.or_update("name", assigned(assignments))
        row = (name, owner, request.until_ms)
        self._insert("lease", ("name", "owner", "expires_at"), [row], suffix)
        return int(used_ms)

    # the announcements of processes that have lost the cache: leases of a name of each process

    def announce_loss(self, process: str, ttl_s: float) -> None:
        """Announce the loss of a process for `ttl_s`; forget the announcements that ran out."""
        now_ms = self._dialect.NOW_MS
        self._execute(f"DELETE FROM lease WHERE {OF_LOSSES} AND expires_at <= {now_ms}", [])
        self.take_lease(f"{LOSS}{process}", process, round(ttl_s * 1000))

    def withdraw_loss(self, process: str) -> None:
        self._execute("DELETE FROM lease WHERE name = %s", [f"{LOSS}{process}"])

    def is_loss_announced(self, *, besides: str) -> bool:
        query = (
            f"SELECT 1 FROM lease WHERE {OF_LOSSES} AND owner <> %s"
            f" AND expires_at > {self._dialect.NOW_MS} LIMIT 1"
        )
        return bool(self._read(query, [besides]))

    # the connection

    def ping(self) -> None:
        self._read("SELECT 1", [])
