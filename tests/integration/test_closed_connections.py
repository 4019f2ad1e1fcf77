"""Check that database connections ended by the server are replaced before a caller notices.

The server ends connections that have been idle for `wait_timeout`, that an operator kills, and all
of them when it is started again.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.db import OperationalError, connection, connections
from django.test import Client as Visitor

from imsite.settings import DJANGO_THREADS
from messaging.directory.database import DatabaseDirectory
from messaging.runtime import wiring
from messaging.service.backends import Backends
from messaging.sessions import open_session
from messaging.store.database import DatabaseStore
from tests.support.service import PASSWORD, Service, User

pytestmark = pytest.mark.skipif(connection.vendor != "mysql", reason="MySQL and MariaDB alone")
WAIT_TIMEOUT_S = 2
BLOCKS = "/api/user/blocks"


@pytest.fixture
def before(transactional_db: None) -> int:
    """Return the id of a connection that is opened before the service has any."""
    connection.close()
    with connection.cursor() as cursor:
        cursor.execute("SELECT CONNECTION_ID()")
        return int(cursor.fetchone()[0])


def end_connections(*, after: int) -> int:
    """Kill all connections with a higher id, but this thread's new one; return their number.

    Earlier connections belong to threads that outlive the test, and other tests use them.
    """
    connection.close()
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT id FROM information_schema.processlist"
            " WHERE id > %s AND id <> CONNECTION_ID() AND db = DATABASE()",
            [after],
        )
        ids = [row[0] for row in cursor.fetchall()]
        for each in ids:
            with contextlib.suppress(OperationalError):  # the connection has ended by itself
                cursor.execute(f"KILL {each}")
    return len(ids)


class Calls:
    """Make each kind of call, on each pool of connections, once or more often."""

    def __init__(self, service: Service, alice: User, bob: User) -> None:
        self.service, self.alice, self.bob = service, alice, bob
        self.number = 0
        self.group = service.make_group(alice, bob)
        operator = get_user_model().objects.create_superuser("operator", password=PASSWORD)
        visitor = Visitor()
        visitor.force_login(operator)
        self.cookie = f"sessionid={visitor.cookies['sessionid'].value}"
        self.refresh = str(open_session(operator))

    def of_django(self) -> list[int]:
        self.number += 1
        anybody, alice = self.service.anybody, self.alice.client
        name = f"newcomer{self.number}"
        cookie = {"Cookie": self.cookie}
        return [
            anybody.post("/api/user/login", {"username": "alice", "password": PASSWORD}).status,
            anybody.post("/api/user/register", {"username": name, "password": PASSWORD}).status,
            self.renew(),
            alice.post("/api/user/block", {"userId": self.service.register(f"a{name}").id}).status,
            alice.get(BLOCKS).status,
            anybody.exchange("GET", "/admin/messaging/chatgroup/", cookie, [b""]).status,
        ]

    def renew(self) -> int:
        answer = self.service.anybody.post("/api/token/refresh/", {"refresh": self.refresh})
        self.refresh = answer.data["refresh"]
        return answer.status

    def of_the_store(self) -> list[int]:
        first = self.alice.send_to_group(self.group)  # synchronous
        return [
            first.status,
            self.alice.send(self.bob).status,
            self.alice.group_history(self.group, beforeId=2**63 - 1).status,
            self.alice.delete(first.data["messageId"]).status,
        ]

    def beside(self) -> None:
        """Use all threads of the store and the directory at once, and their probes."""

        async def ask(backends: Backends) -> None:
            store, directory = backends.store, backends.directory
            assert isinstance(store, DatabaseStore)
            assert isinstance(directory, DatabaseDirectory)
            directory.expire_all()
            asked: list[Awaitable[Any]] = [store.ping() for _ in range(16)]
            asked += [directory.user_exists(n) for n in range(1_000, 1_016)]
            await asyncio.gather(*asked, store.probe(), directory._threads.probe())

        wiring.run(ask)


def test_nobody_notices(
    before: int,
    service: Service,
    alice: User,
    bob: User,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    options = connections.databases["default"]["OPTIONS"]
    usual = options["init_command"]
    monkeypatch.setitem(options, "init_command", f"{usual}, wait_timeout={WAIT_TIMEOUT_S}")
    calls = Calls(service, alice, bob)

    def all_pass() -> None:
        # Callers beside each other, so that several of Django's threads are used.
        with ThreadPoolExecutor(DJANGO_THREADS) as people:
            lists = people.map(lambda _: alice.client.get(BLOCKS).status, range(2 * DJANGO_THREADS))
            assert set(lists) == {200}
        calls.beside()
        assert set(calls.of_django()) == {200}
        assert set(calls.of_the_store()) == {200}
        assert not {getattr(r, "backend", "") for r in caplog.records} & {"store", "directory"}

    all_pass()
    assert end_connections(after=before) > 10
    calls.beside()
    assert set(calls.of_the_store()) == {200}
    end_connections(after=before)
    all_pass()
    time.sleep(1.5 * WAIT_TIMEOUT_S)
    all_pass()
    monkeypatch.setitem(options, "init_command", usual)
    # The next tests must find connections with the usual wait_timeout.
    end_connections(after=before)
    connection.close()


async def test_the_store_pays_no_ping_for_it(
    transactional_db: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    pings: list[object] = []
    wrapper = type(connections["default"])
    monkeypatch.setattr(wrapper, "is_usable", lambda self: pings.append(self) or True)
    store = DatabaseStore(wiring.settings())
    for _ in range(20):
        await store.ping()
    await store.close()

    assert pings == []
