"""Count the database connections that all processes may hold, and compare it with the server's.

The front door logs the sum when it starts; `check --database default` and `migrate` warn. Each pool
of threads is counted as full, because a flood of requests fills the pools, and connections are
refused during a flood.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from django.conf import settings as django_settings
from django.core.checks import CheckMessage, Tags, Warning, register
from django.db import connections

from messaging.database.threads import PROBE_THREADS
from messaging.directory.database import THREADS as DIRECTORY_THREADS
from messaging.store.conversations import THREADS as CONVERSATION_THREADS
from messaging.store.database import THREADS as STORE_THREADS
from messaging.store.groups import THREADS as GROUP_THREADS
from messaging.store.inspector import THREADS as INSPECTOR_THREADS


@dataclass(frozen=True, slots=True)
class Share:
    """Hold the connections of one kind of process: `each` process's most, and the `count` of them.

    `count` is the number of such processes on all machines.
    """

    process: str
    each: int
    count: int

    def __str__(self) -> str:
        return f"{self.count} {self.process} × {self.each}"


def shares() -> list[Share]:
    """Return the connections that each kind of process takes; Celery's beat takes none."""
    store, directory = STORE_THREADS + PROBE_THREADS, DIRECTORY_THREADS + PROBE_THREADS
    groups, conversations = GROUP_THREADS + PROBE_THREADS, CONVERSATION_THREADS + PROBE_THREADS
    calls = store + directory + groups + conversations
    each = {
        "web": django_settings.DJANGO_THREADS + calls,
        "consumer": store,
        "worker": calls,
    }
    of_site = [Share(name, most, django_settings.PROCESSES[name]) for name, most in each.items()]
    return [*of_site, Share("exporter", INSPECTOR_THREADS + PROBE_THREADS, 1)]


def account() -> str:
    """Return the sum of the connections and its parts, as a text for people."""
    return f"{_total()} = {' + '.join(map(str, shares()))}"


def _total() -> int:
    return sum(part.each * part.count for part in shares())


@register(Tags.database)
def check_connections(*, databases: Sequence[str] | None = None, **_: object) -> list[CheckMessage]:
    """Warn about each MySQL or MariaDB database with fewer connections than the processes need."""
    return [
        message
        for alias in databases or ()
        if connections[alias].vendor == "mysql"
        for message in _check_sum(_most_connections(alias))
    ]


def _most_connections(alias: str) -> int:
    """Return how many connections this database user may have.

    `max_user_connections` is 0 where the user has no limit of its own.
    """
    with connections[alias].cursor() as cursor:
        cursor.execute("SELECT @@max_connections, @@max_user_connections")
        of_all, of_this = map(int, cursor.fetchone())
    return min(of_all, of_this or of_all)


def _check_sum(most: int) -> Iterator[CheckMessage]:
    if _total() > most:
        yield Warning(
            f"The server has {most} database connections, and the processes may hold {account()}.",
            hint="Raise max_connections, or run fewer processes; IM_WEB_PROCESSES, "
            "IM_CONSUMER_PROCESSES and IM_WORKER_PROCESSES say how many run on all machines.",
            id="messaging.W022",
        )
