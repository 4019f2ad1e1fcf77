"""Keep a connection to each web process of a service, so that a test chooses who answers."""

from __future__ import annotations

import contextlib
import http.client
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from tests.support.http_client import Answer
from tests.support.service import User
from tests.support.site import TIMEOUT_S, Site

CONNECTIONS = 40  # tried; a kernel gives each to a process at random


class KeptConnection:
    """Make calls over one connection, which one web process answers.

    Raises: OSError or HTTPException, from a call over a connection that was closed.
    """

    def __init__(self, port: int) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=TIMEOUT_S)
        self._connection.auto_open = 0
        self._connection.connect()

    def exchange(
        self, method: str, target: str, headers: Mapping[str, str], pieces: Sequence[bytes]
    ) -> Answer:
        self._connection.request(method, target, b"".join(pieces), dict(headers))
        answer = self._connection.getresponse()
        names = {name.lower(): value for name, value in answer.getheaders()}
        return Answer(answer.status, names, answer.read())

    def of(self, user: User) -> User:
        """Return the user, calling over this connection."""
        return replace(user, client=replace(user.client, exchange=self.exchange))

    def close(self) -> None:
        self._connection.close()


def process_of(message_id: str) -> int:
    """Return the worker id in a message id, which names the process that took the message."""
    return int(message_id) >> 12 & 1023


@contextlib.contextmanager
def connections_to_two(site: Site, one: User, other: User) -> Iterator[Sequence[KeptConnection]]:
    """Open a connection to each of two web processes.

    `one` sends to `other` over each connection, because the ids tell the processes.
    """
    with contextlib.ExitStack() as stack:
        found: dict[int, KeptConnection] = {}
        for _ in range(CONNECTIONS):
            connection = KeptConnection(site.service.port)
            stack.callback(connection.close)
            found.setdefault(process_of(connection.of(one).sent(other)), connection)
            if len(found) == 2:
                break
        assert len(found) == 2, "one process took every connection"
        yield list(found.values())
