"""Test that the proxy does to real connections what its mode says."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Iterator

import pytest

from tests.support.proxy import Mode, Proxy

SOON_S = 0.3


@pytest.fixture
def upstream() -> Iterator[int]:
    """Return the port of a server that sends back the bytes that it gets."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            with contextlib.suppress(OSError):
                while True:
                    connection, _ = server.accept()
                    threading.Thread(target=echo, args=[connection], daemon=True).start()

        def echo(connection: socket.socket) -> None:
            with connection, contextlib.suppress(OSError):
                while data := connection.recv(4096):
                    connection.sendall(data)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield server.getsockname()[1]
        server.shutdown(socket.SHUT_RDWR)
        thread.join(5)


@pytest.fixture
def proxy(upstream: int) -> Iterator[Proxy]:
    with contextlib.closing(Proxy(f"tcp://127.0.0.1:{upstream}")) as proxy:
        yield proxy


@pytest.fixture
def client(proxy: Proxy) -> Iterator[socket.socket]:
    """Return a client that is connected, and was answered once."""
    with connect(proxy) as connection:
        assert asked(connection, b"one") == b"one"
        yield connection


def connect(proxy: Proxy) -> socket.socket:
    return socket.create_connection(("127.0.0.1", proxy.port), timeout=SOON_S)


def asked(connection: socket.socket, data: bytes) -> bytes:
    connection.sendall(data)
    return connection.recv(4096)


def test_a_reset_ends_old_connections_and_new_ones(proxy: Proxy, client: socket.socket) -> None:
    proxy.turn(Mode.RESET)
    with pytest.raises(ConnectionError):
        asked(client, b"two")
    with pytest.raises(ConnectionError), connect(proxy) as other:
        asked(other, b"two")
    proxy.heal()
    with connect(proxy) as other:
        assert asked(other, b"three") == b"three"


@pytest.mark.parametrize("mode", [Mode.BLACK_HOLE, Mode.MUTE])
def test_what_is_held_arrives_late(proxy: Proxy, client: socket.socket, mode: Mode) -> None:
    proxy.turn(mode)
    with pytest.raises(TimeoutError):
        asked(client, b"two")
    proxy.heal()
    assert client.recv(4096) == b"two"


def test_a_delay_lasts_as_long_in_each_direction(proxy: Proxy, client: socket.socket) -> None:
    proxy.turn(Mode.DELAY, 0.1)
    began_s = time.monotonic()
    assert asked(client, b"two") == b"two"
    assert time.monotonic() - began_s > 0.19


def test_a_throttle_lets_so_many_bytes_through(proxy: Proxy, client: socket.socket) -> None:
    proxy.turn(Mode.THROTTLE, 10_000)
    began_s = time.monotonic()
    assert len(asked(client, bytes(1_000))) == 1_000
    assert time.monotonic() - began_s > 0.19


def test_a_cut_comes_after_so_many_bytes_of_answers(proxy: Proxy, client: socket.socket) -> None:
    proxy.turn(Mode.CUT, 10)
    assert asked(client, b"0123456789") == b"0123456789"
    with pytest.raises(ConnectionError):
        asked(client, b"x")


def test_a_server_that_is_gone_looks_like_one() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    with (
        contextlib.closing(Proxy(f"tcp://127.0.0.1:{port}")) as proxy,
        pytest.raises(ConnectionError),
        connect(proxy) as client,
    ):
        asked(client, b"one")


def test_a_dropped_request_ends_its_connection_alone(proxy: Proxy, client: socket.socket) -> None:
    proxy.turn(Mode.DROP)
    with connect(proxy) as other:
        with pytest.raises(ConnectionError):
            asked(other, b"two")
        proxy.heal()
    assert asked(client, b"three") == b"three"
    assert proxy.count == 1


@pytest.mark.parametrize("mode", [Mode.BLACK_HOLE, Mode.MUTE, Mode.CUT])
def test_a_mode_may_begin_with_a_request(proxy: Proxy, client: socket.socket, mode: Mode) -> None:
    proxy.turn(mode, after=b"COMMIT")
    assert asked(client, b"two") == b"two"
    assert not proxy.count
    with pytest.raises((TimeoutError, ConnectionError)):
        asked(client, b"a COMMIT")
    assert proxy.count == 1
    with connect(proxy) as other:
        assert asked(other, b"three") == b"three"
