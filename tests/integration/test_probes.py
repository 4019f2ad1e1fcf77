"""Test the probes of balancers at the front door."""

from __future__ import annotations

import asyncio
import json
import re
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from typing import Any

import pytest
from pytest_django import Settings

from imsite import settings as site
from messaging.runtime import wiring
from tests.support.http_client import Answer, Application, AsgiServer, Client, exchange
from tests.support.service import Service, with_settings

ALL_IS_WELL = {"status": "ok", "away": [], "sends": "log", "reads": "all"}


@pytest.fixture
def server(configured: None, application: Application) -> Iterator[AsgiServer]:
    with AsgiServer(application) as server:
        yield server


def probe(server: AsgiServer, path: str, **headers: str) -> Answer:
    return server.exchange("GET", path, headers, [b""])


def told(answer: Answer) -> tuple[int, dict[str, Any]]:
    return answer.status, json.loads(answer.content)


class TestAProbe:
    def test_is_told_the_mode(self, server: AsgiServer) -> None:
        assert told(probe(server, "/health/ready")) == (200, ALL_IS_WELL)
        assert told(probe(server, "/health/live")) == (200, {"status": "ok"})

    @pytest.mark.parametrize("path", ["/health/live", "/health/ready"])
    @pytest.mark.parametrize("host", ["10.0.0.7:8082", "a b", "", "x" * 300])
    def test_is_answered_whatever_the_host_and_without_django(
        self,
        server: AsgiServer,
        settings: Settings,
        monkeypatch: pytest.MonkeyPatch,
        path: str,
        host: str,
    ) -> None:
        settings.ALLOWED_HOSTS = ["chat.example.org"]
        monkeypatch.setattr("imsite.threads.Threads.run", None)
        for method in ("GET", "HEAD"):
            answer = server.exchange(method, path, {"Host": host}, [b""])
            assert answer.status == 200
            assert answer.headers["content-type"] == "application/json"
            assert answer.headers["cache-control"] == "no-store"
            assert not re.search(rb"\d", answer.content)

    def test_is_bounded_like_every_request(self, server: AsgiServer) -> None:
        assert probe(server, "/health/live", **{"X-Long": "x" * 100_000}).status == 400

    def test_that_asks_for_anything_else_is_djangos(self, server: AsgiServer) -> None:
        assert server.exchange("POST", "/health/live", {}, [b""]).status == 404
        assert probe(server, "/health/other").status == 404

    @with_settings(redis_url="redis://127.0.0.1:1/0")
    def test_is_told_of_what_is_away_and_still_let_in(self, server: AsgiServer) -> None:
        """The log is on another Redis, which answers."""
        deadline_s = time.monotonic() + 10
        while (answer := told(probe(server, "/health/ready")))[1]["away"] != ["cache"]:
            assert time.monotonic() < deadline_s, answer
        assert answer == (
            200,
            {"status": "degraded", "away": ["cache"], "sends": "log", "reads": "database, partial"},
        )
        assert probe(server, "/health/live").status == 200

    def test_is_refused_by_a_process_without_a_worker_id(self, server: AsgiServer) -> None:
        wiring.backends().ids.use(None)
        assert told(probe(server, "/health/ready")) == (503, {"status": "no worker id"})
        assert probe(server, "/health/live").status == 200

    def test_does_not_wait_behind_slow_requests_for_django(
        self, server: AsgiServer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        service = Service(Client(server.exchange))
        token = service.register("alice").client.token
        entered, left = threading.Semaphore(0), threading.Event()

        def be_slow(*_: object) -> None:
            entered.release()
            left.wait(30)

        monkeypatch.setattr("django.middleware.locale.LocaleMiddleware.process_request", be_slow)
        count = 2 * site.DJANGO_THREADS
        with ThreadPoolExecutor(count) as clients:
            signed = {"Authorization": f"Bearer {token}"}
            slow = [clients.submit(probe, server, "/nothing", **signed) for _ in range(count)]
            try:
                for _ in range(site.DJANGO_THREADS):
                    assert entered.acquire(timeout=30)
                assert probe(server, "/health/live").status == 200
                assert told(probe(server, "/health/ready")) == (200, ALL_IS_WELL)
                assert not any(each.done() for each in slow[: site.DJANGO_THREADS])
            finally:
                left.set()
            wait(slow)


class TestTheLifeOfAProcess:
    """Each test holds the process up in one phase, and asks it there."""

    def test_is_not_ready_while_it_starts(
        self,
        configured: None,
        application: Application,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        start, asked = wiring.start, []

        async def ask_and_start(**options: Any) -> None:
            asked.append(await self.ask(application))
            await start(**options)

        monkeypatch.setattr(wiring, "start", ask_and_start)
        with AsgiServer(application) as server:
            asked.append(server._run(self.ask(application)))
        starting = (503, {"status": "starting"})
        assert asked == [((200, {"status": "ok"}), starting), self.well]

    def test_is_not_ready_from_the_begin_of_its_shutdown(
        self,
        configured: None,
        application: Application,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        stop, asked = wiring.stop, []

        async def ask_and_stop() -> None:
            asked.append(await self.ask(application))
            await stop()
            asked.append(await self.ask(application))

        monkeypatch.setattr(wiring, "stop", ask_and_stop)
        with AsgiServer(application):
            pass
        draining = ((200, {"status": "ok"}), (503, {"status": "draining"}))
        assert asked == [draining, draining]

    def test_is_not_alive_once_it_is_closed(
        self, configured: None, application: Application
    ) -> None:
        with AsgiServer(application):
            pass
        closed = (503, {"status": "closed"})
        assert asyncio.run(self.ask(application)) == (closed, closed)

    well = ((200, {"status": "ok"}), (200, ALL_IS_WELL))

    @staticmethod
    async def ask(application: Application) -> tuple[Any, Any]:
        live, ready = [
            told(await exchange(application, "GET", f"/health/{each}", {}, [b""]))
            for each in ("live", "ready")
        ]
        return live, ready
