"""Check that passwords are hashed in a few places, behind a short queue with a deadline."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import pytest
from django.contrib.auth.hashers import check_password, make_password

from messaging import hashing
from messaging.domain import rates
from messaging.domain.errors import TooManyRequests
from messaging.hashing import Places
from messaging.limits import HASHES_A_CLIENT

CLIENT_TIMEOUT_S = 30.0


class Crowd:
    """Run hashing calls, each on a thread; a job ends when the test lets it."""

    def __init__(self, places: Places) -> None:
        self.places = places
        self.may_end = threading.Event()
        self.begun = threading.Semaphore(0)
        self._threads = ThreadPoolExecutor(20)

    def ask(self, client: str | None = None) -> Future[str]:
        return self._threads.submit(self.places.run, self._job, client=client)

    def _job(self) -> str:
        self.begun.release()
        self.may_end.wait(CLIENT_TIMEOUT_S)
        return "hash"

    def fill(self, count: int) -> list[Future[str]]:
        """Ask this many times; one call has the place and the others wait when this returns."""
        asked = [self.ask() for _ in range(count)]
        assert self.begun.acquire(timeout=CLIENT_TIMEOUT_S)
        self.wait_for(count)
        return asked

    def wait_for(self, count: int) -> None:
        deadline_s = time.monotonic() + CLIENT_TIMEOUT_S
        while self.jobs < count:
            assert time.monotonic() < deadline_s
            time.sleep(0.001)

    @property
    def jobs(self) -> int:
        return len(self.places._running) + len(self.places._waiting)

    def close(self) -> None:
        self.may_end.set()
        self._threads.shutdown()


@pytest.fixture
def crowd() -> Iterator[Crowd]:
    crowd = Crowd(Places(places=1, queue=2, wait_s=CLIENT_TIMEOUT_S))
    yield crowd
    crowd.close()


def test_one_is_hashed_and_the_queue_waits_and_the_next_is_refused_at_once(crowd: Crowd) -> None:
    asked = crowd.fill(3)
    with pytest.raises(TooManyRequests) as refused:
        crowd.ask().result(CLIENT_TIMEOUT_S)
    assert refused.value.retry_after_s == 1
    assert not crowd.begun.acquire(blocking=False)  # the only place is taken
    crowd.may_end.set()
    assert [future.result(CLIENT_TIMEOUT_S) for future in asked] == ["hash"] * 3
    assert crowd.ask().result(CLIENT_TIMEOUT_S) == "hash"


def test_who_waits_too_long_is_refused_and_leaves_the_queue() -> None:
    crowd = Crowd(Places(places=1, queue=1, wait_s=0.05))
    running, waiting = crowd.fill(2)
    try:
        with pytest.raises(TooManyRequests):
            waiting.result(CLIENT_TIMEOUT_S)
        assert crowd.jobs == 1
    finally:
        crowd.close()
    assert running.result(CLIENT_TIMEOUT_S) == "hash"  # this job had begun before the close


def test_one_client_leaves_room_for_others() -> None:
    crowd = Crowd(Places(places=1, queue=9, wait_s=CLIENT_TIMEOUT_S))
    own = [crowd.ask("192.0.2.1") for _ in range(HASHES_A_CLIENT)]
    try:
        crowd.wait_for(HASHES_A_CLIENT)
        with pytest.raises(TooManyRequests):
            crowd.ask("192.0.2.1").result(CLIENT_TIMEOUT_S)
        other = crowd.ask("192.0.2.2")
        crowd.may_end.set()
        assert [future.result(CLIENT_TIMEOUT_S) for future in (*own, other)] == ["hash"] * 3
        assert not crowd.jobs
    finally:
        crowd.close()


def test_who_has_asked_least_goes_first_and_takes_the_turn_of_who_has_asked_more() -> None:
    crowd = Crowd(Places(places=1, queue=2, wait_s=CLIENT_TIMEOUT_S))
    try:
        running = crowd.ask("192.0.2.9")
        assert crowd.begun.acquire(timeout=CLIENT_TIMEOUT_S)
        guessers = [f"192.0.2.{n}" for n in (1, 2)]
        for _ in range(3):
            for guesser in guessers:
                crowd.places._weigh(guesser)
        waiting = []
        for count, guesser in enumerate(guessers, 2):
            waiting.append(crowd.ask(guesser))
            crowd.wait_for(count)
        honest = crowd.ask("192.0.2.3")
        with pytest.raises(TooManyRequests):
            # Both addresses weigh the same, so the time of waiting decides.
            waiting[0].result(CLIENT_TIMEOUT_S)
        with pytest.raises(TooManyRequests):
            crowd.ask("192.0.2.1").result(CLIENT_TIMEOUT_S)
        assert [job.client for job in crowd.places._waiting] == ["192.0.2.2", "192.0.2.3"]
        lightest = min(crowd.places._waiting, key=lambda job: job.weight_s)
        assert lightest.client == "192.0.2.3"
        crowd.may_end.set()
        for asked in (running, honest, waiting[1]):
            assert asked.result(CLIENT_TIMEOUT_S) == "hash"
    finally:
        crowd.close()


def test_the_memory_of_who_asked_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rates, "MOST_KEYS", 10)
    places = Places(places=1, queue=0, wait_s=CLIENT_TIMEOUT_S)
    weights = [places._weigh(f"192.0.2.{n}") for n in range(100)]
    assert weights == [0.0] * 100
    assert len(places._asked._moved_to_us) == 10
    assert places._weigh("192.0.2.99") > 0


def test_a_failed_job_leaves_its_place() -> None:
    places = Places(places=1, queue=0, wait_s=CLIENT_TIMEOUT_S)

    def fail() -> str:
        raise ValueError

    for _ in range(3):
        with pytest.raises(ValueError):
            places.run(fail, client="192.0.2.1")


def test_every_way_to_a_hash_goes_through_a_place(monkeypatch: pytest.MonkeyPatch) -> None:
    encoded = make_password("right")
    assert check_password("right", encoded)
    assert not check_password("wrong", encoded)

    def refuse(*_: object) -> Places:
        return Places(places=1, queue=-1, wait_s=0)

    monkeypatch.setattr(hashing, "_places", refuse)
    for call in (
        lambda: make_password("right"),
        lambda: check_password("right", encoded),
        lambda: check_password("right", "!unusable"),
    ):
        with pytest.raises(TooManyRequests):
            call()


@pytest.mark.filterwarnings("ignore:.*use of fork:DeprecationWarning")
def test_a_forked_child_has_places_of_its_own() -> None:
    make_password("parent")
    if (child := os.fork()) == 0:
        try:
            make_password("child")
            os._exit(0)
        finally:
            os._exit(1)
    assert os.waitpid(child, 0)[1] == 0
