"""The system checks of a MySQL or MariaDB server; on SQLite there is nothing to check."""

from __future__ import annotations

import pytest
from django.core import checks
from django.db import connection

from messaging.store.checks import check_database

pytestmark = pytest.mark.django_db
on_mysql = pytest.mark.skipif(connection.vendor != "mysql", reason="MySQL and MariaDB alone")


def found() -> list[str]:
    messages = check_database(databases=["default"])
    assert all(message.hint for message in messages)
    return [str(message.id) for message in messages]


def test_the_project_s_own_settings_are_accepted() -> None:
    assert not [identity for identity in found() if identity.startswith("messaging.E")]


def test_no_database_is_asked_unless_databases_are_checked() -> None:
    assert check_database(databases=None) == []


def test_the_checks_are_among_those_of_the_databases() -> None:
    assert check_database in checks.registry.registry.get_checks(include_deployment_checks=False)
    assert checks.tag_exists(checks.Tags.database)


@on_mysql
@pytest.mark.parametrize(
    ("statement", "expected"),
    [
        ("SET SESSION sql_mode = ''", "messaging.E020"),
        ("SET NAMES latin1", "messaging.E021"),
        ("SET character_set_results = utf8mb3", "messaging.E021"),
        ("SET character_set_database = latin1", "messaging.W020"),
    ],
)
def test_what_alters_text_is_found(statement: str, expected: str) -> None:
    try:
        with connection.cursor() as cursor:
            cursor.execute(statement)
        assert expected in found()
    finally:
        connection.close()
