"""Join a batch of message states into the tables, in one transaction. Called by `database` alone.

What is read is not locked: the primary keys of messages and of keys tell when somebody else was
quicker, and the batch is done anew. The order of locks is the same in every process: keys, then
conversations, then messages, each sorted.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence, Set

from django.db import IntegrityError, transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from msgspec.structs import replace

from messaging.domain.errors import BadData
from messaging.domain.events import Message, SendKey, is_same, join
from messaging.ports.cached import Claim
from messaging.ports.store import ApplyResult, Arrear
from messaging.store.tables import Tables

WriteKeys = Callable[[Tables, Mapping[SendKey, Claim]], Mapping[SendKey, Claim]]


def apply_batch(
    connection: BaseDatabaseWrapper, messages: Sequence[Message], *, owed: bool = False
) -> ApplyResult:
    """What `MessageStore.apply` promises, with the driver's errors left as they are."""
    given = {message.id: _incoming(message) for message in sorted(messages, key=lambda m: m.id)}
    if len(given) != len(messages):
        raise ValueError("one state a message id expected")
    try:
        return _apply(connection, given, Tables.take_keys, owed=owed)
    except IntegrityError:
        # A repeated send, most likely: only now ask whose each key is. In a transaction of its own,
        # since the failed insertion holds locks on what it met that two of them would die of.
        return _apply(connection, given, Tables.reserve_keys, owed=owed)


def reserve(tables: Tables, messages: Sequence[Message]) -> dict[int, Claim]:
    """What `MessageStore.reserve` promises: statements of their own, each harmless alone."""
    keys = {m.id: key for m in messages if (key := m.send_key) is not None}
    found = tables.claims_of_names(keys.values())
    free: dict[SendKey, Claim] = {}
    for message in messages:
        if (key := message.send_key) is not None and key not in found:
            free.setdefault(key, Claim(message.id, message.body_hash))
    found |= tables.reserve_keys(free)
    return {i: found[key] for i, key in keys.items() if found[key].message_id != i}


def _apply(
    connection: BaseDatabaseWrapper,
    given: Mapping[int, Message],
    write_keys: WriteKeys,
    *,
    owed: bool,
) -> ApplyResult:
    tables = Tables(connection)
    with transaction.atomic(using=connection.alias):
        stored = tables.messages(given)
        ours = {i: m for i, m in given.items() if i not in stored or is_same(m, stored[i])}
        new = [m for i, m in ours.items() if i not in stored]
        owners = _write_keys(tables, new, write_keys)
        stored |= tables.messages(set(owners.values()).difference(stored, ours))
        owners = _take_over(tables, given, owners, known=stored.keys() | ours.keys())
        states = _join_all(ours, stored, owners)
        fresh = _number(tables, [m for i, m in states.items() if i not in stored])
        rows = {i: fresh.get(i) or states[i] for i in sorted(states)}
        tables.insert_messages(list(fresh.values()))
        deletes = _hand_over_deletes(tables, owners)
        tables.insert_aliases(owners)
        tables.raise_messages([m for i, m in rows.items() if i in stored and m != stored[i]])
        if owed:
            tables.insert_arrears([Arrear(i) for i in {*rows, *owners.values()}])
    return ApplyResult(
        rows=tuple(rows.values()),
        folded={i: rows.get(owner) or stored[owner] for i, owner in owners.items()},
        deletes=tuple(deletes),
        conflicts=tuple(m for i, m in given.items() if i not in ours),
    )


def _incoming(message: Message) -> Message:
    """The state without what only the store gives, and without what a tombstone must not hold."""
    if message.is_recalled:
        return replace(message, seq=None, content="", url=None, at_user_ids=())
    return message if message.seq is None else replace(message, seq=None)


def _write_keys(tables: Tables, new: Iterable[Message], write_keys: WriteKeys) -> dict[int, int]:
    """Write the keys of new messages, in order of id; returns the owners of those that fold."""
    keys: dict[int, SendKey] = {}
    claims: dict[SendKey, Claim] = {}
    for message in new:
        if (key := message.send_key) is not None:
            keys[message.id] = key
            claims.setdefault(key, Claim(message.id, message.body_hash))
    known = write_keys(tables, claims)
    return {i: known[key].message_id for i, key in keys.items() if known[key].message_id != i}


def _take_over(
    tables: Tables, given: Mapping[int, Message], owners: Mapping[int, int], *, known: Set[int]
) -> dict[int, int]:
    """The owners, with the first repeat in place of one that has a key and is not here.

    A process has reserved the key, and died or failed before anything took the message; or it is
    under way, and will be folded into that repeat. The key's row is locked, so only one is first.
    """
    heirs: dict[int, int] = {}
    for message_id, owner in sorted(owners.items()):
        if owner not in known:
            heirs.setdefault(owner, message_id)
    if heirs:
        tables.hand_keys({_key_of(given[i]): Claim(i, given[i].body_hash) for i in heirs.values()})
    changed = {i: heirs.get(owner, owner) for i, owner in owners.items()}
    return {i: owner for i, owner in changed.items() if i != owner}


def _key_of(message: Message) -> SendKey:
    key = message.send_key
    assert key is not None
    return key


def _hand_over_deletes(tables: Tables, owners: Mapping[int, int]) -> list[tuple[int, int]]:
    """Who has deleted a message that is folded has deleted what it is folded into."""
    if not owners:
        return []
    deletes = [(user_id, owners[each]) for user_id, each in tables.deletes_of(owners)]
    tables.insert_deletes(deletes)
    return deletes


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
        if repeat.recall_time is not None:
            states[owner] = join(first, first.recalled(repeat.recall_time))
    return states


def _number(tables: Tables, fresh: Sequence[Message]) -> dict[int, Message]:
    """Rows for new messages, in order of id, with the next `seq` numbers of their conversations."""
    growth: dict[str, tuple[int, int]] = {}
    for message in fresh:
        count, _ = growth.get(message.conversation_id, (0, 0))
        growth[message.conversation_id] = (count + 1, message.id)
    last_seqs = tables.extend_conversations(growth)
    if last_seqs.keys() != growth.keys():
        raise BadData("a conversation id that equals another one but for trailing spaces")
    seqs = {name: last_seqs[name] - count for name, (count, _) in growth.items()}
    rows: dict[int, Message] = {}
    for message in fresh:
        seqs[message.conversation_id] = seq = seqs[message.conversation_id] + 1
        rows[message.id] = replace(message, seq=seq)
    return rows
