"""Tell which address a request comes from, past the proxies that the site trusts.

Limits by address count by this address, in the front door and in Django's views (`asgi.scope`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address
from typing import Any

from messaging.conf import Network, settings

MAX_FORWARDED_BYTES = 1_024  # of X-Forwarded-For, its end: the nearest proxies write there
LONGEST_ADDRESS = 64
IPV6_CLIENT_BITS = 64  # a household gets so many bits of its own; one client may use them all

Address = IPv4Address | IPv6Address


def client_address(scope: Mapping[str, Any]) -> str:
    """Return the address of the client of an ASGI scope, an IPv6 client's as its /64 network.

    For a peer in IM_TRUSTED_PROXIES the last address of X-Forwarded-For that is no trusted proxy
    counts. The header of any other peer is ignored. A connection through a Unix socket has no
    address; its peer is trusted as a proxy of this machine. Return an empty text where nothing is
    known.
    """
    peer = scope.get("client")
    text: str = peer[0] if peer else ""
    trusted = settings().trusted_proxies
    address = _read(text)
    if address is None or _is_among(address, trusted):
        for forwarded in _forwarded(scope["headers"]):
            address = forwarded
            if not _is_among(address, trusted):
                break
    return text if address is None else _canonical(address)


def _forwarded(headers: Sequence[tuple[bytes, bytes]]) -> Iterator[Address]:
    """Yield the addresses of X-Forwarded-For from the last on, up to one that cannot be read."""
    given = b",".join(value for name, value in headers if name == b"x-forwarded-for")
    entries = given[-MAX_FORWARDED_BYTES:].split(b",")
    if len(given) > MAX_FORWARDED_BYTES:
        del entries[0]  # cut
    for entry in reversed(entries):
        address = _read(entry.decode("latin-1").strip())
        if address is None:
            return
        yield address


def _read(text: str) -> Address | None:
    """Return the address in a text, which may have a port; return IPv4 in IPv6 as IPv4."""
    if len(text) > LONGEST_ADDRESS:
        return None
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        address = ip_address(text)
    except ValueError:
        return None
    return (isinstance(address, IPv6Address) and address.ipv4_mapped) or address


def _is_among(address: Address, networks: Sequence[Network]) -> bool:
    return any(address in network for network in networks)


def _canonical(address: Address) -> str:
    if isinstance(address, IPv4Address):
        return str(address)
    return str(IPv6Network((address, IPV6_CLIENT_BITS), strict=False))
