"""Check the database: a server that keeps what it has committed, and the tables of this release."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import wraps
from typing import Any

from django.conf import settings as django_settings
from django.db import Error as DatabaseError
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.migrations.executor import MigrationExecutor

from messaging.database.errors import translate
from messaging.database.threads import ALIAS
from messaging.doctor.checks import Look, answer_of, checks_of
from messaging.doctor.settings import judged
from messaging.doctor.surroundings import Surroundings, database_place
from messaging.doctor.verdicts import NotSeen, State, Verdict, fail, ok, warn
from messaging.runtime.connections import account, check_connections
from messaging.store.checks import CHARSET, check_database
from messaging.store.statements import BYTES_PER_STATEMENT

AREA = "database"
TRIED = {True: (10, 11), False: (8, 0)}  # the oldest release of MariaDB, and of MySQL
ISOLATION = "READ-COMMITTED"
PACKET_BYTES = 4 * BYTES_PER_STATEMENT
BINARY_LOG_KEPT_S = 7 * 24 * 3_600
OLD_TRANSACTION_S = 60
SPARE_CONNECTIONS = 20  # for people and backups
ACCESS_DENIED = 1227
MIB = 1024**2


def _seen(look: Callable[[BaseDatabaseWrapper], Verdict | None], *, vendor: str = "mysql") -> Look:
    """Leave a check out for another vendor; an error is a reason for which nothing is seen."""

    @wraps(look)
    def looked(around: Surroundings) -> Verdict | None:
        connection = around.database
        if vendor not in ("", connection.vendor):
            return None
        try:
            return look(connection)
        except DatabaseError as error:
            cause = error.__cause__ if isinstance(error.__cause__, Exception) else error
            why = translate(cause, vendor=connection.vendor)
            raise NotSeen(f"the database refused to tell ({why})") from error

    return looked


def _check_version(connection: BaseDatabaseWrapper) -> Verdict:
    (text,) = _variables(connection, "version")
    is_mariadb = _is_mariadb(text)
    name = "MariaDB" if is_mariadb else "MySQL"
    oldest = ".".join(map(str, TRIED[is_mariadb]))
    if tuple(map(int, str(text).split(".")[:2])) < TRIED[is_mariadb]:
        return warn(
            f"{name} is {text}; {oldest} is the oldest that was tried.",
            f"apt-get install {name.lower()}-server  # {oldest} or newer",
        )
    return ok(f"{name} is {str(text).partition('-')[0]}.")


def _check_strict(_: BaseDatabaseWrapper) -> Verdict:
    well = "Values that do not fit are refused."
    return judged(check_database(databases=[ALIAS]), "E020", well=well)


def _check_characters(connection: BaseDatabaseWrapper) -> Verdict:
    well = "Every character can be stored."
    verdict = judged(check_database(databases=[ALIAS]), "E021", "W020", well=well)
    if verdict.state is State.WARN:
        name = connection.settings_dict["NAME"]
        altered = f"ALTER DATABASE {name} CHARACTER SET {CHARSET} COLLATE {CHARSET}_bin;"
        return replace(verdict, remedy=altered)
    return verdict


def _check_commits(_: BaseDatabaseWrapper) -> Verdict:
    well = "A commit is on the disk before it is confirmed."
    return judged(check_database(databases=[ALIAS]), "W021", well=well)


def _check_binary_log(connection: BaseDatabaseWrapper) -> Verdict | None:
    """Check in production that the binary log may bring back what a backup lacks."""
    if not django_settings.PRODUCTION:
        return None
    names = ("log_bin", "sync_binlog", "binlog_expire_logs_seconds")
    is_on, synced, kept_s = map(int, _variables(connection, *names))
    if not is_on:
        return warn(
            "There is no binary log: a backup cannot be brought up to the last commit.",
            "printf '[mysqld]\\nlog_bin\\nsync_binlog = 1\\n' > /etc/mysql/conf.d/binary-log.cnf"
            "  # then restart the server",
        )
    if synced != 1:
        return warn(
            "A crash of the database's machine loses the end of the binary log.",
            _set("sync_binlog", 1),
        )
    if 0 < kept_s < BINARY_LOG_KEPT_S:
        return warn(
            f"The binary log is kept for {kept_s / 3_600:.0f} hours.",
            _set("binlog_expire_logs_seconds", BINARY_LOG_KEPT_S),
        )
    return ok("The binary log is on, synced and kept.")


def _check_isolation(connection: BaseDatabaseWrapper) -> Verdict:
    (version,) = _variables(connection, "version")
    name = "tx_isolation" if _is_mariadb(version) else "transaction_isolation"
    (level,) = _variables(connection, name)
    if level != ISOLATION:
        return fail(
            f"Our connections are {level}: writers wait for each other's gaps, and deadlock.",
            "git checkout imsite/settings.py  # its isolation_level is read committed",
        )
    return ok(f"Our connections are {level}.")


def _check_connections(_: BaseDatabaseWrapper) -> Verdict:
    found = check_connections(databases=[ALIAS])
    if not found:
        return ok(f"The processes may hold {account()} connections.")
    wanted = int(account().split()[0]) + SPARE_CONNECTIONS
    return Verdict(State.WARN, str(found[0].msg), _set("max_connections", wanted))


def _check_packet(connection: BaseDatabaseWrapper) -> Verdict:
    (most,) = map(int, _variables(connection, "max_allowed_packet"))
    if most >= PACKET_BYTES:
        return ok(f"A statement may have {most // MIB} MiB.")
    judge = fail if most <= BYTES_PER_STATEMENT else warn
    return judge(
        f"A statement may have {most / MIB:.3g} MiB; those of a batch have up to "
        f"{BYTES_PER_STATEMENT // MIB} MiB, and some more.",
        _set("max_allowed_packet", PACKET_BYTES),
    )


def _check_writable(connection: BaseDatabaseWrapper) -> Verdict:
    if any(map(int, _variables(connection, "read_only"))):
        return fail("The server takes no writes: it is read-only.", _set("read_only", 0))
    return ok("The server takes writes.")


def _check_transactions(connection: BaseDatabaseWrapper) -> Verdict:
    """Look for transactions that hold locks, and old versions of rows, for long."""
    with connection.cursor() as cursor:
        try:
            cursor.execute(
                "SELECT trx_mysql_thread_id, TIMESTAMPDIFF(SECOND, trx_started, SYSDATE()) "
                "FROM information_schema.innodb_trx ORDER BY trx_started LIMIT 1"
            )
        except DatabaseError as error:
            if error.args and error.args[0] == ACCESS_DENIED:
                raise NotSeen(f"our account may not look: {_grant(connection)}") from error
            raise
        thread, age_s = cursor.fetchone() or (0, 0)
    if age_s > OLD_TRANSACTION_S:
        return warn(f"A transaction has been open for {age_s:,} s.", f"KILL {thread};")
    return ok("No transaction is old.")


def _check_migrations(connection: BaseDatabaseWrapper) -> Verdict:
    executor = MigrationExecutor(connection)
    plan = executor.migration_plan(executor.loader.graph.leaf_nodes())
    if plan:
        first = plan[0][0]
        return fail(
            f"{len(plan)} migrations are not applied, the first is {first.app_label}.{first.name}.",
            "manage.py migrate",
        )
    return ok("All migrations are applied.")


def _answers() -> str:
    return f"The database at {database_place()} answers."


def _is_mariadb(version: object) -> bool:
    return "mariadb" in str(version).lower()


def _variables(connection: BaseDatabaseWrapper, *names: str) -> tuple[Any, ...]:
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {', '.join('@@' + name for name in names)}")
        return tuple(cursor.fetchone())


def _set(name: str, value: int) -> str:
    return f"SET GLOBAL {name} = {value}; -- and in the server's .cnf: {name} = {value}"


def _grant(connection: BaseDatabaseWrapper) -> str:
    with connection.cursor() as cursor:
        cursor.execute("SELECT CURRENT_USER()")
        user, _, host = str(cursor.fetchone()[0]).partition("@")
    return f"GRANT PROCESS ON *.* TO '{user}'@'{host}'"


CHECKS = checks_of(
    AREA,
    {
        "answers": answer_of(lambda around: around.database, _answers),
        "version": _seen(_check_version),
        "writable": _seen(_check_writable),
        "migrations": _seen(_check_migrations, vendor=""),
        "strict mode": _seen(_check_strict),
        "characters": _seen(_check_characters),
        "commits": _seen(_check_commits),
        "binary log": _seen(_check_binary_log),
        "isolation": _seen(_check_isolation),
        "connections": _seen(_check_connections),
        "packet": _seen(_check_packet),
        "transactions": _seen(_check_transactions),
    },
)
