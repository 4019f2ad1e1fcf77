"""Test the front door: the requests it lets through, its start and stop, its hidden errors."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Mapping
from typing import Any

import pytest
from pytest_django import Settings

from messaging.limits import MAX_BODY_BYTES, MAX_UNKNOWN_BODY_BYTES
from messaging.runtime import wiring
from tests.support.http_client import Answer, Application, AsgiServer, check_envelope
from tests.support.service import PASSWORD, Service, User, at_both_doors, with_settings

PIECE = b"x" * 65_536


async def serve(
    application: Application,
    receive: Any,
    headers: Mapping[str, str] | None = None,
    *,
    path: str = "/api/user/login",
) -> list[dict[str, Any]]:
    """Send one POST to the application, and return the events that it sent."""
    sent: list[dict[str, Any]] = []

    async def send(event: dict[str, Any]) -> None:
        sent.append(event)

    scope = {
        "type": "http",
        "http_version": "1.1",
        "method": "POST",
        "path": path,
        "query_string": b"",
        "headers": [
            (name.lower().encode(), text.encode())
            for name, text in ({"host": "testserver"} | dict(headers or {})).items()
        ],
    }
    await asyncio.wait_for(application(scope, receive, send), 20)
    return sent


def good_token(server: AsgiServer) -> dict[str, str]:
    """Register a user, and return the header with the user's token."""
    body = json.dumps({"username": "alice", "password": PASSWORD}).encode()
    answer = server.exchange("POST", "/api/user/register", {}, [body])
    return {"Authorization": f"Bearer {answer.data['token']}"}


def answer_of(sent: list[dict[str, Any]]) -> Answer:
    start, *bodies = sent
    headers = {name.decode().lower(): text.decode() for name, text in start["headers"]}
    answer = Answer(
        status=start["status"], headers=headers, content=b"".join(body["body"] for body in bodies)
    )
    check_envelope(answer)
    return answer


class TestABody:
    @pytest.mark.usefixtures("configured")
    def test_without_end_is_neither_kept_nor_waited_for(self, application: Application) -> None:
        pulled = 0

        async def receive() -> dict[str, Any]:
            nonlocal pulled
            await asyncio.sleep(0.001)
            pulled += 1
            return {"type": "http.request", "body": PIECE, "more_body": True}

        answer = answer_of(asyncio.run(serve(application, receive)))
        assert (answer.status, answer.code) == (413, 413)
        assert pulled < 1_000

    @pytest.mark.parametrize("language", ["en", "zh-CN"])
    @with_settings(request_timeout_s=0.2)
    def test_that_does_not_arrive_is_given_up(
        self, configured: None, application: Application, language: str
    ) -> None:
        pieces = [b'{"username": ']

        async def receive() -> dict[str, Any]:
            if not pieces:
                await asyncio.Event().wait()
            return {"type": "http.request", "body": pieces.pop(), "more_body": True}

        answer = answer_of(asyncio.run(serve(application, receive, {"Accept-Language": language})))
        assert (answer.status, answer.code) == (408, 408)
        told = (
            "The request did not arrive in time; send it again."
            if language == "en"
            else "请求未能及时送达，请重新发送。"
        )
        assert answer.body["message"] == told

    def test_whose_sender_leaves_is_dropped(self, application: Application) -> None:
        async def receive() -> dict[str, Any]:
            return {"type": "http.disconnect"}

        assert asyncio.run(serve(application, receive)) == []

    @pytest.mark.parametrize("is_chunked", [False, True])
    @pytest.mark.parametrize(("size", "status"), [(100, 200), (MAX_UNKNOWN_BODY_BYTES, 400)])
    def test_of_a_form_is_refused_rather_than_cut(
        self, configured: None, application: Application, size: int, status: int, is_chunked: bool
    ) -> None:
        form = b"username=a&password=b&x=" + b"x" * size
        token = "t" * 32
        headers = {
            "Content-Type": "application/x-www-form-urlencoded",
            "Cookie": f"csrftoken={token}",
            "X-CSRFToken": token,
        }
        pieces = [form[:50], form[50:]] if is_chunked else [form]
        if not is_chunked:
            headers["Content-Length"] = str(len(form))
        with AsgiServer(application) as server:
            answer = server.exchange("POST", "/admin/login/", headers, pieces)
        assert answer.status == status


@at_both_doors()
def test_a_header_with_an_underscore_does_not_pass_for_another(service: Service) -> None:
    """A balancer strips the client's `X-Forwarded-Proto`, and not `X_Forwarded_Proto`."""
    answer = service.anybody.call("GET", "/api/nothing", headers={"Accept_Language": "zh-CN"})
    assert answer.body["message"] == "There is nothing at this address."


class TestABodyForTheGateway:
    @with_settings(request_timeout_s=0.2)
    def test_that_does_not_arrive_is_given_up(
        self, configured: None, application: Application
    ) -> None:
        async def receive() -> dict[str, Any]:
            await asyncio.Event().wait()
            raise AssertionError

        with AsgiServer(application) as server:
            call = serve(application, receive, good_token(server), path="/api/message/send")
            answer = answer_of(server._run(call))
        assert (answer.status, answer.code) == (408, 408)

    def test_of_nobody_known_is_not_read(self, configured: None, application: Application) -> None:
        async def receive() -> dict[str, Any]:
            raise AssertionError

        with AsgiServer(application) as server:
            call = serve(application, receive, path="/api/message/send")
            assert answer_of(server._run(call)).status == 401

    def test_that_says_it_is_too_large_is_not_read(
        self, configured: None, application: Application
    ) -> None:
        async def receive() -> dict[str, Any]:
            raise AssertionError

        with AsgiServer(application) as server:
            headers = good_token(server)
            for length in (str(MAX_BODY_BYTES + 1), "9" * 5_000):
                call = serve(
                    application,
                    receive,
                    headers | {"Content-Length": length},
                    path="/api/message/send",
                )
                assert answer_of(server._run(call)).status == 413

    def test_whose_client_has_gone_is_no_request(
        self, configured: None, application: Application
    ) -> None:
        events = [
            {"type": "http.request", "body": b"{", "more_body": True},
            {"type": "http.disconnect"},
        ]

        async def receive() -> dict[str, Any]:
            return events.pop(0)

        with AsgiServer(application) as server:
            call = serve(application, receive, good_token(server), path="/api/message/send")
            assert server._run(call) == []


class TestOutsideTheApi:
    def test_pages_are_djangos(self, configured: None, application: Application) -> None:
        with AsgiServer(application) as server:
            login = server.exchange("GET", "/admin/login/", {}, [b""])
            absent = server.exchange("GET", "/nothing", {}, [b""])
            unreadable = server.exchange("GET", "/nothing", {"Host": "a b"}, [b""])
        assert [login.status, absent.status, unreadable.status] == [200, 404, 400]
        for page in (login, absent, unreadable):
            assert page.headers["content-type"].startswith("text/html")

    def test_a_websocket_is_closed(self, application: Application) -> None:
        sent = []

        async def receive() -> dict[str, Any]:
            return {"type": "websocket.connect"}

        async def send(event: dict[str, Any]) -> None:
            sent.append(event["type"])

        asyncio.run(application({"type": "websocket", "path": "/ws"}, receive, send))
        assert sent == ["websocket.close"]


class TestTheLifespan:
    def test_refuses_to_start_with_what_the_checks_refuse(
        self, configured: None, application: Application, settings: Settings
    ) -> None:
        settings.PRODUCTION = True
        settings.SECRET_KEY = settings.UNSET_KEY
        with pytest.raises(RuntimeError, match="IM_SECRET_KEY is not set") as refused:
            AsgiServer(application).__enter__()
        assert "messaging.E001" in str(refused.value)
        assert "HINT" in str(refused.value)

    def test_refuses_to_start_when_the_service_cannot(
        self,
        configured: None,
        application: Application,
        monkeypatch: pytest.MonkeyPatch,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        async def fail(**_: object) -> None:
            raise ZeroDivisionError("why")

        monkeypatch.setattr(wiring, "start", fail)
        with pytest.raises(RuntimeError, match="see the log"):
            AsgiServer(application).__enter__()
        assert "ZeroDivisionError: why" in caplog.text

    def test_starts_again_after_it_has_stopped(
        self, configured: None, application: Application
    ) -> None:
        for name in ("alice", "bob"):
            with AsgiServer(application) as server:
                body = json.dumps({"username": name, "password": "correct horse battery"}).encode()
                answer = server.exchange("POST", "/api/user/register", {}, [body])
                assert answer.status == 200


@at_both_doors()
def test_a_failure_is_noted_and_told_without_its_trace(
    service: Service,
    alice: User,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def fail(*_: object, **__: object) -> None:
        raise ZeroDivisionError("a secret")

    monkeypatch.setattr("messaging.api.messages.fetch", fail)
    monkeypatch.setattr("messaging.gateway.calls.fetch", fail)
    with caplog.at_level(logging.ERROR):
        answer = alice.read(9)
    assert (answer.status, answer.code, answer.data) == (500, 500, None)
    assert b"secret" not in answer.content
    assert b"Traceback" not in answer.content
    (noted,) = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert noted.exc_info
    assert (noted.action, noted.path) == ("request.failed", "/api/message/9")  # type: ignore[attr-defined]


@at_both_doors()
def test_a_refusal_is_told_and_not_noted(
    service: Service, alice: User, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.clear()
    refusals = [
        *(alice.read(9), alice.read("x"), service.anybody.get("/api/message/9")),
        *(alice.client.post("/api/nothing"), alice.client.call("PUT", "/api/message/9")),
        alice.client.call("GET", "/api/message/9", headers={"Host": "a b"}),
    ]
    assert [answer.status for answer in refusals] == [404, 400, 401, 404, 405, 400]
    assert caplog.records == []


def test_a_failure_outside_the_views_is_told_in_the_envelope(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise ZeroDivisionError("a secret")

    monkeypatch.setattr("django.middleware.locale.LocaleMiddleware.process_request", fail)
    answer = service.anybody.get("/api/nothing")
    assert (answer.status, answer.code) == (500, 500)
    assert b"secret" not in answer.content
