"""Hash passwords in a few places of this process, in turn, and refuse past a short queue.

A hash takes half a second of a core by intention. `PASSWORD_HASHERS` names this module's hasher
alone, so that login, registration, the admin and every later use of a password wait in one queue.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import lru_cache, partial

from django.contrib.auth.hashers import PBKDF2PasswordHasher

from messaging.conf import settings
from messaging.domain.errors import TooManyRequests
from messaging.domain.rates import Rates
from messaging.limits import HASHES_A_CLIENT

NICENESS = 19  # a send is worth more than a hash
REMEMBERED_FOR_S = 10.0  # how long one attempt of a client counts against its next ones

_asking: ContextVar[str | None] = ContextVar("asking", default=None)


@contextmanager
def asked_by(address: str | None) -> Iterator[None]:
    """Count the hashes inside the `with` block as this client's; None counts as nobody's."""
    token = _asking.set(address)
    try:
        yield
    finally:
        _asking.reset(token)


@dataclass(slots=True, eq=False)
class _Job:
    work: Callable[[], str]
    client: str | None
    weight_s: float
    done: Future[str] = field(default_factory=Future)


class Places:
    """Run at most `places` jobs at a time, on threads of low priority; let `queue` more wait.

    A job that waits longer than `wait_s` is dropped. One client has at most `HASHES_A_CLIENT` jobs
    here. The job of the client that has asked least lately goes first. When the queue is full, such
    a job replaces the job of a client that has asked more: a guesser does not keep others out.
    """

    def __init__(self, *, places: int, queue: int, wait_s: float) -> None:
        self._most = places + queue
        self._wait_s = wait_s
        self._lock = threading.Lock()
        self._waiting: list[_Job] = []
        self._running: list[_Job] = []
        self._asked = Rates(rate=1 / REMEMBERED_FOR_S, burst=1)
        self._executor = ThreadPoolExecutor(
            places, thread_name_prefix="hash", initializer=_lower_priority
        )

    def run(self, work: Callable[[], str], *, client: str | None) -> str:
        """Run the work in a place, and return its result.

        Raises: TooManyRequests, at once where the client or the queue has too many jobs, later
        where the job is replaced or has not begun after `wait_s`; the errors of the work.
        """
        job = _Job(work, client, self._weigh(client))
        with self._lock:
            self._admit(job)
        self._executor.submit(self._hash_lightest)
        try:
            return job.done.result(self._wait_s)
        except TimeoutError as error:
            with self._lock:
                if job in self._waiting:
                    self._waiting.remove(job)
                    raise TooManyRequests from error
        return job.done.result()  # a job that has begun ends by itself

    def _weigh(self, client: str | None) -> float:
        """Count an attempt of this client, and return the client's weight before the attempt.

        Each attempt adds `REMEMBERED_FOR_S` to the weight, in seconds, and the weight falls with
        time.
        """
        if client is None:
            return 0.0
        with self._lock:
            weight_s = self._asked.wait_s(client)
            self._asked.charge(client, 1)
        return weight_s

    def _admit(self, job: _Job) -> None:
        jobs = [*self._running, *self._waiting]
        own = [each for each in jobs if each.client == job.client]
        if job.client is not None and len(own) >= HASHES_A_CLIENT:
            raise TooManyRequests
        if len(jobs) >= self._most:
            heaviest = max(self._waiting, key=lambda each: each.weight_s, default=job)
            if heaviest.weight_s <= job.weight_s:
                raise TooManyRequests
            self._waiting.remove(heaviest)
            heaviest.done.set_exception(TooManyRequests())
        self._waiting.append(job)

    def _hash_lightest(self) -> None:
        with self._lock:
            if not self._waiting:  # dropped meanwhile
                return
            job = min(self._waiting, key=lambda each: each.weight_s)
            self._waiting.remove(job)
            self._running.append(job)
        try:
            result = job.work()
        except Exception as error:  # noqa: BLE001  # raised where the caller waits
            outcome = partial(job.done.set_exception, error)
        else:
            outcome = partial(job.done.set_result, result)
        with self._lock:
            self._running.remove(job)
        outcome()


class PlacedHasher(PBKDF2PasswordHasher):
    """Hash with Django's PBKDF2, in one of the places of this process.

    A verification encodes the password too, and so takes a place as well.
    """

    def encode(self, password: str, salt: str, iterations: int | None = None) -> str:
        """Return the hash of a password.

        Raises: TooManyRequests while too many wait.
        """

        def job() -> str:
            return PBKDF2PasswordHasher.encode(self, password, salt, iterations)

        current = settings()
        places = _places(current.hash_places, current.hash_queue, current.hash_wait_s)
        return places.run(job, client=_asking.get())


@lru_cache(maxsize=1)
def _places(places: int, queue: int, wait_s: float) -> Places:
    return Places(places=places, queue=queue, wait_s=wait_s)


def _lower_priority() -> None:
    if sys.platform == "linux":  # elsewhere the priority would be the whole process's
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICENESS)


os.register_at_fork(after_in_child=_places.cache_clear)  # a child has none of its parent's threads
