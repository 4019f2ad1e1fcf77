"""Test the system checks of a MySQL or MariaDB server; on SQLite there is nothing to check."""

from __future__ import annotations

import pytest
from django.core import checks
from django.db import connection
from pytest_django import Settings

from messaging.runtime.connections import account, check_connections, shares
from messaging.store.checks import check_database
from tests.support.real_services import ROOT

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


@on_mysql
def test_more_connections_than_the_server_has_are_warned_of(settings: Settings) -> None:
    assert check_connections(databases=["default"]) == []

    settings.PROCESSES = settings.PROCESSES | {"web": 10_000}
    (warning,) = check_connections(databases=["default"])
    assert warning.id == "messaging.W022"
    assert account() in warning.msg and warning.hint


def test_no_server_is_asked_for_its_connections_unless_databases_are_checked() -> None:
    assert check_connections(databases=None) == []
    assert check_connections in checks.registry.registry.get_checks()


def test_the_connections_are_those_that_the_readmes_tell(settings: Settings) -> None:
    settings.PROCESSES = {"web": 2, "consumer": 2, "worker": 1}
    each = {share.process: share.each for share in shares()}
    assert each == {"web": 38, "consumer": 9, "worker": 22, "exporter": 2}
    assert account() == "118 = 2 web × 38 + 2 consumer × 9 + 1 worker × 22 + 1 exporter × 2"
    for readme in ("README.md", "README.zh-CN.md"):
        text = " ".join((ROOT / readme).read_text().split())
        assert "2 × 38 + 2 × 9 + 22 + 2 = 118" in text
