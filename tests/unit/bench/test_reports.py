"""Test goals, documents, pages and comparisons of a made-up run."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import pytest

from bench.check.conversation import CheckFindings
from bench.laps.measurement import Measurement, Run
from bench.laps.watch import Seen
from bench.load.histogram import Histogram
from bench.load.plan import LoadResult
from bench.load.usage import Part
from bench.report import compare, page
from bench.report import text as report
from bench.report.document import Document, document_of
from bench.report.goals import judge


def measured(
    name: str,
    *,
    rate: int = 1_000,
    latency_ms: float = 4,
    offered: float | None = None,
    noop_rate: float | None = None,
    **figures: float,
) -> Measurement:
    """Return ten seconds of equal latencies, with the consumer gone in the second one."""
    histogram = Histogram()
    for _ in range(100):
        histogram.add(int(latency_ms * 1000))
    result = LoadResult(
        answered=10 * rate,
        measured=10 * rate,
        measured_s=10,
        part=Part(processes=1, cpu_s=1),
        errors=Counter({"503/5030": 2}) if name == "mix" else Counter(),
        durability=Counter({"log": 90, "cache": 10, "store": 0}),
        each_second=[rate * second for second in range(1, 11)],
        histograms={"send": histogram},
    )
    parts = {"web": Part(2, 5.0, 90.0, [80, 90]), "consumer": Part(1, 2.0, 260.0, [260, 0])}
    return Measurement(
        name=name,
        title=f"<{name}>",
        connections=8,
        offered=offered,
        result=result,
        seen=Seen(parts, [0, 5, 0]),
        noop_rate=noop_rate,
        figures=figures,
    )


def run_of(*measurements: Measurement, findings: CheckFindings | None = None) -> Run:
    return Run(
        name="abcd1234",
        started_ms=1_795_465_251_886,
        service={"log": "Kafka", "database": "mysql"},
        machine={"cores": 2},
        measurements=list(measurements),
        notes=["drain: <nobody> supervises"],
        findings=findings or CheckFindings(acknowledged=1_234, stored=1_234),
    )


def stored_late(measurement: Measurement) -> Measurement:
    measurement.seen.stored_after.add(70_000)
    return measurement


def whole_run() -> Run:
    return run_of(
        measured("closed-32", rate=12_000, noop_rate=30_000),
        measured("closed-256", rate=6_000, noop_rate=30_000),
        stored_late(measured("open-1000", offered=1_000, latency_ms=12)),
        measured("mix"),
        measured("sustain", rate=5_000, offered=5_000, **{"backlog growth/s": 80}),
    )


class TestGoals:
    def test_are_those_of_what_was_measured(self) -> None:
        told = {each.what: (each.reached, each.met) for each in judge(whole_run())}
        assert told == {
            "sends to a bare no-op (<closed-32>)": ("0.40", True),
            "sends to a bare no-op (<closed-256>)": ("0.20", False),
            "p50 (<closed-32>)": ("4 ms", True),
            "p50 of sends at 1,000/s": ("12 ms", False),
            "p99 of sends at 1,000/s": ("12 ms", False),
            "answers that say `log`": ("90 %", False),
            "errors at that rate": ("0", True),
            "p50 until stored at 1,000/s": ("70 ms", False),
            "p99 until stored at 1,000/s": ("70 ms", True),
            "accept and drain together": ("5,000/s", True),
            "growth of the backlog meanwhile": ("80/s", False),
            "memory of a web process": ("90 MB", True),
            "memory of a consumer process": ("260 MB", False),
        }

    def test_compare_the_modes(self) -> None:
        run = run_of(
            measured("sync", rate=200),
            measured("async", rate=3_000),
            measured("sync-equal", latency_ms=200),
            measured("async-equal", latency_ms=40),
        )
        told = {each.what: each.reached for each in judge(run) if "sync" in each.what}
        assert told == {
            "throughput of async to sync mode": "15",
            "p99 of async to sync mode at equal load": "0.20",
        }

    def test_judge_lists_by_their_slowest_answers_and_their_errors(self) -> None:
        run = run_of(
            measured("list", latency_ms=19),
            measured("sync-idle", latency_ms=22),
            measured("sync-news", latency_ms=50),
            measured("marks", latency_ms=100, offered=3_000, rate=2_900),
        )
        told = {each.what: each.met for each in judge(run)}
        assert told["p99 of the list of 200 conversations"]
        assert not told["p99 of a sync with nothing new"]
        assert told["p99 of a sync with news in 20 of 200"]
        assert told["p99 of marks of what was read"]
        assert not told["marks a second"]
        assert told["errors in the lap `list`"]

    def test_compare_a_group_with_private_sends_over_both_passes(self) -> None:
        laps = {"private-1": 1_000, "group-1": 940, "group-2": 1_020, "private-2": 1_000}
        run = run_of(*(measured(name, rate=rate) for name, rate in laps.items()))
        what = "rate of sends to a group to private ones"
        assert [(e.reached, e.met) for e in judge(run) if e.what == what] == [("0.98", True)]
        slow = run_of(*(measured(n, rate=r - 60 * ("group" in n)) for n, r in laps.items()))
        assert [(e.reached, e.met) for e in judge(slow) if e.what == what] == [("0.92", False)]
        broken = run_of(*(measured(name, rate=laps[name]) for name in list(laps)[:2]))
        assert what not in {each.what for each in judge(broken)}


class TestTheVerdict:
    def test_is_that_of_the_check(self) -> None:
        failed = run_of(findings=CheckFindings(acknowledged=10, missing=1, gaps=2))
        document = document_of(failed)
        assert not document["passed"]
        assert document["verdict"] == (
            "FAILED: of 10 acknowledged messages 1 missing, 2 gaps in the numbers."
        )

    def test_is_not_good_when_nothing_was_acknowledged(self) -> None:
        document = document_of(run_of(findings=CheckFindings(stored=3)))
        assert (document["passed"], document["verdict"][:6]) == (False, "FAILED")

    def test_is_the_last_line(self) -> None:
        document = document_of(whole_run())
        lines = list(report.lines(document))
        assert lines[-1] == document["verdict"]
        assert lines[-1].startswith("PASSED: each of 1,234 acknowledged messages")
        assert any("503/5030: 2" in line for line in lines)
        assert any(re.search("no-op .<closed-32>. .* 0.40 +met", line) for line in lines)


class TestThePage:
    def test_needs_nothing_from_elsewhere(self) -> None:
        written = page.render(document_of(whole_run()))
        assert written.count("<figure>") == 3 * 5
        assert written.count("<polyline") == 2 * 5
        assert written.count("<title>100 requests</title>") == 5
        for word in ("<script", "<link", "@import", "url(", "src=", "http"):
            assert word not in written
        assert "&lt;closed-32&gt;" in written
        assert "<nobody>" not in written

    def test_takes_a_run_of_nothing(self) -> None:
        empty = measured("drain")
        empty.result.histograms = {}
        assert "&lt;drain&gt;" in page.render(document_of(run_of(empty)))


class TestComparison:
    def earlier(self, path: Path) -> Document:
        before = document_of(run_of(measured("closed-32", rate=6_000, noop_rate=30_000)))
        path.write_text(compare.dump(before))
        return compare.load(path)

    def test_is_of_what_both_runs_measured(self, tmp_path: Path) -> None:
        now = document_of(whole_run())
        changes = list(compare.changes(self.earlier(tmp_path / "earlier.json"), now))
        told = {each.figure: (each.before, each.now, round(each.percent)) for each in changes}
        assert {each.title for each in changes} == {"<closed-32>"}
        assert told["rate/s"] == (6_000, 12_000, 100)
        assert told["ratio to no-op"] == (0.2, 0.4, 100)
        assert told["CPU us a request"][2] == -50
        assert "+100%" in page.render(now, changes)
        assert any("+100%" in line for line in report.lines(now, changes))

    @pytest.mark.parametrize("text", ["", "[]", "{}", '{"format": 0}'])
    def test_takes_runs_only(self, text: str, tmp_path: Path) -> None:
        (tmp_path / "other.json").write_text(text)
        with pytest.raises(compare.NotComparable):
            compare.load(tmp_path / "other.json")
        with pytest.raises(compare.NotComparable):
            compare.load(tmp_path / "missing.json")

    def test_with_the_last_run_needs_the_same_kinds_of_services(self, tmp_path: Path) -> None:
        path = tmp_path / "last.json"
        assert compare.load_alike(path, document_of(whole_run())) is None
        before = self.earlier(path)
        assert compare.load_alike(path, document_of(whole_run())) == before
        other = whole_run()
        other.service |= {"log": "Redis Streams"}
        assert compare.load_alike(path, document_of(other)) is None
