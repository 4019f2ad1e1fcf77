"""Test clients that are slow, many or greedy: their answers, and that nobody else is slowed."""

from __future__ import annotations

import contextlib
import json
import resource
import socket
import time
from collections.abc import Iterator

import psutil

from tests.support.service import User
from tests.support.site import Site, worker_pids

IDLE_CONNECTIONS = 1_500
HEADER_TIMEOUT_S = 60  # of scripts/run
PIECE = b"x" * 65_536
MIB = 1024 * 1024


def connect(site: Site) -> socket.socket:
    connection = socket.create_connection(("127.0.0.1", site.service.port), timeout=30)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connection


def request(user: User, method: str, target: str, body: bytes = b"") -> bytes:
    head = (
        f"{method} {target} HTTP/1.1\r\nHost: 127.0.0.1\r\n"
        f"Authorization: Bearer {user.client.token}\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def send_request(user: User, receiver: User, number: int) -> bytes:
    body = {
        "toUserId": receiver.id,
        "chatType": 1,
        "msgType": 1,
        "content": f"message {number}",
        "clientMsgId": f"pipelined-{user.id}-{receiver.id}-{number}",
    }
    return request(user, "POST", "/api/message/send", json.dumps(body).encode())


def answers(connection: socket.socket, count: int) -> Iterator[tuple[int, dict[str, object]]]:
    """Yield the status and the body of so many answers, as the answers come one after the other."""
    with connection.makefile("rb") as stream:
        for _ in range(count):
            status = int(stream.readline().split()[1])
            length = 0
            while (line := stream.readline().strip()) != b"":
                name, _, value = line.partition(b":")
                if name.lower() == b"content-length":
                    length = int(value)
            yield status, json.loads(stream.read(length))


def memory_bytes(site: Site) -> int:
    return sum(psutil.Process(pid).memory_info().rss for pid in worker_pids(site.service))


@contextlib.contextmanager
def many_files() -> Iterator[None]:
    """Raise the limit on open files for a test of many connections."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_pipelined_sends_are_answered_each_in_its_turn(site: Site, alice: User, bob: User) -> None:
    with connect(site) as connection:
        connection.sendall(b"".join(send_request(alice, bob, n) for n in range(50)))
        told = list(answers(connection, 50))
    assert [status for status, _ in told] == [200] * 50
    data = [body["data"] for _, body in told]
    keys = [f"pipelined-{alice.id}-{bob.id}-{n}" for n in range(50)]
    assert [each["clientMsgId"] for each in data] == keys  # type: ignore[index]
    assert len({each["messageId"] for each in data}) == 50  # type: ignore[index]


def test_idle_and_slow_clients_keep_nobody_out(site: Site, alice: User, bob: User) -> None:
    with many_files(), contextlib.ExitStack() as open_ones:
        for _ in range(IDLE_CONNECTIONS):
            open_ones.enter_context(connect(site))
        slow = open_ones.enter_context(connect(site))
        slow.sendall(b"POST /api/message/send HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Slow: ")
        began_s = time.monotonic()
        for _ in range(5):
            asked_s = time.monotonic()
            assert alice.send(bob).status == 200
            assert time.monotonic() - asked_s < 5
            slow.sendall(b"x")
        slow.settimeout(HEADER_TIMEOUT_S + 20)
        while slow.recv(65_536):
            pass  # the server may answer first, or just close
        assert time.monotonic() - began_s < HEADER_TIMEOUT_S + 15


def test_a_huge_body_is_refused_without_being_kept(site: Site, alice: User) -> None:
    before_bytes = memory_bytes(site)
    for _ in range(10):
        with connect(site) as connection:
            connection.sendall(request(alice, "POST", "/api/message/send")[:-5])
            connection.sendall(b"%d\r\n\r\n" % (64 * MIB))
            with contextlib.suppress(OSError):  # the server may close while the body is still sent
                for _ in range(64 * MIB // len(PIECE)):
                    connection.sendall(PIECE)
            with contextlib.suppress(OSError):
                ((status, body),) = answers(connection, 1)
                assert (status, body["code"]) == (413, 413)
    assert memory_bytes(site) - before_bytes < 48 * MIB
    assert alice.read("1").status == 404


def test_a_client_that_does_not_read_fills_no_memory(site: Site, alice: User, bob: User) -> None:
    for _ in range(20):
        alice.sent(bob, "x" * 4_000)
    asked = request(alice, "GET", f"/api/message/history?targetId={bob.id}&chatType=1")
    before_bytes = memory_bytes(site)
    with connect(site) as connection:
        connection.settimeout(5)
        with contextlib.suppress(TimeoutError):  # the server stops reading from it
            for _ in range(20_000):
                connection.sendall(asked)
        assert memory_bytes(site) - before_bytes < 64 * MIB
        assert alice.read("1").status == 404
