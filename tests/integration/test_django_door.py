"""Test the queue for Django: its length, its waits, and slow clients that hold no thread."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.http_client import Answer, Application, AsgiServer, exchange
from tests.support.service import Service, with_settings

ABSENT = "/api/nothing"
LARGE = "/static/admin/js/vendor/jquery/jquery.js"
LONG_S = 20.0


class Held:
    """Hold every call inside Django until it is let go."""

    def __init__(self) -> None:
        self._let_go = threading.Event()
        self.entered = 0

    def __call__(self, *_: object) -> None:
        self.entered += 1
        assert self._let_go.wait(LONG_S)

    def let_go(self) -> None:
        self._let_go.set()


@pytest.fixture
def held(monkeypatch: pytest.MonkeyPatch, application: Application) -> Iterator[Held]:
    """Give Django one thread, and hold each call in it."""
    from imsite import asgi
    from imsite.threads import Threads

    held = Held()
    monkeypatch.setattr(asgi._django, "_threads", Threads(1, name="test"))
    monkeypatch.setattr("django.middleware.locale.LocaleMiddleware.process_request", held)
    yield held
    held.let_go()


def ask(server: AsgiServer, number: int) -> list[Answer]:
    """Return the answers of so many calls at once, in the order in which they came."""

    async def ask() -> list[Answer]:
        calls = [exchange(server.application, "GET", ABSENT, {}, [b""]) for _ in range(number)]
        return [await answer for answer in asyncio.as_completed(calls)]

    answers: list[Answer] = server._run(ask())
    return answers


@with_settings(django_queue=2, django_wait_s=LONG_S, request_timeout_s=0.5)
def test_past_the_queue_is_refused_at_once_and_in_it_at_the_deadline(
    configured: None, application: Application, held: Held
) -> None:
    with AsgiServer(application) as server:
        answers = ask(server, 5)
        held.let_go()
    assert [answer.status for answer in answers] == [429, 429, 503, 503, 503]
    assert all(answer.headers["retry-after"] == "1" for answer in answers)
    assert [answer.code for answer in answers] == [4290, 4290, 5030, 5030, 5030]
    assert held.entered == 1


@with_settings(django_wait_s=0.1, request_timeout_s=1.0)
def test_without_a_thread_is_refused_after_a_while_and_health_is_told(
    configured: None, application: Application, held: Held
) -> None:
    with AsgiServer(application) as server:
        assert [answer.status for answer in ask(server, 3)] == [429, 429, 503]
        # The held call still takes the only thread.
        assert [answer.status for answer in ask(server, 1)] == [429]
        assert server.exchange("GET", "/api/health", {}, [b""]).status == 200
        held.let_go()
        while server.exchange("GET", ABSENT, {}, [b""]).status == 429:
            pass
        assert server.exchange("GET", ABSENT, {}, [b""]).status == 404


@with_settings(django_queue=1)
def test_a_client_that_leaves_gives_up_its_place_in_the_queue(
    configured: None, application: Application, held: Held
) -> None:
    async def leave() -> None:
        events: list[dict[str, Any]] = [{"type": "http.request", "body": b""}]

        async def receive() -> dict[str, Any]:
            return events.pop() if events else {"type": "http.disconnect"}

        async def send(event: object) -> None:
            raise AssertionError(event)

        scope = {"type": "http", "http_version": "1.1", "method": "GET", "path": ABSENT}
        scope |= {"query_string": b"", "headers": [(b"host", b"testserver")]}
        await application(scope, receive, send)

    with AsgiServer(application) as server:
        for _ in range(3):
            server._run(leave())
        held.let_go()
        assert server.exchange("GET", ABSENT, {}, [b""]).status == 404


def test_a_client_that_takes_nothing_holds_no_thread(
    service: Service, application: Application
) -> None:
    """Static files and the admin's pages are large: sixteen of them once held all threads."""

    async def ask_and_not_read() -> None:
        async def send(event: object) -> None:
            await asyncio.Event().wait()

        async def receive() -> dict[str, Any]:
            if not asked.is_set():
                asked.set()
                return {"type": "http.request", "body": b""}
            await asyncio.Event().wait()
            raise AssertionError

        asked = asyncio.Event()
        scope = {"type": "http", "http_version": "1.1", "method": "GET", "path": LARGE}
        scope |= {"query_string": b"", "headers": [(b"host", b"testserver")]}
        await application(scope, receive, send)

    async def many() -> Answer:
        readers = [asyncio.ensure_future(ask_and_not_read()) for _ in range(20)]
        await asyncio.sleep(1)
        try:
            return await exchange(application, "GET", ABSENT, {}, [b""])
        finally:
            for reader in readers:
                reader.cancel()

    server: AsgiServer = service.anybody.exchange.__self__  # type: ignore[attr-defined]
    assert server._run(many()).status == 404
