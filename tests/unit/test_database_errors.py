"""Check that a driver's error is classified by what its caller should do."""

from __future__ import annotations

import pytest
from django.db import (
    DatabaseError,
    DataError,
    IntegrityError,
    InterfaceError,
    InternalError,
    OperationalError,
    ProgrammingError,
)

from messaging.database.errors import MYSQL_BAD_DATA, translate
from messaging.domain.backend_errors import BadData, StoreUnavailable

HOLD_THE_BATCH = [
    *(1020, 1021, 1030, 1037, 1040, 1041, 1053, 1114, 1146, 1180, 1203, 1205, 1206, 1213, 1226),
    *(1290, 1317, 1836, 1927, 1969, 2002, 2003, 2006, 2013, 2055, 3024, 4031, 9_999),
]
THE_SCHEMA = [1048, 1054, 1364, 1451, 1452, 1526, 3819, 4025]
GIVE_THE_VALUE_UP = [1153, 1264, 1265, 1267, 1292, 1300, 1366, 1406, 1690, 3988]


@pytest.mark.parametrize("error", [DataError, IntegrityError, OperationalError])
@pytest.mark.parametrize("code", THE_SCHEMA)
def test_what_the_schema_lacks_holds_the_batch(code: int, error: type[Exception]) -> None:
    assert isinstance(translate(error(code, "text"), vendor="mysql"), StoreUnavailable)


def test_every_number_is_decided() -> None:
    assert set(MYSQL_BAD_DATA) == set(GIVE_THE_VALUE_UP)


@pytest.mark.parametrize("code", HOLD_THE_BATCH)
def test_what_the_server_suffers_holds_the_batch(code: int) -> None:
    assert isinstance(translate(OperationalError(code, "text"), vendor="mysql"), StoreUnavailable)


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        (1045, "wrong user name or password"),
        (2026, "TLS, TLS/SSL error: certificate"),
        (3159, "the server wants TLS"),
    ],
)
def test_a_refused_client_is_an_outage_with_its_reason(code: int, reason: str) -> None:
    error = OperationalError(code, "TLS/SSL error: certificate")
    told = translate(error, vendor="mysql")
    assert isinstance(told, StoreUnavailable)
    assert told.is_outage
    assert reason in str(told)


@pytest.mark.parametrize("code", GIVE_THE_VALUE_UP)
def test_what_a_value_causes_gives_the_value_up(code: int) -> None:
    assert isinstance(translate(OperationalError(code, "text"), vendor="mysql"), BadData)


def test_an_id_that_another_process_inserted_just_now_is_tried_again() -> None:
    told = translate(IntegrityError(1062, "Duplicate entry '7' for key"), vendor="mysql")

    assert isinstance(told, StoreUnavailable)


@pytest.mark.parametrize(
    "error",
    [
        OperationalError("database is locked"),
        OperationalError("database or disk is full"),
        OperationalError("disk I/O error"),
        OperationalError("attempt to write a readonly database"),
        OperationalError("unable to open database file"),
        OperationalError("no such table: message"),
        DatabaseError("database disk image is malformed"),
        InterfaceError("connection already closed"),
        InternalError("?"),
        ProgrammingError("Cannot operate on a closed database."),
        IntegrityError("NOT NULL constraint failed: message.more"),
        IntegrityError("FOREIGN KEY constraint failed"),
        IntegrityError("UNIQUE constraint failed: message.id"),
    ],
)
def test_what_sqlite_suffers_holds_the_batch(error: Exception) -> None:
    assert isinstance(translate(error, vendor="sqlite"), StoreUnavailable)


@pytest.mark.parametrize(
    "error",
    [
        IntegrityError("CHECK constraint failed"),
        DataError("string or blob too big"),
        OverflowError("Python int too large to convert to SQLite INTEGER"),
        UnicodeEncodeError("utf-8", "\ud800", 0, 1, "surrogates not allowed"),
    ],
)
@pytest.mark.parametrize("vendor", ["sqlite", "mysql"])
def test_what_cannot_even_be_sent_gives_the_value_up(error: Exception, vendor: str) -> None:
    assert isinstance(translate(error, vendor=vendor), BadData)


@pytest.mark.parametrize("code", [1366, 1062])
def test_the_text_shows_no_value(code: int) -> None:
    told = translate(DataError(code, "Incorrect string value: 'secret'"), vendor="mysql")

    assert "secret" not in str(told)
    assert str(code) in str(told)
