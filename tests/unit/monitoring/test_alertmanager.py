"""Check whom Alertmanager tells, what it keeps quiet, and how its addresses are put in."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.monitoring import ALERTMANAGER, alerts, run

FILE = ALERTMANAGER / "alertmanager.yml"
CONFIG: dict[str, Any] = yaml.safe_load(FILE.read_text())
NEVER_QUIET = {"PendingFills", "LagMeetsRetention", "LeaseEnds", "BackendAway", "Watchdog"}
AWKWARD = "https://hooks.example.org/a?b=c&d=%20|#$1\\1".replace("\\", "%5C")


def configured(**variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [ALERTMANAGER / "configure", FILE],
        env={"PATH": "/usr/bin:/bin", **variables},
        capture_output=True,
        text=True,
        timeout=10,
    )


def receivers(text: str) -> dict[str, list[str]]:
    """Return the addresses of each receiver."""
    return {
        each["name"]: [hook["url"] for hook in each.get("webhook_configs", [])]
        for each in yaml.safe_load(text)["receivers"]
    }


def matched(matchers: list[str]) -> set[str]:
    """Return the names of alerts that the matchers name."""
    found = [re.fullmatch(r'alertname=~?"([^"]*)"', matcher) for matcher in matchers]
    return {name for each in found if each for name in each[1].split("|")}


def test_amtool_takes_the_configuration_with_and_without_addresses(tmp_path: Path) -> None:
    for number, variables in enumerate(({}, {"ALERT_WEBHOOK_URL": AWKWARD})):
        path = tmp_path / f"{number}.yml"
        path.write_text(configured(**variables).stdout)
        done = run("amtool", "check-config", path)
        assert done.returncode == 0, done.stdout
    assert run("amtool", "check-config", FILE).returncode == 0


def test_an_address_stands_where_it_belongs_as_it_is() -> None:
    made = configured(ALERT_WEBHOOK_URL=AWKWARD, WATCHDOG_WEBHOOK_URL="http://w.example/").stdout
    assert receivers(made) == {
        "page": [AWKWARD],
        "ticket": [AWKWARD],
        "watchdog": ["http://w.example/"],
    }


def test_nobody_is_told_without_an_address() -> None:
    made = configured().stdout
    assert receivers(made) == {"page": [], "ticket": [], "watchdog": []}
    assert yaml.safe_load(made)["inhibit_rules"] == CONFIG["inhibit_rules"]


@pytest.mark.parametrize("address", ['http://a/"', "http://a/\\", "http://a/ b", "http://a/\nb"])
@pytest.mark.parametrize("variable", ["ALERT_WEBHOOK_URL", "WATCHDOG_WEBHOOK_URL"])
def test_an_address_that_would_break_the_file_is_refused(variable: str, address: str) -> None:
    refused = configured(**{variable: address})
    assert (refused.returncode, refused.stdout) == (1, "")
    assert "%22" in refused.stderr


@pytest.mark.parametrize(
    ("labels", "receiver"),
    [
        (["severity=page", "alertname=ConsumerGone"], "page"),
        (["severity=ticket", "alertname=ClockOff"], "ticket"),
        (["severity=none", "alertname=Watchdog"], "watchdog"),
    ],
)
def test_an_alert_goes_to_the_receiver_of_its_severity(labels: list[str], receiver: str) -> None:
    done = run("amtool", "config", "routes", "test", f"--config.file={FILE}", *labels)
    assert done.stdout.splitlines()[-1] == receiver


def test_what_is_kept_quiet_is_an_alert_and_no_countdown() -> None:
    names = {rule["alert"] for rule in alerts()}
    causes: set[str] = set()
    followers: set[str] = set()
    for rule in CONFIG["inhibit_rules"]:
        causes |= matched(rule["source_matchers"])
        followers |= matched(rule["target_matchers"])
    assert {"BackendAway", "ConsumerGone"} <= causes <= names
    assert {"NothingIsStored", "LagGrows"} <= followers <= names
    assert not followers & NEVER_QUIET
