"""Join a batch of message states into the tables, in one transaction.

Called by `database` alone. Reads take no locks. When another process has inserted the same message
or key meanwhile, the primary key refuses the insertion, and the batch is done anew.

Order: every process locks groups, then keys, conversations, messages, participants, deletes and
hints, each sorted.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence, Set

from django.db import IntegrityError, transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from msgspec.structs import replace

from messaging.domain.backend_errors import BadData
from messaging.domain.conversations import Head
from messaging.domain.message import ChatType, Message, SendKey, is_same, join
from messaging.ports.cached import IdempotencyRecord
from messaging.ports.store import ApplyResult, CacheHint
from messaging.store.deleting import insert_deletes
from messaging.store.tables import Tables

WriteKeys = Callable[
    [Tables, Mapping[SendKey, IdempotencyRecord]], Mapping[SendKey, IdempotencyRecord]
]


def apply_batch(
    connection: BaseDatabaseWrapper, messages: Sequence[Message], *, hinted: bool = False
) -> ApplyResult:
    """Join the states into their rows, as `MessageStore.apply` promises.

    Safe to repeat.
    Raises: ValueError for two states of one message id; the driver's errors, not translated.
    Leaves: nothing stored; or everything, when the answer to the commit was lost.
    """
    given = {m.id: m.without_seq() for m in sorted(messages, key=lambda m: m.id)}
    if len(given) != len(messages):
        raise ValueError("one state a message id expected")
    try:
        return _apply(connection, given, Tables.take_keys, hinted=hinted)
    except IntegrityError:
        # A repeated send is the likely cause: only now read which message has each key. The second
        # try is a transaction of its own, since the failed insertion keeps locks on the rows that
        # the insertion met, and two such transactions would deadlock.
        return _apply(connection, given, Tables.reserve_keys, hinted=hinted)


def reserve(tables: Tables, messages: Sequence[Message]) -> dict[int, IdempotencyRecord]:
    """Reserve the free keys of new messages, as `MessageStore.reserve` promises.

    Return the idempotency records of other messages on these keys, by the ids of the given
    messages. No transaction is needed: each statement is harmless alone.

    Safe to repeat.
    """
    keys = {m.id: key for m in messages if (key := m.send_key) is not None}
    found = tables.idempotency_records_of_names(keys.values())
    free: dict[SendKey, IdempotencyRecord] = {}
    for message in messages:
        if (key := message.send_key) is not None and key not in found:
            free.setdefault(key, IdempotencyRecord.of(message))
    found |= tables.reserve_keys(free)
    return {i: found[key] for i, key in keys.items() if found[key].message_id != i}


def _apply(
    connection: BaseDatabaseWrapper,
    given: Mapping[int, Message],
    write_keys: WriteKeys,
    *,
    hinted: bool,
) -> ApplyResult:
    tables = Tables(connection)
    with transaction.atomic(using=connection.alias):
        stored = tables.messages(given)
        ours = {i: m for i, m in given.items() if i not in stored or is_same(m, stored[i])}
        new = [m for i, m in ours.items() if i not in stored]
        owners = _write_keys(tables, new, write_keys)
        stored |= tables.messages(set(owners.values()).difference(stored, ours))
        owners, heirs = _take_over(tables, given, owners, known=stored.keys() | ours.keys())
        states = _join_all(ours, stored, owners)
        fresh = [m for i, m in states.items() if i not in stored]
        changed = [m for i, m in states.items() if i in stored and m != stored[i]]
        written = write_rows(tables, fresh, changed)
        rows = {i: written.get(i) or states[i] for i in sorted(states)}
        tables.insert_aliases(owners)
        tables.insert_participants(_first_participants(written[m.id] for m in fresh))
        deletes = _hand_over_deletes(tables, given, heirs, owners)
        if hinted:
            tables.insert_hints([CacheHint(i) for i in {*rows, *owners.values()}])
    return ApplyResult(
        rows=tuple(rows.values()),
        duplicates={i: rows.get(owner) or stored[owner] for i, owner in owners.items()},
        deletes=tuple(deletes),
        conflicts=tuple(m for i, m in given.items() if i not in ours),
        fresh=frozenset(m.id for m in fresh),
    )


def _write_keys(tables: Tables, new: Iterable[Message], write_keys: WriteKeys) -> dict[int, int]:
    """Write the keys of new messages, in order of id.

    Return the owner of each message whose key names another message: the two are one send.
    """
    keys: dict[int, SendKey] = {}
    records: dict[SendKey, IdempotencyRecord] = {}
    for message in new:
        if (key := message.send_key) is not None:
            keys[message.id] = key
            records.setdefault(key, IdempotencyRecord.of(message))
    known = write_keys(tables, records)
    return {i: known[key].message_id for i, key in keys.items() if known[key].message_id != i}


def _take_over(
    tables: Tables, given: Mapping[int, Message], owners: Mapping[int, int], *, known: Set[int]
) -> tuple[dict[int, int], dict[int, int]]:
    """Return the owners, with the first repeat in place of an owner that has a key and no row.

    Return also the heirs: each such owner with its first repeat, which gets the owner's deletes.
    The process that reserved the key died or failed before anything took the message; or the
    owner's event is under way, and the owner will be deduplicated into that repeat. The key's row
    is locked, so that only one repeat is the first. A second call finds no heir: so the inherited
    deletes need hints, or a caller that dies now would leave them unknown to the cache.
    """
    heirs: dict[int, int] = {}
    for message_id, owner in sorted(owners.items()):
        if owner not in known:
            heirs.setdefault(owner, message_id)
    if heirs:
        tables.reassign_keys(
            {_key_of(given[i]): IdempotencyRecord.of(given[i]) for i in heirs.values()}
        )
    changed = {i: heirs.get(owner, owner) for i, owner in owners.items()}
    return {i: owner for i, owner in changed.items() if i != owner}, heirs


def _key_of(message: Message) -> SendKey:
    key = message.send_key
    assert key is not None
    return key


def _hand_over_deletes(
    tables: Tables,
    given: Mapping[int, Message],
    heirs: Mapping[int, int],
    owners: Mapping[int, int],
) -> list[tuple[int, int]]:
    """Copy deletes to heirs and to the messages that were kept; return the copies.

    The copies of the heirs get hints, as `_take_over` explains.
    """
    kept = {**heirs, **owners}
    known = sorted(tables.deletes_of(kept))
    names = {kept[each]: (given.get(each) or given[kept[each]]).conversation_id for each in kept}
    insert_deletes(tables, {(user, kept[each]): names[kept[each]] for user, each in known})
    tables.insert_hints([CacheHint(heirs[each], user) for user, each in known if each in heirs])
    return [(user_id, kept[each]) for user_id, each in known]


def _join_all(
    given: Mapping[int, Message], stored: Mapping[int, Message], owners: Mapping[int, int]
) -> dict[int, Message]:
    """Return the state that each row is to have.

    A recall of a repeated send recalls the message that the repeat is deduplicated into.
    """
    states: dict[int, Message] = {}
    for message in given.values():
        if message.id not in owners:
            row = stored.get(message.id)
            states[message.id] = message if row is None else join(row, message)
    for message_id, owner in owners.items():
        repeat, first = given[message_id], states.get(owner) or stored[owner]
        if repeat.recall_time is not None:
            states[owner] = join(first, first.recalled(repeat.recall_time, repeat.recalled_by))
    return states


def write_rows(
    tables: Tables, fresh: Sequence[Message], changed: Sequence[Message] = ()
) -> dict[int, Message]:
    """Insert new messages with the next `seq`, and raise stored ones with the next `rev`.

    Return the rows by id. The conversations are locked until the transaction ends.

    Raises: BadData, as `_number` does; IntegrityError for an id that has a row by now.
    Order: the messages come in order of id, and so do the numbers.
    """
    rows = _number(tables, fresh, changed)
    tables.insert_messages([rows[m.id] for m in fresh])
    raised = [rows[m.id] for m in changed]
    tables.raise_messages(raised)
    tables.put_changes(raised)
    return rows


def _first_participants(rows: Iterable[Message]) -> list[tuple[int, str]]:
    """Return the participants of the private conversations that begin with one of these rows."""
    return [
        (user_id, row.conversation_id)
        for row in rows
        if row.seq == 1 and row.chat_type is ChatType.PRIVATE
        for user_id in {row.from_user_id, row.to_id}
    ]


def _number(
    tables: Tables, fresh: Sequence[Message], changed: Sequence[Message]
) -> dict[int, Message]:
    """Return new messages with the next `seq`, and changed ones with the next `rev`, by id.

    One statement counts both into the conversations.

    Raises: BadData for a conversation id that equals another one but for trailing spaces.
    Order: the messages come in order of id, and so do the numbers.
    """
    growth: dict[str, Head] = {}
    for message in fresh:
        head = growth.get(message.conversation_id, Head())
        growth[message.conversation_id] = replace(
            head, last_seq=head.last_seq + 1, last_id=message.id
        )
    for message in changed:
        head = growth.get(message.conversation_id, Head())
        growth[message.conversation_id] = replace(head, last_rev=head.last_rev + 1)
    last = tables.extend_conversations(growth)
    if last.keys() != growth.keys():
        raise BadData("the conversation id differs from a stored one only in trailing spaces")
    seqs = {name: last[name][0] - each.last_seq for name, each in growth.items()}
    revs = {name: last[name][1] - each.last_rev for name, each in growth.items()}
    rows: dict[int, Message] = {}
    for message in fresh:
        seqs[message.conversation_id] = seq = seqs[message.conversation_id] + 1
        rows[message.id] = replace(message, seq=seq)
    for message in changed:
        revs[message.conversation_id] = rev = revs[message.conversation_id] + 1
        rows[message.id] = replace(message, rev=rev)
    return rows
