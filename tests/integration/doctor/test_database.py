"""Break a real MariaDB in each way that the checks of the database name."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator
from dataclasses import replace

import pytest

from messaging.doctor import database
from messaging.doctor.verdicts import State
from tests.integration.doctor.breaking import Fault, names, prove, worse
from tests.integration.doctor.instance import Instance
from tests.support.mariadb import MariadbServer
from tests.support.real_services import connected, free_port

pytestmark = [pytest.mark.connected, pytest.mark.timeout(240)]

FAIL, WARN = State.FAIL, State.WARN
HEALTHY = {
    "max_connections": 200,
    "max_allowed_packet": 67_108_864,
    "binlog_expire_logs_seconds": 7 * 24 * 3_600,
}
PRODUCTION = {
    "IM_ENV": "production",
    "IM_SECRET_KEY": "a key of production " * 2,
    "IM_JWT_KEY": "another key of production " * 2,
    "IM_ALLOWED_HOSTS": "chat.example.com",
}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MariadbServer]:
    connected("IM_DATABASE_URL")  # skips where no MariaDB is installed
    folder = tmp_path_factory.mktemp("mariadb")
    started = MariadbServer(folder, "--log-bin=binary", "--sync-binlog=1")
    try:
        started.start()
        started.migrate()
        yield started
    finally:
        started.close()


@pytest.fixture
def on_mariadb(instance: Instance, server: MariadbServer) -> Instance:
    """Return an instance on the server; what a test changes for the whole server is set back."""
    for name, value in HEALTHY.items():
        server.ask(f"SET GLOBAL {name} = {value}")
    instance.set(IM_DATABASE_URL=f"mysql://im:im@127.0.0.1:{server.port}/im")
    for word in ("SET", "ALTER", "KILL", "GRANT"):
        instance.carries(word, lambda statement: carry_out(server, statement))
    return instance


def carry_out(server: MariadbServer, remedy: str) -> None:
    """Run a statement as an administrator, who has no database of his own choice."""
    server.ask(remedy.partition(";")[0])


def statement(check: str, state: State, *statements: str, **more: bool) -> tuple[Fault, object]:
    at = ("database", check)
    fault = Fault(name=statements[0], at=at, state=state, breaking=lambda _: None, **more)  # type: ignore[arg-type]
    return fault, statements


FAULTS = (
    statement("commits", WARN, "SET GLOBAL innodb_flush_log_at_trx_commit = 2"),
    statement("connections", WARN, "SET GLOBAL max_connections = 50"),
    statement("packet", WARN, "SET GLOBAL max_allowed_packet = 8388608"),
    statement("packet", FAIL, "SET GLOBAL max_allowed_packet = 1048576"),
    statement("writable", FAIL, "SET GLOBAL read_only = 1"),
    statement("characters", WARN, "ALTER DATABASE im CHARACTER SET latin1"),
)


@pytest.mark.parametrize(("fault", "statements"), FAULTS, ids=names(fault for fault, _ in FAULTS))
def test_a_variable_of_the_server_is_found_and_mended(
    on_mariadb: Instance, server: MariadbServer, fault: Fault, statements: tuple[str, ...]
) -> None:
    prove(on_mariadb, replace(fault, breaking=lambda _: asked(server, *statements)))


@pytest.mark.parametrize(("offset_s", "state"), [(0.6, WARN), (30, FAIL)])
def test_a_server_whose_clock_is_off_is_found(
    on_mariadb: Instance, server: MariadbServer, offset_s: float, state: State
) -> None:
    """The server sets the clock of each connection of a plain account, when it begins."""

    @contextlib.contextmanager
    def set_clock(_: Instance) -> Iterator[None]:
        clock = f"SET timestamp = UNIX_TIMESTAMP(SYSDATE(6)) + {offset_s}"
        server.ask(f"SET GLOBAL init_connect = '{clock}'")
        yield
        server.ask("SET GLOBAL init_connect = ''")

    at = ("host", "clock of the database")
    prove(on_mariadb, Fault(name="clock", at=at, state=state, breaking=set_clock, mends=False))


def test_a_missing_table_is_found_and_made(on_mariadb: Instance, server: MariadbServer) -> None:
    def forget(_: Instance) -> None:
        server.ask("DROP TABLE im.django_session")
        server.ask("DELETE FROM im.django_migrations WHERE app = 'sessions'")

    at = ("database", "migrations")
    prove(on_mariadb, Fault(name="migrations", at=at, state=FAIL, breaking=forget))


OF_PRODUCTION = (
    statement("binary log", WARN, "SET GLOBAL sync_binlog = 0"),
    statement("binary log", WARN, "SET GLOBAL binlog_expire_logs_seconds = 3600"),
)


@pytest.mark.parametrize(
    ("fault", "statements"), OF_PRODUCTION, ids=names(fault for fault, _ in OF_PRODUCTION)
)
def test_a_variable_of_a_server_in_production_is_found_and_mended(
    on_mariadb: Instance, server: MariadbServer, fault: Fault, statements: tuple[str, ...]
) -> None:
    assert fault.at not in on_mariadb.found(), "development needs no binary log"
    on_mariadb.set(**PRODUCTION)
    prove(on_mariadb, replace(fault, breaking=lambda _: asked(server, *statements)))


def asked(server: MariadbServer, *statements: str) -> None:
    server.ask(*statements)


@pytest.fixture
def on_common_server(instance: Instance) -> Instance:
    """Return an instance on the server of scripts/services, which has no binary log."""
    instance.set(IM_DATABASE_URL=connected("IM_DATABASE_URL"), **PRODUCTION)
    return instance


def test_a_server_without_a_binary_log_is_found(on_common_server: Instance) -> None:
    found = on_common_server.found()["database", "binary log"]
    assert found.state is WARN and "no binary log" in found.found and "log_bin" in found.remedy


def test_an_old_transaction_is_found_and_ended(
    on_mariadb: Instance, server: MariadbServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Old means a second here; an account that may not look is told the right that it lacks."""
    at, pause = ("database", "transactions"), threading.Event()
    report = on_mariadb.look()
    (unseen,) = [each for each in report.left_out if each.check == "transactions"]
    grant = unseen.reason.partition(": ")[2]
    assert grant == "GRANT PROCESS ON *.* TO 'im'@'127.0.0.1'"
    try:
        on_mariadb.carry_out(grant)
        monkeypatch.setattr(database, "OLD_TRANSACTION_S", 1)

        def hold(_: Instance) -> None:
            cursor.execute("START TRANSACTION")
            cursor.execute("SELECT COUNT(*) FROM im.lease FOR UPDATE")
            deadline = time.monotonic() + 60
            while time.monotonic() < deadline:
                pause.wait(0.3)  # the server answers anew only after a pause of 0.1 s
                ages = server.ask(
                    "SELECT TIMESTAMPDIFF(SECOND, trx_started, SYSDATE()) "
                    "FROM information_schema.innodb_trx"
                )
                if ages and ages[0][0] > 1:
                    return
            raise AssertionError("no transaction grew old")

        with contextlib.closing(server.connect()) as connection, connection.cursor() as cursor:
            prove(on_mariadb, Fault(name="old", at=at, state=WARN, breaking=hold))
    finally:
        server.ask("REVOKE PROCESS ON *.* FROM 'im'@'127.0.0.1'")


def test_settings_of_the_connection_are_looked_at(on_mariadb: Instance) -> None:
    options = on_mariadb.database["OPTIONS"]
    options["isolation_level"] = "repeatable read"
    assert worse(on_mariadb.found()).keys() == {("database", "isolation")}
    options["isolation_level"] = "read committed"
    options["init_command"] = "SET sql_mode = ''"
    assert worse(on_mariadb.found()).keys() == {("database", "strict mode")}


@pytest.mark.parametrize("password", ["wrong", "im"])
def test_a_database_that_does_not_let_us_in_is_found(
    on_mariadb: Instance, server: MariadbServer, password: str
) -> None:
    port = server.port if password == "wrong" else free_port()
    on_mariadb.set(IM_DATABASE_URL=f"mysql://im:{password}@127.0.0.1:{port}/im")
    report = on_mariadb.look()
    (bad,) = [each for each in report.findings if each.remedy]
    assert (bad.area, bad.check, bad.state) == ("database", "answers", FAIL)
    assert "wrong user name or password" in bad.found or password == "im"


def test_a_frozen_database_is_given_up(on_mariadb: Instance, server: MariadbServer) -> None:
    on_mariadb.hurries()
    with server.frozen():
        report = on_mariadb.look()
    assert [each.check for each in report.findings if each.remedy] == ["answers"]
