"""Test the text for Prometheus, read back by prometheus_client's own parser and by promtool."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from messaging.audit.findings import Defect
from messaging.exporter import asked
from messaging.exporter.asked import Answers, Asked
from messaging.exporter.gathering import Gatherer
from messaging.exporter.page import Page, View
from messaging.metrics import snapshot
from messaging.metrics.catalogue import ROLES
from messaging.ports.audit_runs import Scope
from tests.support.snapshots import Process, full_snapshot

ALL_ASKED = [each for each in vars(asked).values() if isinstance(each, Asked)]
OF_THE_PAGE = (asked.source_ok, asked.processes, asked.build_info)


def every_answer() -> Answers:
    """Return an answer for every family, with as many labels as a site has."""
    keys = {
        "partition": [str(n) for n in range(10)],
        "state": ["open", "replayed", "discarded"],
        "backend": ["cache", "log", "store"],
        "against": ["redis", "store"],
        "kind": list(Defect),
        "scope": list(Scope),
    }
    return {
        each: {(key,): 1.5 for key in keys[each.labels[0]]} if each.labels else {(): 1.5}
        for each in ALL_ASKED
        if each not in OF_THE_PAGE
    }


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for role in ROLES:
        snapshot.write(full_snapshot(role), tmp_path / f"{role}.1.json")
    return tmp_path


def page_of(folder: Path, answers: dict[str, Answers | None]) -> bytes:
    gatherer = Gatherer(folder)
    gatherer.open()
    gathered = gatherer.look()
    gatherer.close()
    return Page(lambda: View(gathered, answers)).text()


def series_of(text: bytes) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text.decode())
        for sample in family.samples
    }


def test_a_site_has_fewer_than_a_thousand_series(folder: Path) -> None:
    series = series_of(page_of(folder, {"all": every_answer()}))
    assert 600 < len(series) < 1_000


def test_promtool_finds_no_fault(folder: Path) -> None:
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("no promtool: install Debian's package prometheus")
    text = page_of(folder, {"all": every_answer(), "failed": None})
    done = subprocess.run(
        [promtool, "check", "metrics"], input=text, capture_output=True, timeout=60
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


def test_serves_the_sums_of_processes(tmp_path: Path) -> None:
    for name in ("a", "b"):
        process = Process(tmp_path, name)
        process.sends, process.requests, process.cpu_s = 3, 2, 0.25
        process.write()
    series = series_of(page_of(tmp_path, {}))
    sent = (("chat", "private"), ("durability", "log"), ("kind", "new"))
    send = (("call", "send"), ("door", "gateway"))
    assert series["im_sends_total", sent] == 6
    assert series["im_process_cpu_seconds_total", (("role", "web"),)] == 0.5
    assert series["im_process_starts_total", (("role", "web"),)] == 2
    assert series["im_request_seconds_count", send] == 4
    assert series["im_request_seconds_sum", send] == 0.5
    assert series["im_request_seconds_bucket", tuple(sorted((*send, ("le", "0.001"))))] == 4
    assert series["im_request_seconds_bucket", tuple(sorted((*send, ("le", "+Inf"))))] == 4
    assert series["im_loop_delay_seconds_count", (("role", "web"),)] == 4
    assert series["im_processes", (("role", "web"),)] == 2
    assert series["im_processes", (("role", "worker"),)] == 0
    assert series["im_build_info", (("version", "1.0"),)] == 1


def test_buckets_add_up(folder: Path) -> None:
    series = series_of(page_of(folder, {}))
    delays = {
        dict(labels)["le"]: value
        for (name, labels), value in series.items()
        if name == "im_loop_delay_seconds_bucket" and ("role", "web") in labels
    }
    assert list(delays.values()) == list(range(1, 12))
    assert next(iter(delays)) == "0.001"
    assert next(reversed(delays)) == "+Inf"


def test_a_failed_source_says_so_and_its_series_are_absent(tmp_path: Path) -> None:
    answers: dict[str, Answers | None] = {
        "redis_clock": {asked.clock_offset: {("redis",): 0.25}},
        "store_clock": None,
        "pending": None,
    }
    series = series_of(page_of(tmp_path, answers))
    assert series["im_clock_offset_seconds", (("against", "redis"),)] == 0.25
    assert ("im_clock_offset_seconds", (("against", "store"),)) not in series
    assert not [name for name, _ in series if name.startswith("im_pending")]
    assert [
        series["im_source_ok", (("source", name),)]
        for name in ("redis_clock", "store_clock", "pending")
    ] == [1, 0, 0]


def test_two_sources_may_answer_one_family(tmp_path: Path) -> None:
    text = page_of(
        tmp_path,
        {
            "a": {asked.clock_offset: {("redis",): 1}},
            "b": {asked.clock_offset: {("store",): 2}},
        },
    )
    assert text.count(b"# HELP im_clock_offset_seconds ") == 1
    series = series_of(text)
    against = [series["im_clock_offset_seconds", (("against", n),)] for n in ("redis", "store")]
    assert against == [1, 2]


def test_names_follow_prometheus() -> None:
    assert len({each.name for each in ALL_ASKED}) == len(ALL_ASKED) > 20
    for each in ALL_ASKED:
        assert each.name.startswith("im_")
        assert each.text.endswith(".")
    allowed = {
        *("partition", "state", "backend", "against", "source", "role", "version"),
        *("scope", "kind"),
    }
    assert {label for each in ALL_ASKED for label in each.labels} <= allowed
