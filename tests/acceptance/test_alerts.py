"""Test the alerts and the dashboards on the whole service, its real backends and real monitors.

The order of the tests matters to the last one, which looks through all that the others have caused.
"""

from __future__ import annotations

import contextlib
import json
import math
import secrets
import urllib.parse
from collections.abc import Collection, Iterator
from dataclasses import dataclass

import pytest

from messaging.ports.log import OutgoingRecord
from tests.acceptance.chatter import Chatter, chatter_of
from tests.faults.rig import Cast, Rig, running_rig
from tests.support.alert_site import Monitoring, PlayedSite, played_site, running_monitoring
from tests.support.dashboards import queries
from tests.support.processes import wait_until
from tests.support.real_services import connected
from tests.support.site import Site

pytestmark = [
    pytest.mark.acceptance,
    pytest.mark.connected,
    pytest.mark.alone,  # a busy machine drains slowly, which raises alerts of its own
    pytest.mark.timeout(420),
]

ALERT_S = 90  # from a fault to the webhook; some 15 s on an idle machine
DATA_S = 120
CANARY = f"canary-{secrets.token_hex(12)}"
SETTINGS = {
    "WEB_WORKERS": "2",
    "CONSUMER_WORKERS": "1",
    "IM_COMPENSATE_AFTER_S": "600",  # the consumer alone stores, so that its absence shows
    "IM_LOG_BUDGET_S": "0.6",  # a slow machine is no outage of the log
    **dict.fromkeys(("IM_CHANGE_RATE", "IM_SEND_RATE", "IM_READ_RATE", "IM_LOOKUP_RATE"), "0"),
}
QUERIES = dict(queries())
FIRING = "overview: Alerts that fire: A"
DRAINING = "pipeline: Time to drain: A"
OF_AN_OUTAGE = {FIRING, DRAINING}


@dataclass(frozen=True, slots=True)
class Scene:
    """Hold the service, the monitors that watch it, what they told, and the users' traffic."""

    rig: Rig
    site: Site
    monitoring: Monitoring
    heard: PlayedSite
    chatter: Chatter
    cast: Cast

    def told(self, status: str, alert: str, **labels: str) -> set[frozenset[tuple[str, str]]]:
        """Return the labels of the alerts that the webhook was told of with this status."""
        return {
            frozenset(each["labels"].items())
            for each in self.heard.told("/alerts", status, alert)
            if labels.items() <= each["labels"].items()
        }

    def firing(self, alert: str) -> bool:
        return bool(self.results(f'ALERTS{{alertname="{alert}", alertstate="firing"}}'))

    def await_told(self, alert: str, **labels: str) -> None:
        wait_until(
            lambda: self.told("firing", alert, **labels) != set(),
            limit_s=ALERT_S,
            what=f"the webhook is told of {alert}",
        )

    def await_resolved(self, alert: str, **labels: str) -> None:
        """Wait until the webhook is told of the end of everything that it was told of."""
        wait_until(
            lambda: (
                not self.firing(alert)
                and self.told("firing", alert, **labels) <= self.told("resolved", alert, **labels)
            ),
            limit_s=ALERT_S,
            what=f"the webhook is told of the end of {alert}",
        )

    def results(self, query: str) -> list[float]:
        """Return the numbers of an answer of Prometheus that are numbers."""
        found = self.monitoring.prometheus(f"query?{urllib.parse.urlencode({'query': query})}")
        values = [float(each["value"][1]) for each in found["result"]]
        return [value for value in values if math.isfinite(value)]

    def await_data(self, names: Collection[str]) -> None:
        """Wait until each of these queries has returned a number."""
        left = set(names)

        def all_have_data() -> bool:
            left.difference_update([name for name in left if self.results(QUERIES[name])])
            return not left

        with contextlib.suppress(AssertionError):
            wait_until(all_have_data, limit_s=DATA_S, what="each query returns data")
        assert not left, f"no data within {DATA_S} s: {sorted(left)}"


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    connected("IM_DATABASE_URL")
    folder = tmp_path_factory.mktemp("alerts")
    with (
        running_rig(folder, **SETTINGS) as rig,
        played_site() as heard,
        running_monitoring(folder / "monitoring", heard, rig.service.port + 1) as monitoring,
    ):
        cast = rig.take_cast()
        chatter = chatter_of(rig, cast, CANARY)
        with chatter.started():
            yield Scene(rig, Site(rig.service), monitoring, heard, chatter, cast)


def test_every_query_of_the_dashboards_returns_data(scene: Scene) -> None:
    """The worker audits as beat asks it to: the number of unaccounted messages comes from there."""
    scene.site.manage(
        "shell",
        "--command",
        "from imsite.celery import app; app.send_task('messaging.audit', args=['hourly'])",
    )
    assert QUERIES.keys() >= OF_AN_OUTAGE
    scene.await_data(QUERIES.keys() - OF_AN_OUTAGE)


@pytest.mark.parametrize("call", ["send", "history", "list", "sync", "group"])
def test_each_call_shows(scene: Scene, call: str) -> None:
    query = QUERIES["pipeline: Requests by call: A"]
    wait_until(
        lambda: any(
            scene.results(f'({query}) and on (call) im_requests_total{{call="{call}"}} > 0')
        ),
        limit_s=DATA_S,
        what=f"requests of the call {call} show",
    )


def test_a_consumer_that_stops_is_told_and_so_is_its_return(scene: Scene) -> None:
    wait_until(lambda: not scene.firing("ConsumerGone"), limit_s=ALERT_S, what="a consumer runs")
    before = scene.told("firing", "ConsumerGone")
    assert not before
    with scene.site.without("consumer"):
        scene.await_told("ConsumerGone", severity="page")
        scene.await_data([FIRING])
        wait_until(lambda: scene.site.pending() > 50, limit_s=ALERT_S, what="messages are pending")
    with scene.chatter.paused():
        scene.await_data([DRAINING])
        wait_until(lambda: scene.site.pending() == 0, limit_s=ALERT_S, what="all is stored")
    scene.await_resolved("ConsumerGone")


def test_a_redis_that_dies_is_told_and_so_is_its_return(scene: Scene) -> None:
    wait_until(lambda: not scene.firing("BackendAway"), limit_s=ALERT_S, what="all is up")
    assert not scene.told("firing", "BackendAway", backend="cache", role="web")
    try:
        scene.rig.servers.kill("redis")
        scene.await_told("BackendAway", backend="cache", role="web", severity="page")
    finally:
        scene.rig.servers.mend("redis")
    scene.await_resolved("BackendAway", backend="cache")


def test_dead_letters_are_told_and_so_is_the_end_of_their_window(scene: Scene) -> None:
    """The window of 15 minutes is shorter in the copy of the rules."""
    assert not scene.told("firing", "DeadLettersCome")
    unreadable = f'{{"content": "{CANARY}"'.encode()
    scene.site.append(*(OutgoingRecord(b"1_2", unreadable) for _ in range(3)))
    scene.await_told("DeadLettersCome", severity="ticket")
    scene.await_resolved("DeadLettersCome")


def test_no_text_and_no_token_shows_anywhere(scene: Scene) -> None:
    wait_until(
        lambda: scene.heard.told("/watchdog", "firing", "Watchdog") != [],
        limit_s=ALERT_S,
        what="the watchdog is told",
    )
    assert scene.chatter.rounds
    one, other = scene.chatter.one, scene.chatter.other
    assert CANARY in json.dumps(one.history(other).body), "the texts were sent"
    values = {
        value
        for label in scene.monitoring.prometheus("labels")
        for value in scene.monitoring.prometheus(f"label/{label}/values")
    }
    assert values >= {"im_sends_total", "consumer", "BackendAway"}
    said = {
        "metrics": scene.monitoring.scraped(),
        "labels": json.dumps(sorted(values)),
        "rules": json.dumps(scene.monitoring.prometheus("rules")),
        "webhook": json.dumps(scene.heard.heard),
        "alertmanager": json.dumps(scene.monitoring.alertmanager("alerts")),
    }
    assert "im_sends_total" in said["metrics"]
    assert "ConsumerGone" in said["webhook"] + said["rules"]
    secret = {"text": CANARY} | {f"token of {user}": t for user, t in scene.cast.tokens.items()}
    shown = [
        (what, where) for where, text in said.items() for what, s in secret.items() if s in text
    ]
    assert not shown
