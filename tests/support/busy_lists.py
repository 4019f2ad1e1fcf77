"""Make a user with a list of many conversations, and watch the commands of clients to Redis."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import redis

from tests.support.groups import create
from tests.support.service import Service, User

CHATS, GROUPS = 12, 3
LISTS_AND_TAILS = ("msg:mine:", "msg:conv:", "msg:deleted:")
Trips = Callable[[], int]
Commands = Callable[[], list[str]]


@contextmanager
def watched(redis_url: str, *keys: str) -> Iterator[Commands]:
    """Yield a function that returns the clients' commands on such keys since its last call."""
    with redis.Redis.from_url(redis_url) as client, client.monitor() as monitor:

        def seen() -> list[str]:
            client.echo("end")
            commands = []
            while (entry := monitor.next_command())["command"] != "ECHO end":
                is_wanted = any(key in entry["command"] for key in keys)
                if entry["client_type"] != "lua" and is_wanted:
                    commands.append(entry["command"].split()[0])
            return commands

        seen()
        yield seen


def write_to(service: Service, user: User) -> None:
    """Let CHATS users write to this one, GROUPS of them in groups as well."""
    others = [service.register(f"user{n}") for n in range(CHATS)]
    for n, other in enumerate(others):
        other.sent(user)
        if n < GROUPS:
            assert other.send_to_group(create(other, user)).status == 200
    service.persist()
