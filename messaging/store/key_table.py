"""Read and write the keys that tell which message a sender's clientMsgId and body stand for."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from messaging.domain.message import Message, SendKey
from messaging.ports.cached import IdempotencyRecord
from messaging.store.rows import client_msg_id
from messaging.store.statements import Statements, chunks

NAME = "from_user_id = %s AND client_msg_id = %s"
KEY = "from_user_id, client_msg_id, body_hash"


class KeyTable(Statements):
    """Hold the statements on keys, the same in all dialects."""

    def take_keys(
        self, records: Mapping[SendKey, IdempotencyRecord]
    ) -> dict[SendKey, IdempotencyRecord]:
        """Insert the keys, and return the idempotency records as given.

        Raises: IntegrityError for a key that exists.
        """
        self._insert_keys(records)
        return dict(records)

    def reserve_keys(
        self, records: Mapping[SendKey, IdempotencyRecord]
    ) -> dict[SendKey, IdempotencyRecord]:
        """Insert the keys that are free, and return the record that each key has now.

        Safe to repeat.
        """
        self._insert_keys(records, self._dialect.or_keep(KEY))
        return self.idempotency_records(records)

    def _insert_keys(self, records: Mapping[SendKey, IdempotencyRecord], suffix: str = "") -> None:
        columns = ("from_user_id", "client_msg_id", "body_hash", "message_id")
        for part in chunks(sorted(records)):
            rows = [(*key, records[key].message_id) for key in part]
            self._insert("message_key", columns, rows, suffix)

    def idempotency_records(self, keys: Iterable[SendKey]) -> dict[SendKey, IdempotencyRecord]:
        """Return the idempotency records under these keys; the body hash has to match as well."""
        found: dict[SendKey, IdempotencyRecord] = {}
        for part in chunks(sorted(keys)):
            values = [value for key in part for value in key]
            found |= self._read_records(f"{NAME} AND body_hash = %s", len(part), values)
        return found

    def idempotency_records_of_names(
        self, sends: Iterable[SendKey]
    ) -> dict[SendKey, IdempotencyRecord]:
        """Return each key's record, or else the first record of another body under its clientMsgId.

        An idempotency record of another body counts only when its message is stored; the smallest
        id is first.
        """
        found: dict[SendKey, IdempotencyRecord] = {}
        for part in chunks(sorted(sends)):
            names = sorted({key[:2] for key in part})
            values = [value for name in names for value in name]
            known = self._read_records(NAME, len(names), values)
            firsts: dict[tuple[int, str], IdempotencyRecord] = {}
            for key, record in sorted(known.items(), key=lambda item: item[1].message_id):
                if record.is_stored:
                    firsts.setdefault(key[:2], record)
            records = {key: known.get(key) or firsts.get(key[:2]) for key in part}
            found |= {key: record for key, record in records.items() if record is not None}
        return found

    def reassign_keys(self, records: Mapping[SendKey, IdempotencyRecord]) -> None:
        """Point each key to the message of its record, in place of the message that it named."""
        self._insert_keys(
            records,
            self._dialect.or_update(KEY, f"message_id = {self._dialect.given('message_id')}"),
        )

    def reserve_or_owner(self, message: Message) -> int | None:
        """Reserve the message's key; return the id of another message that has the key, or None.

        The insertion waits for a transaction that is deduplicating the message just now.
        """
        if (key := message.send_key) is None:
            return None
        record = self.reserve_keys({key: IdempotencyRecord.of(message)})[key]
        return record.message_id if record.message_id != message.id else None

    def _read_records(
        self, condition: str, count: int, values: Sequence[Any], end: str = ""
    ) -> dict[SendKey, IdempotencyRecord]:
        is_stored = "EXISTS (SELECT 1 FROM message m WHERE m.id = message_key.message_id)"
        rows = self._read(
            f"SELECT {KEY}, message_id, {is_stored} FROM message_key"
            f" WHERE {' OR '.join([f'({condition})'] * count)}{end}",
            values,
        )
        return {
            (user_id, client_msg_id(text), body_hash): IdempotencyRecord(
                message_id, body_hash, bool(stored)
            )
            for user_id, text, body_hash, message_id, stored in rows
        }
