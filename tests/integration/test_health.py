"""Test the health that the service reports of its parts."""

from __future__ import annotations

import time

import pytest
from pytest_django import Settings

from messaging.metrics import catalogue
from messaging.pipeline.sweep_watch import MARK
from messaging.runtime import wiring
from messaging.tasks import compensate
from tests.support.service import Service, at_both_doors, with_settings

pytestmark = at_both_doors()

NOBODY_LISTENS = "redis://127.0.0.1:1/0"


def test_all_is_well(service: Service) -> None:
    answer = service.anybody.get("/api/health")
    assert (answer.status, answer.data["cache"], answer.data["store"]) == (200, "closed", "closed")
    assert set(answer.data) == {"cache", "log", "store", "compensation", "consumer", "clock"}
    assert (answer.data["compensation"], answer.data["clock"]) == ("closed", "right")
    assert answer.data["consumer"] == "well"


def test_a_sweep_leaves_its_mark(service: Service) -> None:
    """`SweepWatch` looks for this mark."""
    assert not wiring.run(lambda backends: backends.cache.is_leased(MARK))
    before_s = time.time()
    compensate()
    assert wiring.run(lambda backends: backends.cache.is_leased(MARK))
    assert before_s <= catalogue.last_sweep.read()[()] <= time.time()


@pytest.mark.parametrize("host", ["10.0.0.7:8082", "a b", "", "x" * 300, None])
def test_is_told_whatever_the_host_and_without_django(
    service: Service, settings: Settings, monkeypatch: pytest.MonkeyPatch, host: str | None
) -> None:
    settings.ALLOWED_HOSTS = ["chat.example.org"]
    monkeypatch.setattr("imsite.threads.Threads.run", None)
    headers = {"Host": host} if host is not None else {}
    for method in ("GET", "HEAD"):
        answer = service.anybody.call(method, "/api/health", headers=headers)
        assert answer.status == 200
        assert answer.headers["cache-control"] == "no-store"


@with_settings(redis_url=NOBODY_LISTENS)
def test_what_is_away_is_told(service: Service) -> None:
    deadline_s = time.monotonic() + 10
    while (told := service.anybody.get("/api/health").data)["cache"] == "closed":
        assert time.monotonic() < deadline_s
    assert told["cache"] in ("open", "half-open")
    assert told["store"] == "closed"
