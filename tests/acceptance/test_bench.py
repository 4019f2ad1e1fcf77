"""Test `manage.py bench` on a running service: the verdict, the reports, and a planted loss."""

from __future__ import annotations

import contextlib
import json
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.processes import clean_environment
from tests.support.real_services import ROOT
from tests.support.site import Site

pytestmark = [
    pytest.mark.acceptance,
    pytest.mark.timeout(120),
    pytest.mark.parametrize("site", ["embedded"], indirect=True),
]

GROUPS = ("private-1", "group-1", "group-2", "private-2")
SHORT = (
    *("--users", "40", "--connections", "8", "--seconds", "0.8", "--warm-up", "0.2"),
    *("--warm-service", "0"),
)


def bench(site: Site, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, ROOT / "manage.py", "bench", "--url", site.service.base_url, *arguments],
        env=clean_environment(**site.service.environment),
        capture_output=True,
        text=True,
        timeout=100,
    )


@contextlib.contextmanager
def losing_a_row(site: Site) -> Iterator[None]:
    """Delete the row of one message of each lap as soon as the row is stored."""
    path = site.service.var_dir / "im.sqlite3"
    with contextlib.closing(sqlite3.connect(path, timeout=20)) as database:
        database.execute(
            "CREATE TRIGGER lose AFTER INSERT ON message"
            " WHEN NEW.client_msg_id LIKE '%-000000-000000003'"
            " BEGIN DELETE FROM message WHERE id = NEW.id; END"
        )
        database.commit()
        try:
            yield
        finally:
            database.execute("DROP TRIGGER lose")
            database.commit()


def test_measures_the_service_and_finds_all_it_was_told_of(site: Site, tmp_path: Path) -> None:
    written, drawn = tmp_path / "run.json", tmp_path / "run.html"
    done = bench(
        site,
        *SHORT,
        "--json",
        written,
        "--html",
        drawn,
        *("closed", "open", "groups", "mix", "drain"),
        *("--rate", "100", "--group-members", "60"),
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1].startswith("PASSED: each of ")
    document = json.loads(written.read_text())
    laps = {each["name"]: each for each in document["measurements"]}
    assert [*laps] == ["noop-8", "closed-8", "open-100", *GROUPS, "mix", "backlog", "drain"]
    assert (document["passed"], document["notes"]) == (True, [])
    assert document["check"]["acknowledged"] > 100
    assert document["check"]["recalled"] > 0
    assert document["check"]["stored"] == document["check"]["acknowledged"]
    for name in ("closed-8", "open-100", "mix", *GROUPS):
        assert laps[name]["errors"] == {}
        assert laps[name]["latency"]["p50"] <= laps[name]["latency"]["p99"]
        assert {"web", "consumer", "worker", "redis", "load"} <= laps[name]["parts"].keys()
        assert laps[name]["parts"]["web"]["cpuS"] > 0
        assert laps[name]["parts"]["consumer"]["peakMb"] > 0
    assert 0 < laps["closed-8"]["ratioToNoop"] < 1
    assert laps["open-100"]["storedAfter"]["p99"] > 0
    assert max(laps["backlog"]["pendingEachSecond"]) > 0
    assert drawn.read_text().startswith("<!doctype html>")


def test_finds_a_planted_loss(site: Site) -> None:
    with losing_a_row(site):
        done = bench(site, *SHORT, "--sends", "40")
    assert done.returncode == 1
    assert "FAILED: of 80 acknowledged messages 1 missing" in done.stdout


class TestRefuses:
    def test_another_machine(self, site: Site) -> None:
        done = bench(site, "--url", "http://192.0.2.1:8082")
        assert done.returncode == 2
        assert "is not this machine" in done.stderr

    def test_a_service_with_another_key(self, site: Site) -> None:
        environment = clean_environment(**site.service.environment, IM_JWT_KEY="k" * 40)
        done = subprocess.run(
            [sys.executable, ROOT / "manage.py", "bench", "--url", site.service.base_url],
            env=environment,
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert done.returncode == 2
        assert "another database or key" in done.stderr
