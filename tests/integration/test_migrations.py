"""Test migrations with SQL of their own, on the database of the settings in force, with rows."""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.contrib.auth.models import Group, Permission, User
from django.db import IntegrityError, connection
from django.db.migrations.executor import MigrationExecutor
from msgspec import structs

from messaging.models import (
    ChatGroup,
    ChatGroupMember,
    Conversation,
    Message,
    MessageChange,
    MessageDelete,
    Participant,
)
from messaging.store.apply import apply_batch
from messaging.store.rows import COLUMNS, to_row
from messaging.store.tables import Tables
from tests.support.messages import make_message

APP = "messaging"
AFTER = "0010_message_key_body"
BEFORE_GROUPS = "0011_user_names"
PARTICIPANTS = "0013_participants"


def migrate(name: str) -> None:
    executor = MigrationExecutor(connection)
    executor.migrate([(APP, name)])


def newest() -> str:
    ((_, name),) = MigrationExecutor(connection).loader.graph.leaf_nodes(APP)
    return str(name)


def model(migration: str, name: str) -> Any:
    """Return a model as it is after this migration."""
    state = MigrationExecutor(connection).loader.project_state((APP, migration))
    return state.apps.get_model(APP, name)


@pytest.fixture
def before() -> Iterator[str]:
    """Migrate to the state before the migration, yield its name, and migrate back."""
    graph = MigrationExecutor(connection).loader.graph
    (parent,) = graph.node_map[APP, AFTER].parents
    migrate(parent.key[1])
    yield parent.key[1]
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM message_key")
    migrate(newest())


def insert(*key: object) -> None:
    names = "from_user_id, client_msg_id, body_hash, message_id"
    with connection.cursor() as cursor:
        cursor.execute(f"INSERT INTO message_key ({names}) VALUES (%s, %s, %s, %s)", key)


def keys() -> list[tuple[object, ...]]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT from_user_id, client_msg_id, body_hash, message_id FROM message_key")
        return sorted(
            (user, bytes(text) if isinstance(text, bytes) else text.encode(), *rest)
            for user, text, *rest in cursor.fetchall()
        )


@pytest.mark.django_db(transaction=True)
def test_the_body_becomes_a_part_of_the_keys_and_no_key_is_lost(before: str) -> None:
    insert(1, "k", "a" * 32, 7)
    insert(1, "k ", "a" * 32, 8)
    with pytest.raises(IntegrityError):
        insert(1, "k", "b" * 32, 9)

    migrate(AFTER)

    insert(1, "k", "b" * 32, 9)
    with pytest.raises(IntegrityError):
        insert(1, "k", "a" * 32, 10)
    found = [(1, b"k", "a" * 32, 7), (1, b"k", "b" * 32, 9), (1, b"k ", "a" * 32, 8)]
    assert keys() == found
    with pytest.raises(IntegrityError):
        migrate(before)  # the key has two bodies by now
    assert keys() == found


@pytest.fixture
def before_groups(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Migrate to the state before groups had owners, and back; a batch of rows is small."""
    monkeypatch.setattr(importlib.import_module(f"messaging.migrations.{PARTICIPANTS}"), "BATCH", 2)
    migrate(BEFORE_GROUPS)
    if connection.vendor == "mysql":
        # MariaDB keeps the place of a dropped column in each row until the table is written anew,
        # and a row has room for the columns of a few such rounds.
        with connection.cursor() as cursor:
            for table in ("chat_group", "chat_group_member", "message"):
                cursor.execute(f"ALTER TABLE {table} FORCE")
    yield
    migrate(newest())


def add_groups(groups: Mapping[int, Sequence[tuple[int, str]]]) -> None:
    """Add old groups: the members of each, with their roles, the latest of them first."""
    users = sorted({user_id for members in groups.values() for user_id, _ in members})
    User.objects.bulk_create([User(id=i, username=f"user {i}") for i in users])
    members = model(BEFORE_GROUPS, "ChatGroupMember")
    day = datetime(2026, 1, 9, tzinfo=UTC)
    for group_id, each in groups.items():
        model(BEFORE_GROUPS, "ChatGroup").objects.create(id=group_id, name=f"group {group_id}")
        for number, (user_id, role) in enumerate(each):
            member = members.objects.create(group_id=group_id, user_id=user_id, role=role)
            joined_at = day - timedelta(days=number)
            members.objects.filter(pk=member.pk).update(joined_at=joined_at)


def add_conversations(last_seqs: Mapping[str, int]) -> None:
    conversations = model(BEFORE_GROUPS, "Conversation").objects
    conversations.bulk_create(
        conversations.model(pk=name, last_seq=seq) for name, seq in last_seqs.items()
    )


def roles(group_id: int) -> dict[int, str]:
    members = ChatGroupMember.objects.filter(group_id=group_id)
    return dict(members.order_by("user_id").values_list("user_id", "role"))


@pytest.mark.django_db(transaction=True)
def test_each_old_group_gets_one_owner_and_its_number_of_members(before_groups: None) -> None:
    add_groups(
        {
            1: [(3, "member"), (1, "member"), (2, "member")],  # no owner
            2: [(1, "owner"), (2, "member"), (3, "owner"), (4, "admin")],  # two owners
            3: [],
            4: [(9, "member"), (8, "owner"), (7, "admin")],
            5: [(6, "admin")],
        }
    )

    for _ in range(2):  # a repeat changes nothing
        migrate(newest())

        assert roles(1) == {1: "member", 2: "owner", 3: "member"}
        assert roles(2) == {1: "admin", 2: "member", 3: "owner", 4: "admin"}
        assert roles(4) == {7: "admin", 8: "owner", 9: "member"}
        assert roles(5) == {6: "owner"}
        counts = dict(ChatGroup.objects.values_list("pk", "member_count"))
        assert counts == {1: 3, 2: 4, 3: 0, 4: 3, 5: 1}
        assert dict(ChatGroup.objects.values_list("pk", "state")) == {
            **dict.fromkeys((1, 2, 4, 5), "NORMAL"),
            3: "DISSOLVED",
        }
        migrate("0012_groups")


@pytest.mark.django_db(transaction=True)
def test_all_old_conversations_get_participants_who_have_read_all(before_groups: None) -> None:
    add_groups({1: [(3, "member"), (1, "member"), (2, "member")], 2: [(1, "owner")], 3: []})
    add_conversations({"g1": 5, "g3": 4, "1_2": 7, "1_3": 0, "2_9": 2, "4_4": 1})

    expected = {
        **{(i, "g1"): 5 for i in (1, 2, 3)},
        (1, "g2"): 0,
        **{(1, "1_2"): 7, (2, "1_2"): 7, (1, "1_3"): 0, (3, "1_3"): 0},
        **{(2, "2_9"): 2, (9, "2_9"): 2, (4, "4_4"): 1},
    }
    for _ in range(2):
        migrate(newest())

        rows = Participant.objects.values_list("user_id", "conversation_id", "read_seq")
        assert {(user_id, name): seq for user_id, name, seq in rows} == expected
        zeros = {"is_in": True, "out_reason": None, "floor_id": 0, "floor_seq": 0, "rev": 0}
        assert Participant.objects.filter(**zeros).count() == len(expected)
        migrate("0012_groups")


@pytest.mark.django_db(transaction=True)
def test_a_repeat_keeps_what_happened_to_participants_meanwhile(before_groups: None) -> None:
    add_groups({1: [(1, "owner")]})
    add_conversations({"g1": 5, "1_2": 7})
    migrate(newest())
    changed = {"read_seq": 6, "floor_id": 9, "is_in": False, "out_reason": "left", "rev": 3}
    Participant.objects.filter(user_id=1, conversation_id="g1").update(**changed)
    Conversation.objects.update(last_seq=8)

    migrate("0012_groups")
    migrate(newest())

    assert Participant.objects.filter(user_id=1, conversation_id="g1", **changed).exists()
    seqs = Participant.objects.filter(conversation_id="1_2").values_list("read_seq", flat=True)
    assert list(seqs) == [7, 7]


@pytest.mark.django_db(transaction=True)
def test_groups_survive_the_way_back(before_groups: None) -> None:
    add_groups({1: [(2, "member"), (1, "member")]})
    migrate(newest())

    migrate(BEFORE_GROUPS)

    members = model(BEFORE_GROUPS, "ChatGroupMember").objects
    assert dict(members.values_list("user_id", "role")) == {1: "owner", 2: "member"}


@pytest.fixture
def before_changes() -> Iterator[None]:
    """Migrate to the state before changes had numbers, and back."""
    migrate(PARTICIPANTS)
    yield
    migrate(newest())


def write_as_before_changes(number: int) -> Any:
    """Write a message with its conversation and a delete as the release before changes does."""
    message = structs.replace(make_message(number), seq=number)
    row = {
        column: value
        for column, value in zip(COLUMNS, to_row(message), strict=True)
        if column not in ("rev", "client_msg_id")
    }
    model(PARTICIPANTS, "Message").objects.create(**row)
    head = {"last_seq": number, "last_message_id": message.id}
    conversations = model(PARTICIPANTS, "Conversation").objects
    conversations.update_or_create(id=message.conversation_id, defaults=head)
    model(PARTICIPANTS, "MessageDelete").objects.create(user_id=2, message_id=message.id)
    return message


def check_as_sent(*messages: Any) -> None:
    found = Tables(connection).messages([m.id for m in messages])
    assert found == {m.id: m for m in messages}
    assert all(m.rev == 0 for m in found.values())
    assert not MessageChange.objects.exists()
    assert Conversation.objects.get().last_rev == 0
    deletes = MessageDelete.objects.values_list("message_id", "conversation_id", "rev")
    assert set(deletes) == {(m.id, None, 0) for m in messages}


@pytest.mark.django_db(transaction=True)
def test_old_messages_are_as_sent_and_change_from_then_on(before_changes: None) -> None:
    message = write_as_before_changes(1)

    for _ in range(2):  # the way back forgets the numbers of all changes
        migrate(newest())

        check_as_sent(message)
        (row,) = apply_batch(connection, [message.recalled(7)]).rows
        assert (row.seq, row.rev) == (1, 1)
        said = {"status": message.status.value, "recall_time": None, "content": message.content}
        Message.objects.update(**said)
        migrate(PARTICIPANTS)


@pytest.mark.django_db(transaction=True)
def test_the_release_before_writes_beside_the_one_that_numbers_changes() -> None:
    first = write_as_before_changes(1)
    second = write_as_before_changes(2)
    check_as_sent(first, second)

    (row,) = apply_batch(connection, [first.recalled(7)]).rows

    assert (row.seq, row.rev) == (1, 1)
    head = Conversation.objects.get()
    assert (head.last_seq, head.last_rev, head.last_message_id) == (2, 1, second.id)


@pytest.mark.django_db(transaction=True)
def test_operators_of_an_old_site_see_what_is_new_and_keep_what_the_site_chose() -> None:
    group, _ = Group.objects.get_or_create(name="operators")
    migrate("0015_receipts_and_mutes")
    Permission.objects.filter(codename__in=("view_operations", "view_auditrun")).delete()
    group.permissions.set(Permission.objects.filter(codename="view_message"))
    migrate(newest())
    seen = set(group.permissions.values_list("content_type__app_label", "codename"))
    assert seen == {
        ("messaging", each) for each in ("view_message", "view_operations", "view_auditrun")
    }
