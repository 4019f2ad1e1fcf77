"""Check that a busy database lets nobody pass whom the directory does not know."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Iterator

import pytest
from django.contrib.auth import get_user_model

from messaging.directory.database import THREADS, DatabaseDirectory
from messaging.runtime import wiring
from tests.support.http_client import Answer
from tests.support.service import Service, User, at_both_doors

pytestmark = at_both_doors()


@contextlib.contextmanager
def busy_directory() -> Iterator[None]:
    """Occupy all threads of the directory."""
    runtime = wiring._ensure()
    directory = runtime.backends.directory
    assert isinstance(directory, DatabaseDirectory)
    may_end, begun = threading.Event(), threading.Semaphore(0)

    def work(_: object) -> bool:
        begun.release()
        return may_end.wait(30)

    works = [
        asyncio.run_coroutine_threadsafe(directory._threads.run(work), runtime.loop)
        for _ in range(THREADS)
    ]
    assert all(begun.acquire(timeout=5) for _ in works)
    try:
        yield
        assert directory._threads.breaker.is_closed
    finally:
        may_end.set()
        for each in works:
            each.exception(5)


def lock_out(user: User) -> None:
    locked = get_user_model().objects.get(pk=user.id)
    locked.is_active = False
    locked.save()


def is_told_to_wait(answer: Answer) -> bool:
    return (answer.status, answer.code, answer.headers.get("retry-after")) == (503, 5030, "1")


def test_a_block_and_a_lock_hold(service: Service, alice: User, bob: User, carol: User) -> None:
    for user in (alice, carol):
        assert user.send(bob).status == 200

    with busy_directory():
        assert bob.client.post("/api/user/block", {"userId": alice.id}).status == 200
        assert (alice.send(bob).status, alice.send(bob).code) == (403, 2005)
        lock_out(carol)
        assert carol.send(bob).status == 401
        assert is_told_to_wait(alice.send(carol))  # the directory does not know carol

    assert (alice.send(bob).status, carol.send(bob).status) == (403, 401)


@pytest.mark.parametrize("receiver", ["999999999", "9223372036854775807"])
def test_a_send_to_nobody_is_not_accepted(alice: User, receiver: str) -> None:
    assert alice.read(9).status == 404  # the first call makes alice's token known

    body = {"toUserId": receiver, "chatType": 1, "msgType": 1, "content": "hi"}
    with busy_directory():
        assert is_told_to_wait(alice.client.post("/api/message/send", body))
    assert alice.client.post("/api/message/send", body).status == 404
