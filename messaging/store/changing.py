"""Change a group in one transaction: lock it, read the facts, decide, write.

Called by `groups` alone. All changes of a group run one after the other, under the lock of its row.
Rows that something else has written past the lock may refuse an insertion; then the change is done
anew, with new facts.

Order: the lock of the group, then those of `apply`.
"""

from __future__ import annotations

from django.db import IntegrityError, transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from msgspec.structs import replace

from messaging.domain.errors import GroupNotFound
from messaging.domain.groups import Group
from messaging.domain.ids import group_conversation
from messaging.domain.message import Message
from messaging.domain.notices import notice_message
from messaging.ports.groups import ChangedGroup, GroupChange, GroupFacts, GroupOrder
from messaging.ports.store import CacheHint
from messaging.store.apply import write_rows
from messaging.store.group_tables import GroupTables


def create_group(
    connection: BaseDatabaseWrapper, group: Group, order: GroupOrder, request_id: str
) -> ChangedGroup:
    """Create a group as `GroupStore.create_group` promises."""
    try:
        return _create(connection, group, order, request_id)
    except IntegrityError:  # likely a concurrent repeat, whose group is read now
        return _create(connection, group, order, request_id)


def change_group(connection: BaseDatabaseWrapper, group_id: int, order: GroupOrder) -> ChangedGroup:
    """Change a group as `GroupStore.change_group` promises."""
    try:
        return _lock_and_change(connection, group_id, order)
    except IntegrityError:
        return _lock_and_change(connection, group_id, order)


def _create(
    connection: BaseDatabaseWrapper, group: Group, order: GroupOrder, request_id: str
) -> ChangedGroup:
    tables = GroupTables(connection)
    with transaction.atomic(using=connection.alias):
        known = tables.group_of_request(order.actor_id, request_id)
        if known is not None:
            facts = tables.facts(known, order.actor_id, order.involved)
            return ChangedGroup(group=known, change=GroupChange(), members=facts.members)
        new = replace(group, member_count=0, create_time=order.now_ms)
        return _change(tables, tables.insert_group(new, order.actor_id, request_id), order)


def _lock_and_change(
    connection: BaseDatabaseWrapper, group_id: int, order: GroupOrder
) -> ChangedGroup:
    tables = GroupTables(connection)
    with transaction.atomic(using=connection.alias):
        group = tables.lock_group(group_id)
        if group is None:
            raise GroupNotFound
        return _change(tables, group, order)


def _change(tables: GroupTables, group: Group, order: GroupOrder) -> ChangedGroup:
    """Decide about the change, and write it, under the group's lock."""
    facts = tables.facts(group, order.actor_id, order.involved)
    change = order.decide(facts)
    grown_by = _write_members(tables, facts, change, order)
    after = replace(
        change.group or group,
        id=group.id,
        member_count=group.member_count + grown_by,
        create_time=group.create_time,
    )
    tables.update_group(group, after)
    notices, floor_id = _write_conversation(tables, facts, change, order)
    return ChangedGroup(
        group=after,
        change=change,
        members=change.members_after(facts, order.now_ms),
        notices=notices,
        hints=tuple(tables.insert_hint(CacheHint(notice.id)) for notice in notices),
        floor_id=floor_id,
    )


def _write_members(
    tables: GroupTables, facts: GroupFacts, change: GroupChange, order: GroupOrder
) -> int:
    """Write the members, requests and bans; return by how many members the group has grown.

    A member whose row is gone already does not count.
    """
    group_id = facts.group.id
    gone = tables.delete_members(group_id, change.leaves)
    joined = change.joined(facts, order.now_ms)
    tables.insert_members(group_id, joined)
    tables.update_members(group_id, change.members)
    tables.insert_requests(group_id, change.asks, order.now_ms)
    tables.delete_requests(group_id, change.answered)
    tables.insert_bans(group_id, change.bans, order.actor_id, order.now_ms)
    tables.delete_bans(group_id, change.unbans)
    return len(joined) - gone


def _write_conversation(
    tables: GroupTables, facts: GroupFacts, change: GroupChange, order: GroupOrder
) -> tuple[tuple[Message, ...], int]:
    """Store the notices, and let the participants be in or out.

    Return the rows of the notices, and the id of the floor of those who join.
    """
    name = group_conversation(facts.group.id)
    is_needed = change.joins or change.notices
    last_seq, last_id = tables.lock_conversation(name) if is_needed else (0, 0)
    floor = (max(order.floor_id, last_id), last_seq) if change.hides_history else (0, 0)
    rows = write_rows(
        tables,
        [
            notice_message(
                order.next_id(max(floor[0], last_id)),
                group_id=facts.group.id,
                actor_id=order.actor_id,
                notice=notice,
            )
            for notice in change.notices
        ],
    )
    tables.join_participants(name, change.joins, floor=floor, read_seq=last_seq)
    mutes = {user_id: facts.mute_of(user_id) for user_id in change.leaves}
    tables.part_participants(name, change.leaves, mutes)
    return tuple(rows.values()), floor[0]
