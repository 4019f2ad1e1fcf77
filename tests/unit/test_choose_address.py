"""Test the address that scripts/run listens on, and the address that it is asked at."""

from __future__ import annotations

import socket
import subprocess
import sys

import pytest

from tests.support.real_services import ROOT, free_port


def choose(host: str, port: int) -> tuple[int, str]:
    done = subprocess.run(
        [sys.executable, ROOT / "scripts" / "choose_address.py", host, str(port)],
        capture_output=True,
        text=True,
        timeout=30,
    )
    return done.returncode, done.stdout.strip()


@pytest.mark.parametrize(
    ("host", "address", "asked"),
    [
        ("127.0.0.1", "127.0.0.1", "127.0.0.1"),
        ("0.0.0.0", "0.0.0.0", "127.0.0.1"),
        ("localhost", "127.0.0.1", "127.0.0.1"),
        ("::1", "::1", "[::1]"),
        ("::", "::", "[::1]"),
    ],
)
def test_an_address_or_a_name_of_this_machine(host: str, address: str, asked: str) -> None:
    port = free_port()
    assert choose(host, port) == (0, f"{address} http://{asked}:{port}")


@pytest.mark.parametrize("host", ["nobody.invalid", "192.0.2.1", "2001:db8::1", "fe80::1%lo", ""])
def test_no_address_of_this_machine(host: str) -> None:
    assert choose(host, free_port()) == (3, "")


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_a_port_that_is_taken(host: str) -> None:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.create_server((host, 0), family=family) as taken:
        assert choose(host, taken.getsockname()[1]) == (1, "")


def test_a_port_that_is_none() -> None:
    assert choose("127.0.0.1", 65_536) == (1, "")
