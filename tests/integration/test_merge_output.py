"""Test the merged output of scripts/run: each line's name, whole lines, and none lost."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.real_services import ROOT


class Merger:
    """Run merge_output.py over FIFOs of these names."""

    def __init__(self, directory: Path, *names: str) -> None:
        self.file = directory / "unread"
        fifos = [directory / name for name in names]
        for fifo in fifos:
            os.mkfifo(fifo)
        self.process = subprocess.Popen(
            [sys.executable, ROOT / "scripts" / "merge_output.py", self.file, *fifos],
            stdout=subprocess.PIPE,
        )
        self.programs = {fifo.name: fifo.open("wb", buffering=0) for fifo in fifos}
        self._directory = directory

    def start_again(self, name: str) -> None:
        self.programs[name].close()
        self.programs[name] = (self._directory / name).open("wb", buffering=0)

    def lines(self) -> list[str]:
        """End the process and return all lines that it printed."""
        self.process.send_signal(signal.SIGUSR1)
        output, _ = self.process.communicate(timeout=20)
        for program in self.programs.values():
            program.close()
        return output.decode().splitlines()


@pytest.fixture
def merger(tmp_path: Path) -> Merger:
    return Merger(tmp_path, "web", "consumer")


def test_a_line_begins_with_its_program(merger: Merger) -> None:
    merger.programs["web"].write(b"one\n")
    merger.programs["consumer"].write(b"two\n")
    assert sorted(merger.lines()) == ["consumer | two", "web      | one"]


def test_a_line_that_comes_in_pieces_is_not_torn(merger: Merger) -> None:
    merger.programs["web"].write(b"first ")
    merger.programs["consumer"].write(b"between\n")
    merger.programs["web"].write(b"second\n")
    assert sorted(merger.lines()) == ["consumer | between", "web      | first second"]


def test_what_is_written_before_the_end_is_not_lost(merger: Merger) -> None:
    for number in range(1_000):
        merger.programs["web"].write(f"{number}\n".encode())
    merger.programs["consumer"].write(b"no line end")
    lines = merger.lines()
    assert [line for line in lines if "web" in line] == [f"web      | {n}" for n in range(1_000)]
    assert lines[-1] == "consumer | no line end"


def test_a_program_that_is_started_again_goes_on_in_the_same_stream(merger: Merger) -> None:
    merger.programs["web"].write(b"before\n")
    merger.start_again("web")
    merger.programs["web"].write(b"after\n")
    assert merger.lines() == ["web      | before", "web      | after"]


def test_a_reader_who_reads_nothing_holds_nobody_up(merger: Merger) -> None:
    """After Ctrl-S the programs go on, and the lines that were not read are in the file."""
    text = b"x" * 1_000 + b"\n"
    for _ in range(5_000):
        merger.programs["web"].write(text)  # this write would block if the FIFO were not read
    lines = merger.lines()
    note = re.compile(rf"output   \| (\d+) lines were not read; they are in {merger.file}")
    told = [int(found[1]) for line in lines if (found := note.fullmatch(line))]
    kept = merger.file.read_bytes().splitlines()
    assert sum(told) == len(kept) > 1_000
    assert len(lines) - len(told) + len(kept) == 5_000
    assert set(kept) == {b"web      | " + text.rstrip()}


def test_the_end_does_not_wait_for_a_reader_who_reads_nothing(merger: Merger) -> None:
    for _ in range(500):
        merger.programs["web"].write(b"x" * 1_000 + b"\n")
    merger.process.send_signal(signal.SIGUSR1)
    assert merger.process.wait(30) == 0
    merger.lines()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_that_stops_the_service_does_not_stop_its_last_lines(
    merger: Merger, number: signal.Signals
) -> None:
    merger.programs["web"].write(b"up\n")
    assert merger.process.stdout
    assert merger.process.stdout.readline() == b"web      | up\n"
    merger.process.send_signal(number)
    merger.programs["web"].write(b"last words\n")
    assert merger.lines() == ["web      | last words"]
