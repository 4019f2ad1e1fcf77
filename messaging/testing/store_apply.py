"""Apply messages to the store in memory, and reserve the keys of sends."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from messaging.domain.backend_errors import BadData
from messaging.domain.conversations import Participant
from messaging.domain.message import ChatType, Message, SendKey, is_same, join
from messaging.ports.cached import IdempotencyRecord
from messaging.ports.store import ApplyResult, CacheHint
from messaging.testing.store_tables import MemoryTables


class MemoryApplying(MemoryTables):
    """Implement the writing of messages in `MemoryStore`."""

    __slots__ = ()

    async def apply(self, messages: Sequence[Message], *, hinted: bool = False) -> ApplyResult:
        await self._answer()
        if any(self.refuses(message) for message in messages):
            raise BadData
        rows: dict[int, Message] = {}
        states = {m.id: m.without_seq() for m in sorted(messages, key=lambda m: m.id)}
        owners, heirs = self._owners(states)
        conflicts: list[Message] = []
        fresh = states.keys() - owners.keys() - self.rows.keys()
        for message_id, state in states.items():
            stored = self.rows.get(message_id)
            if message_id in owners:
                continue
            if stored is None:
                rows[message_id] = self._insert_new(state)
            elif not is_same(stored, state):
                conflicts.append(next(m for m in messages if m.id == message_id))
            else:
                rows[message_id] = self._raise(stored, state)
        for message_id, owner in owners.items():
            self._recall_first(states[message_id], owner, rows)
        inherited = self._copy_deletes(heirs, states)
        self.record([CacheHint(message_id, user) for user, message_id in inherited])
        self.aliases |= owners
        if hinted:
            self.record([CacheHint(i) for i in {*rows, *owners.values()}])
        return ApplyResult(
            rows=tuple(rows[message_id] for message_id in sorted(rows)),
            duplicates={message_id: self.rows[owner] for message_id, owner in owners.items()},
            deletes=(*inherited, *self._copy_deletes(owners, states)),
            conflicts=tuple(conflicts),
            fresh=frozenset(fresh),
        )

    async def find_idempotency_records(
        self, sends: Sequence[SendKey]
    ) -> dict[SendKey, IdempotencyRecord]:
        await self._answer()
        found = {}
        for send in sends:
            records = [
                self._idempotency_record(key)
                for key in self.idempotency_records
                if key[:2] == send[:2]
            ]
            stored = sorted(record.message_id for record in records if record.is_stored)
            if send in self.idempotency_records:
                found[send] = self._idempotency_record(send)
            elif stored:
                found[send] = next(r for r in records if r.message_id == stored[0])
        return found

    async def reserve(self, messages: Sequence[Message]) -> dict[int, IdempotencyRecord]:
        keys = {m.id: key for m in messages if (key := m.send_key) is not None}
        found = await self.find_idempotency_records(list(keys.values()))
        for message_id, key in keys.items():
            if key not in found:
                self.idempotency_records.setdefault(key, IdempotencyRecord(message_id, key[2]))
        found |= {key: self._idempotency_record(key) for key in keys.values() if key not in found}
        return {i: found[key] for i, key in keys.items() if found[key].message_id != i}

    def _owners(self, states: Mapping[int, Message]) -> tuple[dict[int, int], dict[int, int]]:
        """Return the ids of duplicates, each with the id of the message that is kept.

        A key is taken over when its message is neither stored nor among these. Return also such
        messages, each with its heir.
        """
        owners: dict[int, int] = {}
        heirs: dict[int, int] = {}
        for message_id, state in states.items():
            if message_id in self.rows or (key := state.send_key) is None:
                continue
            own = IdempotencyRecord(message_id, state.body_hash)
            owner = self.idempotency_records.setdefault(key, own).message_id
            if owner not in self.rows and owner not in states:
                heirs[owner] = message_id
                owner = message_id
                self.idempotency_records[key] = own
            if owner != message_id:
                owners[message_id] = owner
        return owners, heirs

    def _insert_new(self, message: Message) -> Message:
        """Insert a message, and the participants of a private conversation that it begins."""
        row = self.insert(message)
        if row.seq == 1 and row.chat_type is ChatType.PRIVATE:
            for user_id in (row.from_user_id, row.to_id):
                seat = (user_id, row.conversation_id)
                self.participants.setdefault(
                    seat, Participant(user_id=user_id, conversation_id=row.conversation_id)
                )
        return row

    def _recall_first(self, repeat: Message, owner: int, rows: dict[int, Message]) -> None:
        first = self.rows[owner]
        if repeat.recall is not None:
            rows[owner] = self._raise(first, first.under(repeat.recall))

    def _raise(self, stored: Message, state: Message) -> Message:
        """Join a state into its row, and return the row; a row that changes gets a `rev`."""
        joined = join(stored, state)
        return stored if joined == stored else self.change(joined)

    def _copy_deletes(
        self, owners: Mapping[int, int], states: Mapping[int, Message]
    ) -> list[tuple[int, int]]:
        copied = sorted((user, i) for user, i in self.deletes if i in owners)
        for user, i in copied:
            given = states[i] if i in states else states[owners[i]]
            self.delete(user, owners[i], given.conversation_id)
        return [(user, owners[i]) for user, i in copied]
