"""Test the address a request counts for: the peer's, or one that a trusted proxy names."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_network

import pytest
from pytest_django import Settings

from messaging.addresses import MAX_FORWARDED_BYTES, client_address

CLIENT, PROXY, NEAR_PROXY = "203.0.113.7", "10.0.0.2", "10.0.0.3"


@pytest.fixture(autouse=True)
def _proxies(settings: Settings) -> None:
    networks = tuple(map(ip_network, ("10.0.0.0/8", "fd00::/8")))
    settings.IM = replace(settings.IM, trusted_proxies=networks)


def address(peer: str | None, *forwarded: str) -> str:
    headers = [(b"x-forwarded-for", text.encode("latin-1")) for text in forwarded]
    client = None if peer is None else (peer, 50_000)
    return client_address({"client": client, "headers": [(b"host", b"x"), *headers]})


def test_of_a_client_that_comes_by_itself_is_its_own() -> None:
    assert address(CLIENT) == CLIENT
    assert address(CLIENT, "1.1.1.1", PROXY) == CLIENT


def test_behind_proxies_is_the_last_one_that_is_no_proxy() -> None:
    assert address(PROXY, CLIENT) == CLIENT
    assert address(PROXY, f"1.1.1.1, {CLIENT}, {NEAR_PROXY}") == CLIENT
    assert address(PROXY, "1.1.1.1", CLIENT, NEAR_PROXY) == CLIENT
    assert address(PROXY, f"{CLIENT}:4711") == CLIENT
    assert address(None, CLIENT) == CLIENT


def test_is_a_proxys_own_where_it_tells_no_other() -> None:
    assert address(PROXY) == PROXY
    assert address(PROXY, NEAR_PROXY) == NEAR_PROXY
    for unreadable in ("unknown", "", "\xff", "1.1.1.1,", "9" * 5_000, CLIENT + ",[:::"):
        assert address(PROXY, unreadable) == PROXY
    assert address(None) == ""


def test_of_ipv6_is_its_network_and_of_ipv4_in_ipv6_the_ipv4_one() -> None:
    assert address("2001:db8:1:2:3:4:5:6") == address("2001:db8:1:2::9") == "2001:db8:1:2::/64"
    assert address("::ffff:203.0.113.7") == CLIENT
    assert address("fd00::1", "[2001:db8::1]:4711") == "2001:db8::/64"
    assert address("fe80::1%eth0") == "fe80::/64"


def test_is_looked_for_in_the_end_of_a_long_header_alone() -> None:
    chain = ", ".join([CLIENT] + [NEAR_PROXY] * MAX_FORWARDED_BYTES)
    assert address(PROXY, chain) == NEAR_PROXY
    assert address(PROXY, "x" * 60_000 + "," + CLIENT) == CLIENT
