"""Test that the sums over processes never fall, whatever ends, stands still or is started again."""

from __future__ import annotations

import json
import os
import random
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from messaging.exporter.accumulator import FILE, MOST_SILENT, FolderTaken
from messaging.exporter.counts import MILLION, Series
from messaging.exporter.gathering import Gathered, Gatherer
from messaging.metrics import snapshot
from messaging.metrics.snapshot import DEAD_AFTER_S
from tests.support.snapshots import Process

SENDS: Series = ("im_sends_total", ("private", "log", "new"))
REQUESTS: Series = ("im_request_seconds", ("gateway", "send"))
NOW_S = 1_800_000_000.0
DELAYS_OF_WEB: Series = ("im_loop_delay_seconds", ("web",))


@dataclass
class Clock:
    now_s: float = 1_000.0

    def __call__(self) -> float:
        return self.now_s


class Site:
    """Hold a folder of snapshots with its exporter, which a test may start anew."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.clock = Clock()
        self._gatherer = self._start()

    def _start(self) -> Gatherer:
        gatherer = Gatherer(self.folder, monotonic_s=self.clock, wall_s=lambda: NOW_S)
        gatherer.open()
        return gatherer

    def restart(self) -> None:
        self.stop()
        self._gatherer = self._start()

    def stop(self) -> None:
        self._gatherer.close()

    def look(self, *, after_s: float = 1.0) -> Gathered:
        self.clock.now_s += after_s
        return self._gatherer.look()

    def process(self, name: str, *, role: str = "web", age_s: float = 0, **more: str) -> Process:
        return Process(self.folder, name, role=role, mtime_s=NOW_S - age_s, **more)

    def files(self) -> list[str]:
        return sorted(path.name for path in self.folder.glob("*.json"))


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    opened = Site(tmp_path / "metrics")
    yield opened
    opened.stop()


def sends(gathered: Gathered) -> float:
    return gathered.counts[SENDS][0] / MILLION


def test_every_series_is_there_before_a_process_is(site: Site) -> None:
    found = site.look()
    assert found.counts[SENDS] == [0]
    assert found.counts["im_process_starts_total", ("worker",)] == [0]
    assert set(found.counts[REQUESTS]) == {0}
    assert found.gauges == {}
    assert found.processes == {"web": 0, "consumer": 0, "worker": 0}
    assert found.releases == frozenset()


def test_adds_up_what_processes_count(site: Site) -> None:
    for name, count in (("a", 3), ("b", 4)):
        process = site.process(name)
        process.sends, process.requests, process.cpu_s = count, count, 0.25
        process.write()
    consumer = site.process("c", role="consumer", release="1.1")
    consumer.cpu_s, consumer.requests = 2.5, 7
    consumer.write()

    found = site.look()

    assert sends(found) == 7
    assert found.counts[REQUESTS][0] == 14 * MILLION
    assert found.counts[REQUESTS][-1] == 3 * MILLION  # the sums
    assert found.counts["im_process_cpu_seconds_total", ("web",)] == [MILLION // 2]
    assert found.counts["im_process_cpu_seconds_total", ("consumer",)] == [5 * MILLION // 2]
    assert found.counts[DELAYS_OF_WEB][0] == 7 * MILLION
    assert found.processes == {"web": 2, "consumer": 1, "worker": 0}
    assert found.releases == {"1.0", "1.1"}


def test_joins_gauges_as_their_families_say(site: Site) -> None:
    for name, lease_s, sweep_s in (("a", 40.0, 100.0), ("b", 30.0, 200.0)):
        process = site.process(name)
        process.gauges = {
            "im_worker_lease_seconds": [((), lease_s)],
            "im_compensation_last_timestamp": [((), sweep_s)],
            "im_breaker_processes": [(("log", "open"), 1)],
            "im_arrears_late": [((), 2)],
        }
        process.write()
    assert site.look().gauges == {
        ("im_worker_lease_seconds", ("web",)): 30.0,
        ("im_compensation_last_timestamp", ()): 200.0,
        ("im_breaker_processes", ("log", "open", "web")): 2,
        ("im_arrears_late", ()): 4,
    }


def test_a_process_that_says_it_ends_is_kept_in_the_sums_alone(site: Site) -> None:
    process = site.process("a")
    process.sends, process.gauges = 5, {"im_arrears_late": [((), 2)]}
    process.write()
    assert site.look().processes["web"] == 1
    process.sends = 6
    process.write(is_over=True)

    found = site.look()

    assert (sends(found), found.processes["web"], found.gauges) == (6, 0, {})
    assert found.releases == frozenset()
    assert site.files() == []
    assert sends(site.look()) == 6


def test_a_process_lives_while_its_file_changes(site: Site) -> None:
    process = site.process("a")
    process.sends = 5
    for _ in range(3):
        process.write()
        assert site.look(after_s=DEAD_AFTER_S).processes["web"] == 1
    assert site.look(after_s=DEAD_AFTER_S - 0.1).processes["web"] == 1
    assert site.files() == ["web.a.json"]

    found = site.look(after_s=0.2)

    assert (sends(found), found.processes["web"], site.files()) == (5, 0, [])


def test_at_the_start_the_age_of_a_file_tells_who_lives(site: Site) -> None:
    for name, age_s in (("young", DEAD_AFTER_S - 2), ("old", DEAD_AFTER_S + 1), ("ahead", -500)):
        process = site.process(name, age_s=age_s)
        process.sends = 1
        process.write()
    found = site.look()
    assert (sends(found), found.processes["web"]) == (3, 2)
    assert site.files() == ["web.ahead.json", "web.young.json"]
    site.process("later", age_s=9_999).write()  # the clocks of file systems may be far off
    assert site.look().processes["web"] == 3


def test_a_process_that_stood_still_is_not_counted_twice(site: Site) -> None:
    process = site.process("a")
    process.sends, process.cpu_s = 5, 0.1
    process.write()
    site.look()
    assert site.look(after_s=DEAD_AFTER_S + 1).processes["web"] == 0
    site.restart()
    assert sends(site.look()) == 5

    process.sends = 8
    process.write()

    for _ in range(2):
        found = site.look()
        assert (sends(found), found.processes["web"]) == (8, 1)
        site.restart()
    process.write(is_over=True)
    assert sends(site.look()) == 8


def test_sums_stay_over_restarts_of_the_exporter(site: Site) -> None:
    ended, living = site.process("a"), site.process("b")
    ended.sends, living.sends, ended.requests = 5, 2, 3
    ended.write(is_over=True)
    living.write()
    site.look()
    site.restart()
    found = site.look()
    assert sends(found) == 7
    assert found.counts[REQUESTS][0] == 3 * MILLION


def test_a_crash_before_the_removal_of_a_file_counts_nothing_twice(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    process = site.process("a")
    process.sends = 5
    process.write(is_over=True)
    with monkeypatch.context() as patch:
        patch.setattr(Gatherer, "_remove", lambda self, path: None)
        assert sends(site.look()) == 5
        assert sends(site.look()) == 5
    assert site.files() == ["web.a.json"]
    site.restart()
    assert sends(site.look()) == 5
    assert site.files() == []
    assert sends(site.look()) == 5


def test_a_file_that_cannot_be_removed_brings_nobody_back(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Gatherer, "_remove", lambda self, path: None)
    process = site.process("a")
    process.sends = 5
    process.write()
    site.look()
    for after_s in (DEAD_AFTER_S + 1, 1.0, 1.0):
        found = site.look(after_s=after_s)
        assert (sends(found), found.processes["web"]) == (5, 0)


def test_a_full_disk_loses_no_count(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: Path, data: bytes) -> int:
        raise OSError(28, "No space left on device")

    process = site.process("a")
    process.sends = 5
    process.write(is_over=True)
    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_bytes", refuse)
        for _ in range(3):
            found = site.look()
            assert (sends(found), found.processes["web"]) == (5, 0)
    assert site.files() == ["web.a.json"]
    assert sends(site.look()) == 5
    assert site.files() == []


def test_a_file_that_somebody_removes_leaves_its_counts(site: Site) -> None:
    process = site.process("a")
    process.sends = 5
    process.write()
    site.look()
    process.path.unlink()
    found = site.look()
    assert (sends(found), found.processes["web"]) == (5, 0)


def test_snapshots_of_another_release_are_taken_as_far_as_they_are_known(site: Site) -> None:
    process = site.process("a", release="9.0")
    process.sends = 5
    process.gauges = {
        "im_pigeons_total": [((), 3)],
        "im_sends_refused_total": [(("fog",), 3), (("rate",), 2)],
        "im_breaker_processes": [(("pigeons", "open"), 1)],
    }
    process.write()
    taken = json.loads(process.path.read_bytes())
    taken["cells"]["im_batch_rows"] = [[[], [1, 2, 3]]]
    taken["weather"] = "rain"
    process.path.write_text(json.dumps(taken))
    os.utime(process.path, (NOW_S, NOW_S))
    stranger = site.process("b", role="pigeon")
    stranger.sends = 1
    stranger.write()

    found = site.look()

    assert sends(found) == 6
    assert found.counts["im_sends_refused_total", ("rate",)] == [2 * MILLION]
    assert set(found.counts["im_batch_rows", ()]) == {0}
    assert found.gauges == {}
    assert {name for name, _ in found.counts} & {"im_pigeons_total"} == set()
    assert ("im_sends_refused_total", ("fog",)) not in found.counts
    assert found.processes == {"web": 1, "consumer": 0, "worker": 0}


def test_kept_counts_of_another_release_are_left_out(site: Site) -> None:
    process = site.process("a")
    process.sends = process.requests = 5
    process.write(is_over=True)
    site.look()
    path = site.folder / FILE
    kept = json.loads(path.read_bytes())
    kept["rest"].append(["im_pigeons_total", [], [3]])
    kept["rest"].append(["im_batch_rows", [], [3]])
    path.write_text(json.dumps(kept))
    site.restart()
    found = site.look()
    assert sends(found) == 5
    assert set(found.counts["im_batch_rows", ()]) == {0}


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"ended": 3, "rest": []}'])
def test_a_file_of_counts_that_cannot_be_read_stops_nothing(
    site: Site, content: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    (site.folder / FILE).write_bytes(content)
    site.restart()
    assert caplog.records[-1].__dict__["action"] == "exporter.counts_unreadable"
    process = site.process("a")
    process.sends = 5
    process.write()
    assert sends(site.look()) == 5


def test_half_written_files_are_removed_once_they_are_old(site: Site) -> None:
    for name, age_s in (("old", 61), ("young", 59)):
        path = site.folder / f"web.{name}.new"
        path.write_bytes(b"{")
        os.utime(path, (NOW_S - age_s, NOW_S - age_s))
    site.look()
    assert [path.name for path in site.folder.glob("*.new")] == ["web.young.new"]


def test_a_folder_has_one_exporter(site: Site) -> None:
    second = Gatherer(site.folder)
    with pytest.raises(FolderTaken):
        second.open()
    site.stop()
    second.open()
    second.close()


def test_a_starting_process_leaves_the_kept_counts(site: Site) -> None:
    """A process removes old snapshots at its start, which no exporter has taken for a day."""
    process = site.process("a")
    process.write(is_over=True)
    site.look()
    assert FILE not in {path.name for path in site.folder.glob(f"*{snapshot.SUFFIX}")}


def _fall(before: Gathered, after: Gathered) -> list[Series]:
    return [
        series
        for series, values in before.counts.items()
        if any(new < old for new, old in zip(after.counts[series], values, strict=True))
    ]


@pytest.mark.parametrize("seed", range(3))
def test_no_sum_ever_falls(tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)
    site = Site(tmp_path)
    living: list[Process] = []
    frozen: list[Process] = []
    expected = 0
    before = site.look()
    for number in range(100):
        if len(living) < 4:
            living.append(site.process(f"{number}", role=chance.choice(["web", "worker"])))
        for process in living:
            more = chance.randrange(5)
            process.sends += more
            process.requests += more
            process.cpu_s += chance.random() / 3
            expected += more
            process.write()
        match chance.randrange(8):
            case 0:
                living.pop(chance.randrange(len(living))).write(is_over=True)
            case 1:
                frozen.append(living.pop(chance.randrange(len(living))))
            case 2 if frozen:
                living.append(frozen.pop())
            case 3:
                site.restart()
        after = site.look(after_s=chance.choice([0.5, 2.0, DEAD_AFTER_S + 1]))
        assert _fall(before, after) == []
        assert sends(after) == expected
        before = after
    site.stop()


def _cost(look: Callable[[], Gathered]) -> float:
    began_s = time.process_time()
    look()
    return time.process_time() - began_s


def test_two_hundred_restarts_leave_the_folder_and_the_sums_in_order(site: Site) -> None:
    before = site.look()
    sizes: list[int] = []
    for number in range(200):
        process = site.process(f"{number}")
        process.sends = 2
        process.write()
        site.look()
        if number % 2:
            process.write(is_over=True)
        after = site.look(after_s=DEAD_AFTER_S + 1)
        assert _fall(before, after) == []
        before = after
        sizes.append(sum(path.stat().st_size for path in site.folder.iterdir()))
        assert len(list(site.folder.iterdir())) == 2  # the counts and the lock
    assert sends(before) == 400
    assert before.counts["im_process_starts_total", ("web",)] == [200 * MILLION]
    assert max(sizes[2 * MOST_SILENT + 20 :]) < 1.1 * sizes[2 * MOST_SILENT + 19]


@pytest.mark.alone
def test_two_hundred_restarts_leave_the_time_of_a_look_flat(site: Site) -> None:
    def restart(name: str) -> None:
        process = site.process(name)
        process.write()
        site.look()
        site.look(after_s=DEAD_AFTER_S + 1)

    for number in range(MOST_SILENT):
        restart(f"early{number}")
    early = min(_cost(site.look) for _ in range(20))
    for number in range(200):
        restart(f"{number}")
    late = min(_cost(site.look) for _ in range(20))
    assert late < 2 * early
