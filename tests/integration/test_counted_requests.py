"""Test that the front door counts each request once, at either door, by its call and outcome."""

from __future__ import annotations

import pytest

from messaging.gateway.counted import call_of, outcome_of
from messaging.metrics import catalogue
from tests.support.counted import Growth
from tests.support.service import Service, User, at_both_doors


@pytest.mark.parametrize(
    ("method", "path", "call"),
    [
        ("POST", "/api/message/send", "send"),
        ("GET", "/api/message/send", "other"),
        ("GET", "/api/message/history", "history"),
        ("GET", "/api/conversation/list", "list"),
        ("POST", "/api/sync", "sync"),
        ("POST", "/api/conversation/receipts", "mark"),
        ("POST", "/api/message/recall", "recall"),
        ("POST", "/api/message/delete", "delete"),
        ("DELETE", "/api/message/17", "delete"),
        ("GET", "/api/message/17", "fetch"),
        ("GET", "/api/message/١٧", "other"),
        ("GET", "/api/message/17/readers", "other"),
        ("POST", "/api/group/create", "group"),
        ("POST", "/api/user/login", "other"),
        ("GET", "/", "other"),
        ("BREW", "/api/message/17", "other"),
    ],
)
def test_names_the_call_of_a_request(method: str, path: str, call: str) -> None:
    assert call_of(method, path) == call
    assert call in catalogue.CALLS


@pytest.mark.parametrize(
    ("status", "outcome"),
    [
        (200, "ok"),
        (302, "ok"),
        (400, "client"),
        (401, "client"),
        (413, "client"),
        (429, "limited"),
        (499, "client"),
        (500, "error"),
        (502, "error"),
        (503, "unavailable"),
    ],
)
def test_names_the_outcome_of_a_status(status: int, outcome: str) -> None:
    assert outcome_of(status) == outcome


@at_both_doors()
def test_counts_a_request_at_the_door_that_answered_it(
    service: Service, alice: User, bob: User, door: str
) -> None:
    requests, seconds = Growth(catalogue.requests), Growth(catalogue.request_seconds)
    alice.send(bob, "hello")
    alice.history(bob)
    service.anybody.get("/api/message/history")
    assert requests.by_labels() == {
        (door, "send", "ok"): 1,
        (door, "history", "ok"): 1,
        (door, "history", "client"): 1,
    }
    assert seconds.by_labels() == {(door, "send"): 1, (door, "history"): 2}


def test_counts_what_django_answers_and_not_the_health(service: Service) -> None:
    requests = Growth(catalogue.requests)
    service.anybody.get("/api/nothing")
    service.anybody.get("/api/health")
    assert requests.by_labels() == {("django", "other", "client"): 1}
