"""Test that nothing acknowledged is lost, doubled or altered when parts are killed under load.

The load repeats each send that got no answer, and compares every message with its row in the
database.
"""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Iterator

import pytest

from tests.acceptance.corpus_process import running_load
from tests.support.processes import choose_redis_port, running_service, wait_until
from tests.support.site import Site, worker_pids

pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(180)]

SWEPT = {
    "IM_COMPENSATE_EVERY_S": "1",
    "IM_COMPENSATE_AFTER_S": "1",
    "IM_COMPENSATE_BUDGET_S": "1",  # the next sweep may begin 10 s after the end of this one
    "IM_COMPENSATE_ATTEMPTS": "0",  # at once into the database
}


@pytest.fixture(scope="module")
def swept(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Run an embedded stack in which a sweep begins within seconds, not minutes."""
    var_dir = tmp_path_factory.mktemp("swept") / "var"
    choose_redis_port(var_dir)
    with running_service(var_dir, **SWEPT) as service:
        yield Site(service)


def batches_of(site: Site, pid: int) -> int:
    """Return the number of batches that the consumer with this pid has persisted."""
    return len(re.findall(rf"INFO {pid} \S+ batch\.persisted", site.log))


class TestTheConsumer:
    def test_may_be_killed_in_mid_batch_again_and_again(self, site: Site) -> None:
        kills = 1 if site.is_full else 4  # Kafka notices a dead reader after ten seconds
        with running_load(site.service) as load:
            for _ in range(kills):
                pid = site.service.pid("consumer")
                wait_until(lambda pid=pid: batches_of(site, pid) > 0, limit_s=30, what="a batch")
                load.await_sent(50)
                site.service.kill("consumer")
                site.service.await_restart("consumer", after=pid)
            told = load.finish()
        assert told.overtaken == 0


class TestTheWeb:
    def test_may_lose_its_workers_and_itself(self, swept: Site) -> None:
        with running_load(swept.service) as load:
            for _ in range(3):
                load.await_sent(100)
                before = worker_pids(swept.service)
                os.kill(min(before), signal.SIGKILL)
                wait_until(
                    lambda before=before: len(worker_pids(swept.service) - before) == 1,
                    limit_s=30,
                    what="a new worker",
                )
            load.await_sent(100)
            swept.service.await_restart("web", after=swept.service.kill("web"))
            load.await_sent(100)
            told = load.finish()
        assert told.tried_again > 0


class TestRedis:
    def test_may_be_killed(self, swept: Site) -> None:
        with running_load(swept.service) as load:
            for _ in range(3):
                load.await_sent(100)
                swept.service.await_restart("redis", after=swept.service.kill("redis"))
            load.await_sent(100)
            load.finish()
        wait_until(lambda: swept.pending() == 0, limit_s=30, what="nothing is pending")


class TestTheSweep:
    def test_stores_what_no_consumer_does(self, swept: Site) -> None:
        alice, bob = next(swept.pairs)
        with swept.without("consumer"):
            sent = [alice.sent(bob) for _ in range(20)]
            secret = alice.sent(bob, "secret")
            assert alice.recall(secret).status == 200
            assert swept.pending() > 0
            swept.await_stored(bob, *sent, secret)
            assert bob.read(secret).data["content"] == ""
        wait_until(lambda: swept.pending() == 0, limit_s=30, what="nothing is pending")
        assert bob.history(alice).data["total"] == 21


def test_everything_may_be_stopped_and_started_under_load(site: Site) -> None:
    with running_load(site.service) as load:
        load.await_sent(300)
        assert site.service.stop() == 0
        site.service.start()
        load.await_sent(100)
        told = load.finish()
    assert told.tried_again > 0
