"""Test the real Prometheus and Alertmanager, as `scripts/services monitoring` starts them."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator

import pytest

from tests.support.alert_site import (
    HEALTHY,
    Monitoring,
    PlayedSite,
    played_site,
    running_monitoring,
)
from tests.support.monitoring import alerts, recordings
from tests.support.processes import wait_until

pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(200)]
LIMIT_S = 40
NAMES = {"prometheus", "alertmanager"}
CONSUMER = 'im_processes{role="consumer"}'


@pytest.fixture(scope="module")
def site() -> Iterator[PlayedSite]:
    with played_site() as site:
        yield site


@pytest.fixture(scope="module")
def monitoring(site: PlayedSite, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Monitoring]:
    with running_monitoring(tmp_path_factory.mktemp("monitoring"), site) as monitoring:
        yield monitoring


@pytest.fixture(autouse=True)
def healthy(site: PlayedSite, monitoring: Monitoring) -> None:
    """Make the site a healthy one again, as each test expects it."""
    site.metrics = dict(HEALTHY)


def await_alertmanager(monitoring: Monitoring) -> None:
    """Wait until Prometheus knows where to send alerts; after a start this takes seconds."""
    wait_until(
        lambda: len(monitoring.prometheus("alertmanagers")["activeAlertmanagers"]) == 1,
        limit_s=LIMIT_S,
        what="Prometheus knows Alertmanager",
    )


def post(monitoring: Monitoring, name: str, severity: str = "page") -> None:
    """Hand an alert to Alertmanager, as Prometheus does."""
    labels = {"alertname": name, "severity": severity, "backend": "store"}
    monitoring.alertmanager("alerts", [{"labels": labels}])


def test_the_exporter_is_asked_and_alertmanager_is_known(monitoring: Monitoring) -> None:
    wait_until(
        lambda: (
            [each["health"] for each in monitoring.prometheus("targets")["activeTargets"]] == ["up"]
        ),
        limit_s=LIMIT_S,
        what="the target is up",
    )
    await_alertmanager(monitoring)


def test_every_rule_is_loaded_and_evaluated_without_an_error(monitoring: Monitoring) -> None:
    def loaded() -> list[tuple[str, str]]:
        groups = monitoring.prometheus("rules")["groups"]
        return [(rule["name"], rule["health"]) for group in groups for rule in group["rules"]]

    wait_until(
        lambda: "unknown" not in {health for _, health in loaded()},
        limit_s=LIMIT_S,
        what="each rule is evaluated",
    )
    names = [rule["alert"] for rule in alerts()] + [rule["record"] for rule in recordings()]
    assert sorted(loaded()) == sorted((name, "ok") for name in names)


def test_an_alert_reaches_the_webhook_and_ends(monitoring: Monitoring, site: PlayedSite) -> None:
    await_alertmanager(monitoring)
    del site.metrics[CONSUMER]
    wait_until(
        lambda: site.told("/alerts", "firing", "ConsumerGone") != [],
        limit_s=LIMIT_S,
        what="the alert is told",
    )
    told = site.told("/alerts", "firing", "ConsumerGone")[0]
    assert told["labels"]["severity"] == "page"
    assert told["annotations"]["runbook_url"] == "docs/runbook.md#consumergone"
    assert "consumer" in told["annotations"]["description"]
    assert not site.told("/alerts", "resolved", "ConsumerGone")

    site.metrics[CONSUMER] = 1
    wait_until(
        lambda: site.told("/alerts", "resolved", "ConsumerGone") != [],
        limit_s=LIMIT_S,
        what="the end of the alert is told",
    )


def test_the_watchdog_has_a_receiver_of_its_own(monitoring: Monitoring, site: PlayedSite) -> None:
    """The alert is posted, for Prometheus repeats an alert only each minute."""
    post(monitoring, "Watchdog", severity="none")
    wait_until(
        lambda: site.told("/watchdog", "firing", "Watchdog") != [],
        limit_s=LIMIT_S,
        what="the watchdog is told",
    )
    assert not site.told("/alerts", "firing", "Watchdog")


def test_a_backend_that_is_away_keeps_its_consequences_quiet(
    monitoring: Monitoring, site: PlayedSite
) -> None:
    def inhibited() -> dict[str, bool]:
        told = monitoring.alertmanager("alerts")
        return {each["labels"]["alertname"]: each["status"]["inhibitedBy"] != [] for each in told}

    for name in ("BackendAway", "NothingIsStored", "PendingFills"):
        post(monitoring, name)
    expected = {"BackendAway": False, "NothingIsStored": True, "PendingFills": False}
    wait_until(
        lambda: expected.items() <= inhibited().items(),
        limit_s=LIMIT_S,
        what="the consequence is quiet",
    )
    wait_until(
        lambda: site.told("/alerts", "firing", "PendingFills") != [],
        limit_s=LIMIT_S,
        what="the countdown is told",
    )
    assert not site.told("/alerts", "firing", "NothingIsStored")


def test_a_second_start_changes_nothing_whatever_ports_its_shell_names(
    monitoring: Monitoring,
) -> None:
    before = monitoring.pids()
    assert set(before) == NAMES
    again = monitoring("monitoring", PROMETHEUS_PORT="1", ALERTMANAGER_PORT="2")
    assert again.returncode == 0, again.stderr
    assert f"http://127.0.0.1:{monitoring.ports['PROMETHEUS_PORT']}" in again.stderr
    assert monitoring.pids() == before
    await_alertmanager(monitoring)


def test_the_exporter_of_the_running_site_is_asked_in_a_shell_that_names_no_port(
    monitoring: Monitoring, site: PlayedSite
) -> None:
    addresses = monitoring.var_dir / "env"
    addresses.write_text(f"export IM_EXPORTER_URL=http://127.0.0.1:{site.port}\n")
    again = monitoring("monitoring", EXPORTER_PORT="")
    assert again.returncode == 0, again.stderr
    assert f"http://127.0.0.1:{site.port}/metrics" in again.stderr


def test_only_the_one_that_died_is_started_again(monitoring: Monitoring) -> None:
    before = monitoring.pids()
    os.kill(before["alertmanager"], signal.SIGKILL)
    wait_until(lambda: set(monitoring.pids()) == {"prometheus"}, limit_s=LIMIT_S, what="it is gone")
    assert monitoring("monitoring", "status").returncode == 3
    assert monitoring("monitoring").returncode == 0
    after = monitoring.pids()
    assert after["prometheus"] == before["prometheus"]
    assert after["alertmanager"] != before["alertmanager"]


def test_an_address_that_would_break_the_file_is_refused(monitoring: Monitoring) -> None:
    refused = monitoring("monitoring", ALERT_WEBHOOK_URL='http://a/"')
    assert refused.returncode == 1
    assert "ALERT_WEBHOOK_URL" in refused.stderr
    assert set(monitoring.pids()) == NAMES


def test_a_port_of_another_program_is_said_plainly(
    monitoring: Monitoring, tmp_path: object
) -> None:
    port = str(monitoring.ports["ALERTMANAGER_PORT"])
    refused = monitoring(
        "monitoring", VAR_DIR=f"{tmp_path}/var", PROMETHEUS_PORT=port, ALERTMANAGER_PORT=port
    )
    assert refused.returncode == 1
    assert f"port {port} is taken" in refused.stderr
    assert f"ALERTMANAGER_PORT={int(port) + 10}" in refused.stderr
