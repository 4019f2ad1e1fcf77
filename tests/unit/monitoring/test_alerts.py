"""Check each alert by promtool: one series fires it, and a close neighbour does not."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.monitoring import RULES, alerts, run
from tests.unit.monitoring.alert_cases import BURST, CASES, OUTAGE, SAMPLE_S, Case, Series, stays

EVALUATED_EVERY = "1m"  # the real interval of 15 s takes promtool four times as long
WINDOWS = ("5m", "30m", "1h", "2h", "6h", "1d", "3d")
# (alert, a threshold in its expression, the next one)
MUTATIONS = (
    ("SendErrorsBurn", "14.4 *", "14.8 *"),
    ("PendingOld", "> 300", "> 301"),
    ("LeaseEnds", "< 120", "< 121"),
    ("LagMeetsRetention", "> 0.25", "> 0.26"),
)


def selector(case: Case) -> str:
    wanted = {"alertname": case.alert, "alertstate": "firing", "severity": case.severity}
    return ",".join(f'{name}="{value}"' for name, value in (wanted | dict(case.labels)).items())


def group(name: str, series: Series, *checks: dict[str, Any]) -> dict[str, Any]:
    return {
        "name": name,
        "interval": f"{SAMPLE_S}s",
        "input_series": [{"series": each, "values": values} for each, values in series.items()],
        "promql_expr_test": list(checks),
    }


def count_is(case: Case, firing: bool, at: str) -> dict[str, Any]:
    """Return the check that the alert fires, or that it is silent."""
    samples = [{"labels": "{}", "value": 1}] if firing else []
    expression = f"count(ALERTS{{{selector(case)}}})"
    return {"expr": expression, "eval_time": at, "exp_samples": samples}


def pending_is(case: Case) -> dict[str, Any]:
    """Return the check that the alert was pending as long as it should be, to the minute."""
    pending = selector(case).replace("firing", "pending")
    return {
        "expr": f"sum(count_over_time(ALERTS{{{pending}}}[2h])) or vector(0)",
        "eval_time": case.at,
        "exp_samples": [{"labels": "{}", "value": case.waits_m}],
    }


def judged(folder: Path, tests: list[dict[str, Any]], rules: Path = RULES) -> str:
    """Return the complaints of promtool; empty when all tests pass."""
    document = {
        "rule_files": [f"{rules}/*.yml"],
        "evaluation_interval": EVALUATED_EVERY,
        "tests": tests,
    }
    path = folder / "tests.yml"
    path.write_text(yaml.safe_dump(document))
    done = run("promtool", "test", "rules", path)
    assert ("SUCCESS" in done.stdout) == (done.returncode == 0), done.stdout
    return done.stdout if done.returncode else ""


def groups_of(case: Case) -> list[dict[str, Any]]:
    checks = (count_is(case, True, case.at), pending_is(case))
    return [group(f"{case.name}: fires", case.fires, *checks)] + [
        group(f"{case.name}: {name}", series, count_is(case, False, case.at))
        for name, series in case.quiet.items()
    ]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_an_alert_fires_and_its_neighbour_is_silent(case: Case, tmp_path: Path) -> None:
    assert not judged(tmp_path, groups_of(case))


def test_an_alert_ends_soon_after_its_outage(tmp_path: Path) -> None:
    """The short window of a pair decides this, and the long one still remembers the outage."""
    remembers = {
        "expr": "im:sends_failed:ratio_1h > bool 0.0144",
        "eval_time": "37m",
        "exp_samples": [{"labels": "{}", "value": 1}],
    }
    checks = (count_is(OUTAGE, True, OUTAGE.at), remembers, count_is(OUTAGE, False, "37m"))
    assert not judged(tmp_path, [group("over", OUTAGE.fires, *checks)])


def test_a_short_burst_of_failures_is_no_alert(tmp_path: Path) -> None:
    """The long window of a pair decides this, though the short one is far over the threshold."""
    is_over = {
        "expr": "im:sends_failed:ratio_5m > bool 0.03",
        "eval_time": BURST.at,
        "exp_samples": [{"labels": "{}", "value": 1}],
    }
    checks = (is_over, count_is(BURST, False, BURST.at))
    assert not judged(tmp_path, [group("burst", BURST.fires, *checks)])


def test_every_rule_has_a_case_and_every_case_a_rule() -> None:
    rules = {
        (rule["alert"], *(value for _, value in sorted(rule["labels"].items())))
        for rule in alerts()
    }
    cases = {
        (
            case.alert,
            *(value for _, value in sorted({"severity": case.severity, **case.labels}.items())),
        )
        for case in CASES
    }
    assert rules == cases
    assert len(rules) == len(list(alerts()))


def test_every_case_but_the_watchdog_has_a_neighbour() -> None:
    assert [case.alert for case in CASES if not case.quiet] == ["Watchdog"]


@pytest.mark.parametrize(("alert", "threshold", "mutant"), MUTATIONS)
def test_a_changed_threshold_is_noticed(
    alert: str, threshold: str, mutant: str, tmp_path: Path
) -> None:
    copy = tmp_path / "rules"
    shutil.copytree(RULES, copy)
    document = yaml.safe_load((copy / "alerts.yml").read_text())
    changed = 0
    for each in (rule for group in document["groups"] for rule in group["rules"]):
        if each["alert"] == alert and threshold in each["expr"]:
            each["expr"] = each["expr"].replace(threshold, mutant)
            changed += 1
    assert changed == 1
    (copy / "alerts.yml").write_text(yaml.safe_dump(document))
    tests = [test for case in CASES if case.alert == alert for test in groups_of(case)]
    assert "FAILED" in judged(tmp_path, tests, copy)


@pytest.mark.parametrize(
    ("record", "case"), [("sends_failed", 0), ("sends_slow", 4), ("messages_late", 8)]
)
def test_a_ratio_is_the_same_over_each_window_of_a_steady_site(
    record: str, case: int, tmp_path: Path
) -> None:
    burn = CASES[case]
    share = {"sends_failed": 0.014688, "sends_slow": 0.14688, "messages_late": 0.014688}[record]
    checks = [
        {
            "expr": f"round(im:{record}:ratio_{window}, 0.000001)",
            "eval_time": "10m",
            "exp_samples": [{"labels": "{}", "value": share}],
        }
        for window in WINDOWS
    ]
    assert not judged(tmp_path, [group(record, burn.fires, *checks)])


def test_the_time_to_drain_is_pending_over_the_rate_of_draining(tmp_path: Path) -> None:
    accepted = 'im_sends_total{chat="private", durability="log", kind="new"}'
    stored = 'im_rows_total{result="stored"}'
    check = {"expr": "sum(im:drain:seconds)", "eval_time": "10m"}
    drains = {accepted: "0+15x100", stored: "0+45x100", "im_pending_messages": stays(100)}
    grows = drains | {stored: "0+15x100"}
    tests = [
        group("drains", drains, check | {"exp_samples": [{"labels": "{}", "value": 50}]}),
        group("grows", grows, check | {"exp_samples": []}),
    ]
    assert not judged(tmp_path, tests)
