"""Test migrations with SQL of their own, on the database of the settings in force, with rows."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from django.db import IntegrityError, connection
from django.db.migrations.executor import MigrationExecutor

APP = "messaging"
AFTER = "0010_message_key_body"


def migrate(name: str) -> None:
    executor = MigrationExecutor(connection)
    executor.migrate([(APP, name)])


@pytest.fixture
def before() -> Iterator[str]:
    """Migrate to the state before the migration, yield its name, and migrate back."""
    graph = MigrationExecutor(connection).loader.graph
    ((_, newest),) = graph.leaf_nodes(APP)
    (parent,) = graph.node_map[APP, AFTER].parents
    migrate(parent.key[1])
    yield parent.key[1]
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM message_key")
    migrate(newest)


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
