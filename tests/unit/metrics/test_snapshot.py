from __future__ import annotations

import asyncio
import json
import os
import time
from pathlib import Path

import pytest

from messaging.metrics import snapshot, writer
from messaging.metrics.families import Counter, Histogram, Reading
from messaging.metrics.snapshot import MAX_SNAPSHOT_BYTES, Snapshot
from messaging.metrics.writer import SnapshotWriter


def taken(**changed: object) -> Snapshot:
    counter = Counter("x_total", "", {"kind": ("a", "b")})
    counter.add("a", n=2)
    histogram = Histogram("y", "", edges=(1,))
    histogram.observe(3)
    reading = Reading("z", "", read=lambda: {(): 7.5})
    return snapshot.take(
        role="web",
        release="1",
        started_ms=5,
        loop_age_s=0.25,
        families=(counter, histogram, reading),
        **changed,  # type: ignore[arg-type]
    )


def test_a_snapshot_comes_back_as_it_was_written(tmp_path: Path) -> None:
    written = taken(is_over=True)
    snapshot.write(written, tmp_path / "web.1.2.json")
    assert list(snapshot.read(tmp_path)) == [(tmp_path / "web.1.2.json", written)]
    assert written.numbers == {"x_total": [(("a",), 2), (("b",), 0)], "z": [((), 7.5)]}
    assert written.cells == {"y": [((), [0, 1, 3])]}


@pytest.mark.parametrize("number", [float("inf"), float("-inf"), float("nan")])
def test_a_number_that_json_lacks_costs_its_own_series_alone(tmp_path: Path, number: float) -> None:
    reading = Reading("z", "", {"k": ("a", "b")}, read=lambda: {("a",): number, ("b",): 1.0})
    written = snapshot.take(
        role="web", release="1", started_ms=5, loop_age_s=0, families=(reading,)
    )
    snapshot.write(written, tmp_path / "web.json")
    ((_, found),) = snapshot.read(tmp_path)
    assert found.numbers == {"z": [(("b",), 1.0)]}


def test_a_snapshot_is_not_changed_by_what_is_counted_later() -> None:
    histogram = Histogram("y", "", edges=(1,))
    before = snapshot.take(
        role="web", release="1", started_ms=5, loop_age_s=0, families=(histogram,)
    )
    histogram.observe(0)
    assert before.cells == {"y": [((), [0, 0, 0])]}


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[]", b'{"role": "web"}', b" " * (MAX_SNAPSHOT_BYTES + 1)],
    ids=["empty", "cut", "list", "incomplete", "large"],
)
def test_a_file_that_is_no_snapshot_is_left_out(tmp_path: Path, content: bytes) -> None:
    snapshot.write(taken(), tmp_path / "b.json")
    (tmp_path / "a.json").write_bytes(content)
    (tmp_path / "c.new").write_bytes(b"of a writer that died")
    assert [path.name for path, _ in snapshot.read(tmp_path)] == ["b.json"]


def test_a_folder_that_is_not_there_has_no_snapshots(tmp_path: Path) -> None:
    assert list(snapshot.read(tmp_path / "none")) == []


async def _written(folder: Path, during: float) -> Snapshot:
    running = SnapshotWriter(folder, role="web", release="1.2")
    running.start()
    await asyncio.sleep(during)
    await running.close()
    ((_, found),) = snapshot.read(folder)
    return found


async def test_a_process_writes_while_it_runs_and_a_last_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer, "WRITE_EVERY_S", 0.01)
    folder = tmp_path / "made"
    running = SnapshotWriter(folder, role="web", release="1.2")
    running.start()
    async with asyncio.timeout(10):
        while not (found := list(snapshot.read(folder))):
            await asyncio.sleep(0.01)
    assert not found[0][1].is_over
    await running.close()
    ((_, last),) = snapshot.read(folder)
    assert last.is_over
    assert (last.role, last.release) == ("web", "1.2")
    assert last.numbers["im_process_memory_bytes"][0][1] > 1_000_000
    assert folder.stat().st_mode & 0o777 == 0o700


async def test_the_end_of_a_process_writes_what_no_tick_has_written(tmp_path: Path) -> None:
    assert (await _written(tmp_path, 0)).is_over


async def test_tells_a_loop_that_stands_still(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer, "WRITE_EVERY_S", 0.05)
    running = SnapshotWriter(tmp_path, role="web", release="1.2")
    running.start()
    time.sleep(0.6)  # stands still: no await
    ((_, found),) = snapshot.read(tmp_path)
    await running.close()
    assert found.loop_age_s >= 0.4


async def test_a_folder_that_cannot_be_written_harms_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(writer, "WRITE_EVERY_S", 0.01)
    (tmp_path / "file").write_text("in the way")
    running = SnapshotWriter(tmp_path / "file", role="web", release="1.2")
    running.start()
    await asyncio.sleep(0.2)
    await running.close()
    told = [each for each in caplog.records if getattr(each, "action", "") == "metrics.not_written"]
    assert len(told) == 1


async def test_files_that_nobody_takes_do_not_pile_up(tmp_path: Path) -> None:
    for name, age_s in (("old", 90_000), ("new", 3_600)):
        snapshot.write(taken(), tmp_path / f"{name}.json")
        then = time.time() - age_s
        os.utime(tmp_path / f"{name}.json", (then, then))
    running = SnapshotWriter(tmp_path, role="web", release="1.2")
    running.start()
    await running.close()
    names = {path.name for path, _ in snapshot.read(tmp_path)}
    assert "new.json" in names
    assert "old.json" not in names
    assert len(names) == 2


def test_a_whole_snapshot_is_small(tmp_path: Path) -> None:
    whole = snapshot.take(role="web", release="1", started_ms=5, loop_age_s=0)
    snapshot.write(whole, tmp_path / "web.json")
    assert (tmp_path / "web.json").stat().st_size < MAX_SNAPSHOT_BYTES / 20
    json.loads((tmp_path / "web.json").read_bytes())
