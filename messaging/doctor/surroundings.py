"""Open the backends for the checks: each one once, when a check first asks for it.

Every wait is short, so that a check ends within its bound. A backend that did not answer is not
asked again.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from copy import deepcopy
from functools import cached_property
from typing import Any, TypeVar

import redis
from django.conf import settings as django_settings
from django.core.exceptions import ImproperlyConfigured
from django.db import Error as DatabaseError
from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper
from kafka.admin import KafkaAdminClient
from kafka.errors import KafkaError
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry

from messaging.conf import settings
from messaging.database.errors import translate
from messaging.database.threads import ALIAS
from messaging.doctor.verdicts import NotAnswered, fail
from messaging.eventlog import VARIABLE
from messaging.eventlog.kafka.quirks import hear_last_words
from messaging.links import KafkaLink, read_kafka_url, reason, split_address

T = TypeVar("T")

WAIT_S = 1.0  # for one answer
REDIS_VARIABLE = "IM_REDIS_URL"
DATABASE_VARIABLE = "IM_DATABASE_URL"
REFUSALS = ("Authentication", "wrong user", "may not use", "TLS")  # of a server that is there


class Surroundings:
    """Hold the backends that the checks of one thread ask.

    Raises: NotAnswered, from each backend that does not answer.
    """

    def __init__(self) -> None:
        self._opened: dict[str, Any] = {}

    @property
    def redis(self) -> redis.Redis:
        return self._open("Redis", _open_redis)

    @cached_property
    def redis_info(self) -> dict[str, Any]:
        """Return the answer of INFO, asked once.

        Raises: RedisError, NotAnswered.
        """
        return dict(self.redis.info("everything"))

    @property
    def database(self) -> BaseDatabaseWrapper:
        return self._open("the database", _open_database)

    @property
    def kafka(self) -> KafkaAdminClient:
        return self._open("Kafka", _open_kafka)

    def close(self) -> None:
        """Close what was opened. Safe to repeat."""
        for opened in self._opened.values():
            if not isinstance(opened, NotAnswered):
                with contextlib.suppress(RedisError, KafkaError, DatabaseError, OSError):
                    opened.close()
        self._opened.clear()

    def _open(self, name: str, open_one: Callable[[str], T]) -> T:
        if name not in self._opened:
            try:
                self._opened[name] = open_one(name)
            except NotAnswered as away:
                self._opened[name] = away
        opened = self._opened[name]
        if isinstance(opened, NotAnswered):
            raise opened
        return opened  # type: ignore[no-any-return]


def kafka_link() -> KafkaLink | None:
    """Return the link of the log on Kafka; None for another log, or an address of none."""
    url = settings().event_log_url
    try:
        return read_kafka_url(VARIABLE, url) if url.startswith(("kafka:", "kafkas:")) else None
    except ImproperlyConfigured:
        return None  # the settings have a check for that


def redis_place() -> str:
    """Return where Redis is, without the account."""
    parts = split_address(REDIS_VARIABLE, settings().redis_url)
    return parts.path if parts.scheme == "unix" else f"{parts.hostname}:{parts.port or 6379}"


def database_place() -> str:
    """Return where the database is, without the account."""
    database = connections.settings[ALIAS]
    if not database["HOST"]:
        return str(database["NAME"])
    return f"{database['HOST']}:{database['PORT'] or 3306}"


def _open_redis(name: str) -> redis.Redis:
    try:
        client = redis.Redis.from_url(
            settings().redis_url,
            protocol=2,
            retry=Retry(NoBackoff(), 0),
            socket_connect_timeout=WAIT_S,
            socket_timeout=WAIT_S,
        )
        client.ping()
    except (RedisError, OSError, ValueError, ImproperlyConfigured) as error:
        raise _away(name, redis_place(), reason(error), "redis", REDIS_VARIABLE) from error
    return client


def _open_database(name: str) -> BaseDatabaseWrapper:
    """Return the connection of this thread, with waits of its own."""
    connection = connections[ALIAS]
    connection.settings_dict = deepcopy(connection.settings_dict)
    options = connection.settings_dict["OPTIONS"]
    if connection.vendor == "mysql":
        options |= dict.fromkeys(("connect_timeout", "read_timeout", "write_timeout"), int(WAIT_S))
    else:
        options["timeout"] = WAIT_S
    try:
        connection.ensure_connection()
    except DatabaseError as error:
        why = str(translate(error.__cause__ or error, vendor=connection.vendor))  # type: ignore[arg-type]
        raise _away(name, database_place(), why, "mariadb", DATABASE_VARIABLE) from error
    return connection


def _open_kafka(name: str) -> KafkaAdminClient:
    link = kafka_link()
    assert link is not None, "the checks of Kafka are left out without it"
    hear_last_words()
    wait_ms = round(WAIT_S * 1000)
    try:
        return KafkaAdminClient(
            bootstrap_servers=list(link.servers),
            **link.security,
            bootstrap_timeout_ms=wait_ms,
            request_timeout_ms=wait_ms,
        )
    except (KafkaError, OSError) as error:
        raise _away(name, ", ".join(link.servers), reason(error), "kafka", VARIABLE) from error


def _away(name: str, place: str, why: str, service: str, variable: str) -> NotAnswered:
    told = f"{name[0].upper()}{name[1:]} at {place} does not answer: {why}."
    return NotAnswered(name, fail(told, _remedy(place, why, service, variable)))


def _remedy(place: str, why: str, service: str, variable: str) -> str:
    """Return the command that begins a server, or the one that sets its address."""
    if any(word in why for word in REFUSALS):
        return f"source var/env  # or correct the account or the files of TLS in {variable}"
    if django_settings.PRODUCTION:
        return f"systemctl start {service}  # at {place}; or correct {variable}"
    is_embedded = kafka_link() is None and connections.settings[ALIAS]["ENGINE"].endswith("sqlite3")
    return "scripts/run" if is_embedded else f"scripts/services start {service}"
