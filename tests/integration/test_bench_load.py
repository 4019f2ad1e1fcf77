"""Test the load processes on a small real server: their counts, latencies and files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import psutil
import pytest

from bench.laps import noop_server
from bench.load import receipts
from bench.load import run as load_run
from bench.load.plan import LapPlan, LoadResult
from bench.load.run import LoadFailed
from bench.load.traffic import Account, TargetSite
from tests.support.answering_server import SENT, Step, answering, http

LOAD = "spawn_main"
ACCOUNTS = [Account(index=n, user_id=n + 1, token="t", to=n + 2, chat_type=1) for n in range(8)]


def run(port: int, receipts_in: Path | None = None, **changes: Any) -> LoadResult:
    site = TargetSite(host="127.0.0.1", port=port, run="abcd1234", lap=1, text_bytes=60)
    options = {"connections": 4, "seconds": 20.0, "timeout_s": 1.0} | changes
    plan = LapPlan(site=site, accounts=ACCOUNTS, **options)
    return load_run.run(plan, receipts=receipts_in, progress=lambda answered, errors: None)


def accepted(number: int) -> Sequence[Step]:
    return [http(SENT % number)]


class TestTheLoad:
    def test_writes_down_each_acknowledged_message_once(self, tmp_path: Path) -> None:
        with answering(accepted) as server:
            result = run(server.port, tmp_path / "lap", limit=1_000, load_processes=2)
        assert (result.sent, result.measured, result.durability["log"]) == (1_000, 1_000, 1_000)
        assert not result.errors
        found = [each for n in range(2) for each in receipts.read(tmp_path / f"lap.{n}")]
        assert sorted(message_id for message_id, _ in found) == [*range(1, 1_001)]
        for sender in range(8):
            numbers = [
                receipts.sent_of(t).number for _, t in found if receipts.sender_of(t) == sender
            ]
            assert numbers == [*range(len(numbers))]

    def test_puts_answers_together_that_come_in_pieces(self) -> None:
        def pieces(number: int) -> Sequence[Step]:
            whole = http(SENT % number)
            cut = number % (len(whole) - 1) + 1
            return [whole[:cut], 0.001, whole[cut:]]

        with answering(pieces) as server:
            result = run(server.port, limit=300)
        assert (result.sent, result.errors.total()) == (300, 0)

    def test_counts_what_is_not_accepted_and_goes_on(self) -> None:
        def answer(number: int) -> Sequence[Step]:
            if number % 10 == 1:
                return [http(b'{"code":5030}', "503 Service Unavailable")]
            if number % 10 == 2:
                return [None]
            if number % 10 == 3:
                return [http(SENT % number)[:30], None]
            if number % 10 == 4:
                return [b"HTTP/1.1 200 OK\r\n\r\n", None]
            return accepted(number)

        with answering(answer) as server:
            result = run(server.port, limit=100)
        told = {name: result.errors[name] for name in ("503/5030", "closed", "not understood")}
        assert told == {"503/5030": 10, "closed": 20, "not understood": 10}
        assert result.sent == 60

    def test_gives_up_on_an_answer_that_does_not_come(self) -> None:
        with answering(lambda n: [1.5] if n == 5 else accepted(n)) as server:
            result = run(server.port, limit=40, timeout_s=0.3)
        assert (result.errors["timeout"], result.sent) == (1, 39)
        assert result.histograms["send"].percentile_ms(100) >= 300

    def test_counts_nothing_of_its_warm_up(self) -> None:
        with answering(lambda n: [0.3, *accepted(n)] if n < 3 else accepted(n)) as server:
            result = run(server.port, warm_s=0.5, seconds=0.5, connections=2)
        assert result.answered > result.measured > 0
        assert len(result.histograms["send"]) == result.measured
        assert result.histograms["send"].largest_us < 300_000

    def test_says_so_when_nobody_listens(self) -> None:
        with answering(accepted) as server:
            pass
        result = run(server.port, seconds=0.5, limit=10)
        assert result.errors["refused"] > 0
        assert result.sent == 0


class TestAnOpenLoop:
    def test_counts_the_wait_of_all_that_a_stall_delays(self) -> None:
        """Both connections stand still for half a second, in which 100 requests are due."""
        with answering(lambda n: [0.5, *accepted(n)] if n in (50, 51) else accepted(n)) as server:
            result = run(server.port, rate=200.0, seconds=1.5, connections=2)
        assert result.measured == 300
        slow = sum(n for upper, n in result.histograms["send"].spread() if upper > 100)
        assert 70 <= slow <= 130

    def test_keeps_its_rate(self) -> None:
        with answering(accepted) as server:
            result = run(server.port, rate=400.0, seconds=1.0)
        assert result.measured == 400
        assert result.rate == pytest.approx(400, rel=0.05)

    def test_counts_what_it_could_not_send_in_time(self) -> None:
        with answering(lambda n: [0.4, *accepted(n)]) as server:
            result = run(server.port, rate=100.0, seconds=1.0, connections=1, timeout_s=0.5)
        assert (result.errors["unanswered"], result.errors["not sent"] + result.measured) == (1, 99)
        assert result.histograms["send"].percentile_ms(50) > 500


class TestTheNoop:
    def test_answers_as_a_send_is_answered(self) -> None:
        with noop_server.serving(1) as port:
            result = run(port, limit=200)
        assert (result.sent, result.durability["log"], result.errors.total()) == (200, 200, 0)


class TestALoadProcessThatDies:
    def test_is_no_outcome(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("multiprocessing.spawn._python_exe", b"/bin/false")
        with pytest.raises(LoadFailed):
            run(1, limit=1)

    def test_leaves_its_receipts(self, tmp_path: Path) -> None:
        def answer(number: int) -> Sequence[Step]:
            if number == 400:
                (load,) = (c for c in psutil.Process().children() if LOAD in " ".join(c.cmdline()))
                load.kill()
            return [0.002, *accepted(number)]

        with answering(answer) as server, pytest.raises(LoadFailed):
            run(server.port, tmp_path / "lap")
        found = [message_id for message_id, _ in receipts.read(tmp_path / "lap.0")]
        assert 0 < len(found) < 400
        assert set(found) <= {*range(1, 401)}
