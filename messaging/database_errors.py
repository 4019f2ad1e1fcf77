"""What a database's error means for the caller: try again, or give this value up. Pure.

Used by `database_threads` alone. An error about a value is told as BadData. Everything else holds
the batch: what is about the server (a deadlock, a full disk, a missing table) heals, and nothing is
lost until then.
"""

from __future__ import annotations

from django.db import DataError, Error, IntegrityError

from messaging.errors import BackendError, BadData, StoreBusy, StoreUnavailable

MYSQL_BAD_DATA = {
    1048: "not null",
    1153: "packet too large",  # halving the batch helps, or finds the one
    1264: "out of range",
    1265: "truncated",
    1267: "mix of collations",  # a character that the column's character set does not have
    1292: "wrong value",
    1300: "wrong character set",
    1364: "no default",
    1366: "wrong value",  # also a character that the column cannot hold
    1406: "too long",
    1451: "foreign key",
    1452: "foreign key",
    1526: "no partition",
    1690: "out of range",
    3819: "check",  # MySQL
    3988: "wrong character set",
    4025: "check",  # MariaDB
}
MYSQL_DUPLICATE = 1062
MYSQL_BUSY = {
    1040,  # too many connections
    1203,  # too many connections of this user
    1226,  # too much of something in an hour, or too many connections of this account
}
MYSQL_AWAY = {
    1053,  # shutdown in progress
    1927,  # the connection was killed
    2002,  # nobody listens at the socket
    2003,  # nor at the port
    2005,  # unknown host
    2006,  # gone away
    2013,  # lost, or silent for longer than the driver waits
    2055,  # lost
    4031,  # ended by the server, which heard nothing for too long
}
MYSQL_LOST = {1053, 1927, 2006, 2013, 2055, 4031}  # with this connection; there may be others
SQLITE_AWAY = ("unable to open database file", "disk I/O error")


def is_lost(error: Exception, *, vendor: str) -> bool:
    """Return whether the connection has ended, which says nothing about the server."""
    return vendor == "mysql" and bool(error.args) and error.args[0] in MYSQL_LOST


def translate(error: Exception, *, vendor: str) -> BackendError:
    """The typed error to raise in place of a driver's. Its text shows no value of a message."""
    name = type(error).__name__
    code = error.args[0] if error.args else None
    if vendor == "mysql" and isinstance(code, int):
        if meaning := MYSQL_BAD_DATA.get(code):
            return BadData(f"{name} {code}: {meaning}")
        if code == MYSQL_DUPLICATE:
            # Another process inserted this id just now: a repeat reads the row and compares it.
            return StoreUnavailable(f"{name} {code}: a race")
        if code in MYSQL_BUSY:
            return StoreBusy(f"{name} {code}: busy")
        if code in MYSQL_AWAY:
            return StoreUnavailable(f"{name} {code}: away", is_outage=True)
        name = f"{name} {code}"
    if isinstance(error, (DataError, IntegrityError)):
        return BadData(name)
    if not isinstance(error, Error):
        return BadData(name)  # a number or a text that the driver cannot even send
    return StoreUnavailable(name, is_outage=str(error) in SQLITE_AWAY)
