"""Translate a database's errors by their remedy: try again, or give this value up.

Pure. Used by `database.threads` alone. An error about a value becomes ValueRefused. Every other
error holds the batch: an error about the server (a deadlock, a full disk) or about the schema (a
missing table, a missing partition) can be mended, and nothing is lost until then.

A table that is narrower than this release expects refuses good values by the same numbers as a good
table refuses bad ones. So the store checks whether a refused value fits (`store.limits`).
"""

from __future__ import annotations

from django.db import DataError, Error, IntegrityError

from messaging.domain.backend_errors import BackendError, StoreBusy, StoreUnavailable, ValueRefused

MYSQL_BAD_DATA = {
    1153: "packet too large",  # halving the batch helps, or finds the one
    1264: "out of range",
    1265: "truncated",
    1267: "mix of collations",  # a character that the column's character set does not have
    1292: "wrong value",
    1300: "wrong character set",
    1366: "wrong value",  # also a character that the column cannot hold
    1406: "too long",
    1690: "out of range",
    3988: "wrong character set",
}
"""Name the codes of MySQL that refuse a value.

Left out, though about a row, are the codes of a schema that this release does not expect: a column
that this release does not fill (1048, 1364), a foreign key or a check that this release does not
know (1451, 1452, 3819, 4025), a missing partition (1526).
"""

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
MYSQL_LOST = {1053, 1927, 2006, 2013, 2055, 4031}  # of this connection alone; others may work
MYSQL_REFUSES = {  # this client, whatever it asks
    1044: "this user may not use this database",
    1045: "wrong user name or password, or the account wants TLS",
    1129: "this host is blocked after too many errors",
    1130: "this host may not connect",
    1698: "this account takes no password",
    2026: "TLS",  # the driver's text tells what is wrong with the server's certificate
    3159: "the server wants TLS",
}
SQLITE_AWAY = ("unable to open database file", "disk I/O error")


def is_lost(error: Exception, *, vendor: str) -> bool:
    """Tell whether the connection has ended; an ended connection says nothing about the server."""
    return vendor == "mysql" and bool(error.args) and error.args[0] in MYSQL_LOST


def translate(error: Exception, *, vendor: str) -> BackendError:
    """Return the typed error to raise in place of a driver's error.

    The text of the typed error shows no value of a message.
    """
    name = type(error).__name__
    code = error.args[0] if error.args else None
    if vendor == "mysql" and isinstance(code, int):
        if meaning := MYSQL_BAD_DATA.get(code):
            return ValueRefused(f"{name} {code}: {meaning}")
        if code == MYSQL_DUPLICATE:
            # Another process inserted this id just now: a repeat reads the row and compares it.
            return StoreUnavailable(f"{name} {code}: a race")
        if code in MYSQL_BUSY:
            return StoreBusy(f"{name} {code}: busy")
        if refusal := MYSQL_REFUSES.get(code):
            detail = f", {error.args[1]}" if refusal == "TLS" and len(error.args) > 1 else ""
            return StoreUnavailable(f"{name} {code}: {refusal}{detail}", is_outage=True)
        if code in MYSQL_AWAY:
            return StoreUnavailable(f"{name} {code}: away", is_outage=True)
        return StoreUnavailable(f"{name} {code}")
    if isinstance(error, DataError) or (isinstance(error, IntegrityError) and _is_check(error)):
        return ValueRefused(name)
    if not isinstance(error, Error):
        return ValueRefused(name)  # a number or a text that the driver cannot even send
    return StoreUnavailable(name, is_outage=str(error) in SQLITE_AWAY)


def _is_check(error: IntegrityError) -> bool:
    """Tell whether a check failed: SQLite bounds the length of a column by a check alone."""
    return str(error).startswith("CHECK")
