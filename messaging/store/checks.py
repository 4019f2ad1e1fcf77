"""Check the database server for settings that change or lose a message without an error.

The checks need a connection, so Django runs the checks where databases are asked for: `migrate`,
and `check --database default`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from django.core.checks import CheckMessage, Error, Tags, Warning, register
from django.db import connections

CHARSET = "utf8mb4"
STRICT_MODES = {"STRICT_ALL_TABLES", "STRICT_TRANS_TABLES"}
VARIABLES = (
    "sql_mode",
    "character_set_client",
    "character_set_connection",
    "character_set_results",
    "character_set_database",
    "innodb_flush_log_at_trx_commit",
)


def register_checks() -> None:
    """Register the checks, once, when Django's registry of applications is ready."""
    register(check_database, Tags.database)


def check_database(*, databases: Sequence[str] | None = None, **_: object) -> list[CheckMessage]:
    """Check those of the databases that are MySQL or MariaDB."""
    return [
        message
        for alias in databases or ()
        if connections[alias].vendor == "mysql"
        for message in _check_variables(_variables(alias))
    ]


def _variables(alias: str) -> dict[str, str]:
    with connections[alias].cursor() as cursor:
        cursor.execute(f"SELECT {', '.join('@@' + name for name in VARIABLES)}")
        row = cursor.fetchone()
    return {name: str(value) for name, value in zip(VARIABLES, row, strict=True)}


def _check_variables(variables: dict[str, str]) -> Iterator[CheckMessage]:
    if not STRICT_MODES & set(variables["sql_mode"].split(",")):
        yield Error(
            "The database cuts values that do not fit, for it is not in strict mode.",
            hint="Set sql_mode to STRICT_ALL_TABLES in the connection's init_command.",
            id="messaging.E020",
        )
    for name in ("character_set_client", "character_set_connection", "character_set_results"):
        if variables[name] != CHARSET:
            yield Error(
                f"{name} is {variables[name]}, which cannot carry every character.",
                hint=f"Set the connection's charset option to {CHARSET}.",
                id="messaging.E021",
            )
    if variables["character_set_database"] != CHARSET:
        yield Warning(
            f"The database's own character set is {variables['character_set_database']}: user "
            "names and what is typed in the admin are limited to it. Messages are not.",
            hint=f"ALTER DATABASE … CHARACTER SET {CHARSET}, before the first migrate.",
            id="messaging.W020",
        )
    if variables["innodb_flush_log_at_trx_commit"] != "1":
        yield Warning(
            "A crash of the database's machine loses what was committed last.",
            hint="Set innodb_flush_log_at_trx_commit to 1.",
            id="messaging.W021",
        )
