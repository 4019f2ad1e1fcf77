"""Test the samples of an operations page."""

from __future__ import annotations

import json
from typing import Any

import pytest

from messaging.exporter import asked, samples
from messaging.exporter.asked import Answers
from messaging.exporter.counts import MILLION, Counts, Series, zero
from messaging.exporter.gathering import Gathered
from messaging.exporter.page import View
from messaging.exporter.samples import Samples
from messaging.metrics.catalogue import persist_lag_seconds, request_seconds

SEND: Series = ("im_request_seconds", ("gateway", "send"))
LAG: Series = ("im_persist_lag_seconds", ("consumer",))


def counts(**more: float) -> Counts:
    found = zero()
    for durability, number in more.items():
        series = ("im_sends_total", ("group", durability, "new"))
        found[series] = [round(number * MILLION)]
    return found


def view_of(
    of_processes: Counts,
    answers: Answers | None = None,
    gauges: dict[Series, float] | None = None,
) -> View:
    gathered = Gathered(of_processes, gauges or {}, {}, frozenset())
    return View(gathered, {"all": answers})


def sampled(*views: View, every_s: float = 2.0) -> list[dict[str, Any]]:
    kept = Samples()
    for place, view in enumerate(views):
        kept.add(view, now_ms=1_000 + round(place * every_s * 1000), monotonic_s=place * every_s)
    return list(json.loads(kept.after(0))["samples"])


def test_rates_are_of_the_time_since_the_sample_before() -> None:
    first, second = counts(log=10), counts(log=16, cache=1)
    second["im_rows_total", ("stored",)] = [8 * MILLION]
    (sample,) = sampled(view_of(first), view_of(second))
    assert sample["sends"] == {"cache": 0.5, "log": 3, "store": 0}
    assert sample["stored"] == 4
    assert sample["t"] == 3_000


def test_quantiles_are_of_what_came_since_the_sample_before() -> None:
    first, second = counts(), counts()
    for found, number in ((first, 1_000), (second, 1_000)):
        found[SEND] = [0] * (len(request_seconds.edges) + 2)
        found[SEND][-2] = number * MILLION  # above every edge, long ago
    second[SEND][2] = 98 * MILLION  # 2 to 5 ms
    second[SEND][5] = 2 * MILLION  # 20 to 50 ms
    second[LAG] = [0] * (len(persist_lag_seconds.edges) + 2)
    second[LAG][-2] = MILLION
    (sample,) = sampled(view_of(first), view_of(second))
    assert sample["sendP50"] == pytest.approx(0.002 + 0.003 * 50 / 98)
    assert sample["sendP99"] == pytest.approx(0.05 - 0.03 / 2)
    assert sample["persistP50"] == sample["persistP99"] == 3_600


def test_where_nothing_came_and_nobody_knows_there_is_no_number() -> None:
    (sample,) = sampled(view_of(counts()), view_of(counts()))
    unknown = (
        "sendP50", "sendP99", "persistP50", "persistP99",
        "pending", "pendingOldest", "lettersOpen", "unaccounted",
    )  # fmt: skip
    assert [sample[name] for name in unknown] == [None] * len(unknown)
    assert (sample["lag"], sample["breakers"]) == ({}, {})


def test_shows_the_answers_of_the_sources_and_the_breakers() -> None:
    answers: Answers = {
        asked.pending_messages: {(): 7},
        asked.pending_oldest: {(): 1.5},
        asked.log_lag_seconds: {("0",): 0, ("1",): 2.5},
        asked.dead_letters: {("open",): 3, ("replayed",): 9},
        asked.unaccounted: {(): 0},
    }
    gauges: dict[Series, float] = {
        ("im_breaker_processes", ("log", "open", "web")): 2,
        ("im_arrears_late", ()): 4,
    }
    (sample,) = sampled(view_of(counts()), view_of(counts(), answers, gauges))
    assert (sample["pending"], sample["pendingOldest"]) == (7, 1.5)
    assert sample["lag"] == {"0": 0, "1": 2.5}
    assert (sample["lettersOpen"], sample["unaccounted"]) == (3, 0)
    assert sample["breakers"] == {"web": {"log": {"open": 2}}}


def test_gives_what_is_newer() -> None:
    kept = Samples()
    for second in range(5):
        kept.add(view_of(counts()), now_ms=second * 1000, monotonic_s=second)
    assert [each["t"] for each in json.loads(kept.after(2_000))["samples"]] == [3_000, 4_000]
    assert json.loads(kept.after(4_000)) == {"everyS": 2, "samples": []}


def test_half_an_hour_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    kept = Samples()
    for place in range(1_000):
        kept.add(view_of(counts()), now_ms=place * 2_000, monotonic_s=place * 2)
    times = [each["t"] for each in json.loads(kept.after(0))["samples"]]
    assert times[-1] - times[0] == 30 * 60 * 1000

    monkeypatch.setattr(samples, "MOST_BYTES", 10_000)
    kept.add(view_of(counts()), now_ms=2_000_000, monotonic_s=2_000)
    assert len(kept.after(0)) < 10_100
    assert json.loads(kept.after(0))["samples"][-1]["t"] == 2_000_000
