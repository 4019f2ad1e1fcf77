"""Define the faults in which MariaDB is away, slow, read-only, full of connections or of locks."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from random import Random

import MySQLdb
from MySQLdb.connections import Connection

from tests.faults.rig import Rig
from tests.faults.rows.fault import LOG, Fault, away_at_start, cut_off, frozen, killed
from tests.support.proxy import Mode

FEWEST_CONNECTIONS = 10  # MariaDB refuses less
MOST_CONNECTIONS = 200  # as compose/mysql/im.cnf has it
LOCKED = "SELECT id FROM conversation ORDER BY id {} FOR UPDATE"


def kill_often(rig: Rig, hold_s: float, random: Random) -> None:
    deadline_s = time.monotonic() + hold_s
    while time.monotonic() < deadline_s:
        rig.servers.kill("mariadb")
        rig.servers.start("mariadb")
        time.sleep(random.uniform(0.1, 1.0))


def read_only(rig: Rig, hold_s: float, random: Random) -> None:
    with rig.servers.administrator() as database:
        database.execute("SET GLOBAL read_only = 1")
        try:
            time.sleep(hold_s)
        finally:
            database.execute("SET GLOBAL read_only = 0")


def crowd(rig: Rig, hold_s: float, random: Random) -> None:
    """Take every connection, those of the service first of all."""
    deadline_s = time.monotonic() + hold_s
    with rig.servers.administrator() as database, contextlib.ExitStack() as hoard:
        database.execute(f"SET GLOBAL max_connections = {FEWEST_CONNECTIONS}")
        try:
            database.execute("KILL CONNECTION USER im")
            while time.monotonic() < deadline_s:
                with contextlib.suppress(MySQLdb.OperationalError):
                    hoard.enter_context(contextlib.closing(rig.servers.database()))
                time.sleep(0.02)
        finally:
            database.execute(f"SET GLOBAL max_connections = {MOST_CONNECTIONS}")


def lock_conversations(rig: Rig, hold_s: float, random: Random) -> None:
    with _locks(rig, "ASC"):
        time.sleep(hold_s)


def deadlock(rig: Rig, hold_s: float, random: Random) -> None:
    """Lock conversations against the order of their ids, in which the writers lock them."""
    deadline_s = time.monotonic() + hold_s
    while time.monotonic() < deadline_s:
        with contextlib.suppress(MySQLdb.OperationalError), _locks(rig, "DESC"):
            time.sleep(random.uniform(0, 0.05))


@contextlib.contextmanager
def _locks(rig: Rig, order: str) -> Iterator[Connection]:
    with contextlib.closing(rig.servers.database()) as connection:
        connection.autocommit(False)
        connection.cursor().execute(LOCKED.format(order))
        yield connection
        connection.rollback()


FAULTS = (
    Fault(
        name="mariadb-killed",
        about="MariaDB: SIGKILL",
        strike=killed("mariadb"),
        accepts=LOG,
    ),
    Fault(
        name="mariadb-killed-often",
        about="MariaDB: SIGKILL as soon as it answers again, in mid-batch and at COMMIT",
        strike=kill_often,
        hold_s=8.0,
        forgets=True,
    ),
    Fault(
        name="mariadb-frozen",
        about="MariaDB: SIGSTOP; it holds its connections",
        strike=frozen("mariadb"),
        accepts=LOG,
        hold_s=7.0,
        forgets=True,
    ),
    Fault(
        name="mariadb-black-hole",
        about="MariaDB: nothing gets there or back until the heal, and then all of it",
        strike=cut_off("mariadb"),
        accepts=LOG,
        hold_s=7.0,
        forgets=True,
    ),
    Fault(
        name="mariadb-mute",
        about="MariaDB: statements arrive, COMMIT too, answers do not",
        strike=cut_off("mariadb", mode=Mode.MUTE),
        accepts=LOG,
        hold_s=7.0,
        forgets=True,
    ),
    Fault(
        name="mariadb-reset",
        about="MariaDB: every connection is reset",
        strike=cut_off("mariadb", mode=Mode.RESET),
        accepts=LOG,
        forgets=True,
    ),
    Fault(
        name="mariadb-cut",
        about="MariaDB: connections break in the middle of an answer",
        strike=cut_off("mariadb", mode=Mode.CUT, amount=3_000),
        forgets=True,
    ),
    Fault(
        name="mariadb-slow",
        about="MariaDB: 100 ms later in each direction",
        strike=cut_off("mariadb", mode=Mode.DELAY, amount=0.1),
        accepts=LOG,
        forgets=True,
    ),
    Fault(
        name="mariadb-read-only",
        about="MariaDB: read_only",
        strike=read_only,
        accepts=LOG,
    ),
    Fault(
        name="mariadb-crowded",
        about="MariaDB: no connection is left",
        strike=crowd,
        accepts=LOG,
    ),
    Fault(
        name="mariadb-locked",
        about="MariaDB: another transaction holds every conversation's row",
        strike=lock_conversations,
        accepts=LOG,
        hold_s=7.0,
        forgets=True,
    ),
    Fault(
        name="mariadb-deadlocks",
        about="MariaDB: another writer locks conversations in the wrong order",
        strike=deadlock,
        accepts=LOG,
        forgets=True,
    ),
    Fault(
        name="mariadb-away-at-start",
        about="MariaDB: away while the web starts",
        strike=away_at_start("mariadb"),
    ),
)
