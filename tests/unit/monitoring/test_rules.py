"""Check the files of Prometheus: their syntax, and that each metric and label in a rule exists."""

from __future__ import annotations

import pytest

from tests.support.monitoring import PROMETHEUS, RULES, alerts, recordings, run
from tests.unit.monitoring.alert_cases import CASES
from tests.unit.monitoring.served import RECORDED, unknown_in

EXPRESSIONS = {
    f"{number}-{rule.get('alert') or rule['record']}": rule["expr"]
    for number, rule in enumerate((*recordings(), *alerts()))
}


@pytest.mark.parametrize("expression", EXPRESSIONS.values(), ids=EXPRESSIONS.keys())
def test_a_rule_asks_for_what_exists(expression: str) -> None:
    recorded = {rule["record"] for rule in recordings()}
    assert not unknown_in(expression)
    assert set(RECORDED.findall(expression)) <= recorded


def test_finds_what_does_not_exist() -> None:
    assert unknown_in('sum by (role, zone) (im_requests_total{call="sent"})') == [
        "im_requests_total{call}=sent",
        "zone",
    ]
    assert unknown_in('im_requests{call="send"} + im_pending_bytes{role=~"web|x"}') == [
        "im_requests",
        "im_pending_bytes{role}",
    ]
    assert unknown_in('im_persist_lag_seconds_bucket{le="9.0"}') == [
        "im_persist_lag_seconds_bucket{le}=9.0"
    ]


def test_a_case_of_an_alert_has_series_that_exist() -> None:
    for case in CASES:
        for series in (case.fires, *case.quiet.values()):
            assert not [name for text in series for name in unknown_in(text)], case.name


def test_no_two_rules_record_one_name() -> None:
    names = [rule["record"] for rule in recordings()]
    assert len(names) == len(set(names))


def test_promtool_takes_the_rules_and_the_configuration() -> None:
    rules = run("promtool", "check", "rules", *sorted(RULES.glob("*.yml")))
    assert rules.returncode == 0, rules.stdout
    config = run("promtool", "check", "config", PROMETHEUS / "prometheus.yml")
    assert config.returncode == 0, config.stdout
    assert "2 rule files found" in config.stdout


@pytest.mark.parametrize("rule", alerts(), ids=lambda rule: rule["alert"])
def test_an_alert_says_how_bad_it_is_and_where_to_read_on(rule: dict[str, dict[str, str]]) -> None:
    assert rule["labels"]["severity"] in ("page", "ticket", "none")
    assert set(rule["annotations"]) == {"summary", "description", "runbook_url"}
    assert all(text.strip() for text in rule["annotations"].values())
