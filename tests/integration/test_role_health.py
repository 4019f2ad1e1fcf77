"""Test `manage.py health` on real files, a real Redis and a real HTTP server."""

from __future__ import annotations

import contextlib
import io
import socket
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import msgspec
import pytest
import redis
from django.core.management import call_command
from pytest_django import Settings

from messaging.cache import keys
from messaging.management.role_health import OLDEST_S
from messaging.metrics import snapshot
from messaging.pipeline.sweep_watch import MARK, SWEEPERS
from tests.support.real_services import free_port
from tests.support.serving import serving

Health = Callable[..., tuple[int, str]]


@pytest.fixture
def health(redis_url: str, settings: Settings, tmp_path: Path) -> Health:
    """Return a function that runs the command, and returns its exit status and its one line."""

    def run(role: str, **changed: Any) -> tuple[int, str]:
        given = {"redis_url": redis_url, "metrics_dir": str(tmp_path), "metrics": True} | changed
        settings.IM = replace(settings.IM, **given)
        output = io.StringIO()
        try:
            call_command("health", role, stdout=output)
        except SystemExit as end:
            return int(str(end.code)), output.getvalue()
        return 0, output.getvalue()

    return run


@contextlib.contextmanager
def answering(status: int) -> Iterator[tuple[str, list[str]]]:
    """Answer every GET with this status; yield the address, and the paths asked for so far."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(status)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with serving(HTTPServer(("127.0.0.1", 0), Handler)) as port:
        yield f"http://127.0.0.1:{port}", asked


def write(folder: Path, role: str, *, age_s: float = 0, **changed: Any) -> None:
    taken = snapshot.take(role=role, release="1", started_ms=5, loop_age_s=0.1)
    changed = {"written_ms": round((time.time() - age_s) * 1000)} | changed
    name = f"{len(list(folder.iterdir()))}.json"
    snapshot.write(msgspec.structs.replace(taken, **changed), folder / name)


class TestAProcessThatWritesSnapshots:
    @pytest.mark.parametrize("role", ["consumer", "worker"])
    def test_is_well_while_it_moves(self, health: Health, tmp_path: Path, role: str) -> None:
        write(tmp_path, role, loop_age_s=OLDEST_S - 1)
        write(tmp_path, role, age_s=60)  # of one that was killed
        assert health(role) == (0, f"{role}: 1 of 1 processes on {socket.gethostname()} run\n")

    @pytest.mark.parametrize(
        "changed",
        [
            {"age_s": OLDEST_S + 1},
            {"age_s": -3_600},
            {"is_over": True},
            {"host": "another-container"},
            {"role": "web"},
        ],
        ids=str,
    )
    def test_is_missed(self, health: Health, tmp_path: Path, changed: dict[str, Any]) -> None:
        write(tmp_path, **({"role": "consumer"} | changed))
        status, line = health("consumer")
        assert status == 1
        assert "start manage.py run_kafka_consumer" in line
        assert line.count("\n") == 1

    def test_is_unwell_when_its_loop_stands_still(self, health: Health, tmp_path: Path) -> None:
        write(tmp_path, "worker", loop_age_s=OLDEST_S + 1, pid=77)
        status, line = health("worker")
        assert (status, "restart pid 77" in line) == (1, True)

    def test_is_well_beside_one_whose_loop_stands_still(
        self, health: Health, tmp_path: Path
    ) -> None:
        write(tmp_path, "consumer", loop_age_s=OLDEST_S + 1)
        write(tmp_path, "consumer")
        status, line = health("consumer")
        assert (status, "1 of 2 processes" in line) == (0, True)

    def test_cannot_be_judged_where_nothing_is_written(self, health: Health) -> None:
        status, line = health("consumer", metrics=False)
        assert (status, "set IM_METRICS=on" in line) == (1, True)


class TestBeat:
    def test_is_well_after_a_sweep(self, health: Health, redis_url: str) -> None:
        assert health("beat")[0] == 1
        with redis.Redis.from_url(redis_url) as client:
            client.set(keys.lease(MARK), SWEEPERS)
        assert health("beat") == (0, "beat: a sweep ended within the last 300 s\n")

    def test_is_not_to_blame_for_redis(self, health: Health) -> None:
        status, line = health("beat", redis_url=f"redis://127.0.0.1:{free_port()}/0")
        assert (status, "Redis is away" in line) == (0, True)


@pytest.mark.parametrize(
    ("role", "setting", "path"),
    [("web", "site_url", "/health/live"), ("exporter", "exporter_url", "/health")],
)
class TestAnAddress:
    def test_that_answers_is_well(self, health: Health, role: str, setting: str, path: str) -> None:
        with answering(200) as (url, asked):
            assert health(role, **{setting: url}) == (0, f"{role}: {url}{path} answers\n")
        assert asked == [path]

    def test_that_answers_with_an_error_is_not(
        self, health: Health, role: str, setting: str, path: str
    ) -> None:
        with answering(503) as (url, _):
            status, line = health(role, **{setting: url})
        assert (status, f"{url}{path} answers 503" in line) == (1, True)

    @pytest.mark.parametrize("url", ["http://127.0.0.1:1", "nowhere"])
    def test_that_does_not_answer_is_told_with_the_remedy(
        self, health: Health, role: str, setting: str, path: str, url: str
    ) -> None:
        status, line = health(role, **{setting: url})
        assert status == 1
        assert f"set IM_{setting.upper()}" in line
        assert line.count("\n") == 1
