"""Join a batch of message states into the tables, in one transaction. Called by `database` alone.

The order of locks is the same in every process: conversations, then keys, then messages, each
sorted. Under a conversation's lock nobody else writes its messages, so what is read stays true
until the commit.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from django.db import transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from msgspec.structs import replace

from messaging.errors import BadData
from messaging.events import Message, is_same, join
from messaging.ports import ApplyResult, Claim
from messaging.store.tables import Tables


def apply_batch(connection: BaseDatabaseWrapper, messages: Sequence[Message]) -> ApplyResult:
    """What `MessageStore.apply` promises, with the driver's errors left as they are."""
    given = {message.id: _incoming(message) for message in sorted(messages, key=lambda m: m.id)}
    if len(given) != len(messages):
        raise ValueError("one state a message id expected")
    tables = Tables(connection)
    with transaction.atomic(using=connection.alias):
        last_seqs = _lock(tables, {message.conversation_id for message in given.values()})
        stored = tables.messages(given)
        conflicts = [m for m in given.values() if m.id in stored and not is_same(m, stored[m.id])]
        for message in conflicts:
            del given[message.id]
        owners = _reserve_keys(tables, [m for m in given.values() if m.id not in stored])
        stored |= _rows_of_owners(tables, owners, known=stored.keys() | given.keys())
        states = _join_all(given, stored, owners)
        rows = _number(states, stored, last_seqs)
        tables.insert_messages([row for row in rows.values() if row.id not in stored])
        tables.raise_messages([r for r in rows.values() if r.id in stored and r != stored[r.id]])
        tables.advance_conversations(_ends([r for r in rows.values() if r.id not in stored]))
    return ApplyResult(
        rows=tuple(rows.values()),
        folded={i: rows.get(owner) or stored[owner] for i, owner in owners.items()},
        conflicts=tuple(conflicts),
    )


def _incoming(message: Message) -> Message:
    """The state without what only the store gives, and without what a tombstone must not hold."""
    if message.is_recalled:
        return replace(message, seq=None, content="", url=None, at_user_ids=())
    return message if message.seq is None else replace(message, seq=None)


def _lock(tables: Tables, conversation_ids: set[str]) -> dict[str, int]:
    last_seqs = tables.lock_conversations(conversation_ids)
    if last_seqs.keys() != conversation_ids:
        raise BadData("a conversation id that equals another one but for trailing spaces")
    return last_seqs


def _reserve_keys(tables: Tables, new: Iterable[Message]) -> dict[int, int]:
    """Reserve the keys of new messages, in order of id; returns the owners of those that fold."""
    keys: dict[int, tuple[int, str]] = {}
    claims: dict[tuple[int, str], Claim] = {}
    for message in new:
        if message.client_msg_id is not None:
            keys[message.id] = key = (message.from_user_id, message.client_msg_id)
            claims.setdefault(key, Claim(message.id, message.body_hash))
    known = tables.reserve_keys(claims)
    return {i: known[key].message_id for i, key in keys.items() if known[key].message_id != i}


def _rows_of_owners(
    tables: Tables, owners: Mapping[int, int], *, known: Iterable[int]
) -> dict[int, Message]:
    wanted = set(owners.values()).difference(known)
    rows = tables.messages(wanted)
    if missing := wanted - rows.keys():
        raise BadData(f"a key belongs to message {min(missing)}, which is not stored")
    return rows


def _join_all(
    given: Mapping[int, Message], stored: Mapping[int, Message], owners: Mapping[int, int]
) -> dict[int, Message]:
    """The states to end in. Recalling a repeat of an earlier send recalls what was stored of it."""
    states: dict[int, Message] = {}
    for message in given.values():
        if message.id not in owners:
            row = stored.get(message.id)
            states[message.id] = message if row is None else join(row, message)
    for message_id, owner in owners.items():
        repeat, first = given[message_id], states.get(owner) or stored[owner]
        if repeat.recall_time is not None and repeat.body_hash == first.body_hash:
            states[owner] = join(first, first.recalled(repeat.recall_time))
    return states


def _number(
    states: Mapping[int, Message], stored: Mapping[int, Message], last_seqs: dict[str, int]
) -> dict[int, Message]:
    """The rows in order of id, the new ones with the next `seq` of their conversation."""
    rows: dict[int, Message] = {}
    for message_id in sorted(states):
        row = states[message_id]
        if message_id not in stored:
            last_seqs[row.conversation_id] += 1
            row = replace(row, seq=last_seqs[row.conversation_id])
        rows[message_id] = row
    return rows


def _ends(inserted: Sequence[Message]) -> dict[str, tuple[int, int]]:
    """Each conversation's last `seq` and largest id among new rows, which are in order of id."""
    return {row.conversation_id: (row.seq or 0, row.id) for row in inserted}
