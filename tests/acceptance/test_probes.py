"""Test the probes on real processes: in each mode of the service, at the start and at the end.

The modes are produced on the stack of the fault rig, whose proxies take backends away.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest

from messaging.domain.modes import MODES, Mode, Reads, Sends, Status, mode_of
from messaging.service.readiness import ROOM_BYTES
from tests.faults.rig import Cast, Rig, running_rig
from tests.support.http_client import Answer
from tests.support.processes import ServiceProcesses, clean_environment, wait_until
from tests.support.proxy import Mode as Broken
from tests.support.real_services import ROOT
from tests.support.site import Site

pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(600)]

SERVERS = {"cache": "redis", "log": "kafka", "store": "mariadb"}
NOTICE_S = 30.0
PENDING_BYTES = ROOM_BYTES + 60_000
LARGE = "x" * 4_000
Told = tuple[int, dict[str, Any]] | None


def probe(service: ServiceProcesses, path: str = "/health/ready") -> Told:
    """Ask as a balancer does, by address; None where the connection is refused or ended."""
    connection = http.client.HTTPConnection("127.0.0.1", service.port, timeout=10)
    with contextlib.closing(connection):
        try:
            connection.request("GET", path, headers={"Host": "10.0.0.7"})
            answer = connection.getresponse()
            return answer.status, json.loads(answer.read())
        except (ConnectionError, http.client.BadStatusLine):
            return None


def as_told(mode: Mode, away: frozenset[str]) -> dict[str, Any]:
    names = [name for name in SERVERS if name in away]
    return {"status": mode.status, "away": names, "sends": mode.sends, "reads": mode.reads}


class Talk:
    """Send and read as the first of four people, to the second."""

    def __init__(self, rig: Rig, cast: Cast) -> None:
        (_, self._token), (self._other, _), *_ = cast.tokens.items()
        self._site = Site(rig.service)

    def send(self, content: str = "hello") -> Answer:
        body = {"toUserId": str(self._other), "chatType": 1, "msgType": 1, "content": content}
        return self._call("POST", "/api/message/send", body)

    def read(self) -> Answer:
        return self._call("GET", f"/api/message/history?targetId={self._other}&chatType=1", None)

    def is_whole(self) -> bool:
        answer = self.read()
        return answer.status == 200 and answer.data["partial"] is False

    def _call(self, method: str, target: str, body: Any) -> Answer:
        headers = {"Authorization": f"Bearer {self._token}", "Content-Type": "application/json"}
        content = b"" if body is None else json.dumps(body).encode()
        return self._site.exchange(method, target, headers, [content])


@pytest.fixture(scope="module")
def rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    """Run the rig with one web process, so that each probe asks the same one."""
    variables = {
        "WEB_WORKERS": "1",
        "CONSUMER_WORKERS": "1",
        "IM_PENDING_BYTES": str(PENDING_BYTES),
        "IM_LOG_BUDGET_S": "0.6",  # a slow machine is no outage of the log
    }
    with running_rig(tmp_path_factory.mktemp("probes"), **variables) as rig:
        yield rig


@pytest.fixture(scope="module")
def talk(rig: Rig) -> Talk:
    return Talk(rig, rig.take_cast())


@pytest.fixture
def broken(rig: Rig, talk: Talk) -> Iterator[Rig]:
    """Mend the rig after the test, and wait until all is well again."""
    yield rig
    rig.mend()
    wait_until(
        lambda: probe(rig.service) == (200, as_told(MODES[frozenset()], frozenset())),
        limit_s=90,
        what="all is well",
    )
    wait_until(lambda: has_caught_up(rig), limit_s=60, what="the database has caught up")
    site = Site(rig.service)
    wait_until(lambda: site.pending() == 0, limit_s=90, what="nothing is pending")
    wait_until(talk.is_whole, limit_s=30, what="pages are whole again")


def has_caught_up(rig: Rig) -> bool:
    """Tell whether the web has seen the database catch up after the last outage of the database."""
    (pid,) = rig.workers("web")
    ends = ("breaker.closed", "store.caught_up")
    told = [line for line in Site(rig.service).log.splitlines() if f" {pid} " in line]
    told = [line for line in told if any(f" {end} " in line for end in ends)]
    told = [line for line in told if "caught_up" in line or "backend=store" in line]
    return not told or "caught_up" in told[-1]


def take_away(rig: Rig, talk: Talk, away: frozenset[str]) -> None:
    """Take backends away, and return when the web has noticed; Kafka's absence shows in a send."""
    for name in away:
        rig.proxies[SERVERS[name]].turn(Broken.RESET)
    expected = (200, as_told(MODES[away], away))
    told: list[Told] = []

    def is_noticed() -> bool:
        talk.send()
        told.append(probe(rig.service))
        return told[-1] == expected

    wait_until(is_noticed, limit_s=NOTICE_S, what=f"the mode without {set(away)} is told")


@pytest.mark.connected
@pytest.mark.alone
class TestAMode:
    @pytest.mark.parametrize("away", MODES, ids=lambda away: "+".join(sorted(away)) or "nothing")
    def test_is_told_as_sends_and_reads_then_are(
        self, broken: Rig, talk: Talk, away: frozenset[str]
    ) -> None:
        take_away(broken, talk, away)
        mode = MODES[away]
        sent, read = talk.send(), talk.read()
        if mode.sends is Sends.REFUSED:
            assert sent.status == 503
            assert int(sent.headers["retry-after"]) >= 1
        else:
            assert (sent.status, sent.data["durability"]) == (200, mode.sends)
        assert read.status == (503 if mode.reads is Reads.REFUSED else 200)
        if mode.reads is Reads.STORED:
            assert read.data["partial"] is True
        assert probe(broken.service) == (200, as_told(mode, away))
        assert probe(broken.service, "/health/live") == (200, {"status": "ok"})

    def test_refuses_past_the_cap_of_pending_bytes(self, broken: Rig, talk: Talk) -> None:
        away = frozenset({"log", "store"})
        take_away(broken, talk, away)
        refusing = (200, as_told(mode_of(away, takes_sends=False), away))
        statuses: list[int] = []

        def is_full() -> bool:
            statuses.append(talk.send(LARGE).status)
            return statuses[-1] == 503

        wait_until(is_full, limit_s=60, what="the pending set is full")
        assert statuses[0] == 200
        wait_until(lambda: probe(broken.service) == refusing, limit_s=5, what="refusing is told")
        assert refusing[1]["status"] is Status.REFUSING


@pytest.mark.connected
@pytest.mark.alone
class TestAStart:
    def test_without_any_backend_is_not_ready_and_is_alive(self, broken: Rig) -> None:
        for proxy in broken.proxies.values():
            proxy.turn(Broken.RESET)
        broken.restart("web")
        started = (503, {"status": "no worker id"})
        wait_until(lambda: probe(broken.service) == started, limit_s=60, what="the web answers")
        assert probe(broken.service, "/health/live") == (200, {"status": "ok"})


@pytest.mark.connected
@pytest.mark.alone
class TestAnEnd:
    def test_no_probe_is_told_that_all_is_well(self, broken: Rig, talk: Talk) -> None:
        """A request that is under way holds the end up, while probes go on asking."""
        with socket.create_connection(("127.0.0.1", broken.service.port)) as held:
            held.sendall(
                b"POST /api/user/login HTTP/1.1\r\nHost: 127.0.0.1\r\n"
                b"Content-Type: application/json\r\nContent-Length: 100\r\n\r\n{"
            )
            with broken.service.supervisor() as supervisor:
                supervisor.stopProcess("web", False)  # SIGTERM, and no wait
            wait_until(
                lambda: (told := probe(broken.service)) is None or told[0] == 503,
                limit_s=10,
                what="the end is told",
            )
            assert broken.workers("web"), "the request holds the process up"
            for _ in range(20):
                told = probe(broken.service)
                assert told is None or told[0] == 503
        wait_until(lambda: not broken.service.pid("web"), limit_s=30, what="the web has ended")
        with broken.service.supervisor() as supervisor:
            supervisor.startProcess("web")


ROLES = ("web", "consumer", "worker")


def health(service: ServiceProcesses, role: str) -> tuple[int, str]:
    done = subprocess.run(
        [sys.executable, ROOT / "manage.py", "health", role],
        env=clean_environment(**service.environment),
        capture_output=True,
        text=True,
        timeout=60,
    )
    return done.returncode, done.stdout


def metrics(service: ServiceProcesses) -> str:
    """Return what the exporter tells, which takes the snapshots of ended processes away."""
    url = f"{service.environment['IM_EXPORTER_URL']}/metrics"
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with direct.open(url, timeout=30) as answer:
        return str(answer.read().decode())


class TestTheCommand:
    @pytest.mark.parametrize("role", ROLES)
    def test_calls_a_running_process_well(self, site: Site, role: str) -> None:
        wait_until(lambda: health(site.service, role)[0] == 0, limit_s=60, what=f"{role} is well")

    @pytest.mark.parametrize("role", ROLES)
    def test_misses_a_process_that_has_ended(self, site: Site, role: str) -> None:
        with site.without(role):
            status, line = health(site.service, role)
            assert status == 1
            assert line.startswith(f"{role}: ")
            none = f'im_processes{{role="{role}"}} 0.0\n'
            wait_until(lambda: none in metrics(site.service), limit_s=60, what=f"no {role} counts")
        wait_until(lambda: health(site.service, role)[0] == 0, limit_s=60, what=f"{role} is well")
