"""Hash passwords in a few places of this process, in turn, and refuse past a short queue.

A hash takes half a second of a core by intention. `PASSWORD_HASHERS` names the hasher here alone,
so that login, registration, the admin and every later use of a password wait in one queue.
"""

from __future__ import annotations

import os
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import ContextVar
from functools import lru_cache

from django.contrib.auth.hashers import PBKDF2PasswordHasher

from messaging.conf import settings
from messaging.errors import TooManyRequests
from messaging.limits import HASHES_A_CLIENT

NICENESS = 10  # a send is worth more than a hash

_asking: ContextVar[str | None] = ContextVar("asking", default=None)


@contextmanager
def asked_by(address: str | None) -> Iterator[None]:
    """Count the hashes within as this client's; None counts as nobody's."""
    token = _asking.set(address)
    try:
        yield
    finally:
        _asking.reset(token)


class Places:
    """Runs at most `places` jobs at a time, on threads of low priority; `queue` more may wait.

    A job that waits longer than `wait_s` is dropped. One client has at most `HASHES_A_CLIENT` jobs
    here, so that others find room beside it.
    """

    def __init__(self, *, places: int, queue: int, wait_s: float) -> None:
        self._most = places + queue
        self._wait_s = wait_s
        self._lock = threading.Lock()
        self._jobs = 0
        self._of_client: Counter[str] = Counter()
        self._executor = ThreadPoolExecutor(
            places, thread_name_prefix="hash", initializer=_lower_priority
        )

    def run(self, job: Callable[[], str], *, client: str | None) -> str:
        """Return what the job does. Raises TooManyRequests at once, or when it is not begun."""
        self._enter(client)
        try:
            future = self._executor.submit(job)
            return self._result(future)
        finally:
            self._leave(client)

    def _result(self, future: Future[str]) -> str:
        try:
            return future.result(self._wait_s)
        except TimeoutError as error:
            if future.cancel():
                raise TooManyRequests from error
        return future.result()  # it has begun, and ends by itself

    def _enter(self, client: str | None) -> None:
        with self._lock:
            if self._jobs >= self._most:
                raise TooManyRequests
            if client is not None:
                if self._of_client[client] >= HASHES_A_CLIENT:
                    raise TooManyRequests
                self._of_client[client] += 1
            self._jobs += 1

    def _leave(self, client: str | None) -> None:
        with self._lock:
            self._jobs -= 1
            if client is not None:
                self._of_client[client] -= 1
                if not self._of_client[client]:
                    del self._of_client[client]


class PlacedHasher(PBKDF2PasswordHasher):
    """Django's PBKDF2, in one of the places of this process. Verifying encodes, too."""

    def encode(self, password: str, salt: str, iterations: int | None = None) -> str:
        """Return the hash. Raises TooManyRequests while too many wait."""

        def job() -> str:
            return PBKDF2PasswordHasher.encode(self, password, salt, iterations)

        current = settings()
        places = _places(current.hash_places, current.hash_queue, current.hash_wait_s)
        return places.run(job, client=_asking.get())


@lru_cache(maxsize=1)
def _places(places: int, queue: int, wait_s: float) -> Places:
    return Places(places=places, queue=queue, wait_s=wait_s)


def _lower_priority() -> None:
    if sys.platform == "linux":  # elsewhere it would be the whole process's
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICENESS)


os.register_at_fork(after_in_child=_places.cache_clear)  # a child has none of its parent's threads
