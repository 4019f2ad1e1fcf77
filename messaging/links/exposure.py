"""Whether what goes over a link can be read on its way."""

from __future__ import annotations

import ipaddress

from django.core.exceptions import ImproperlyConfigured

from messaging.links import addresses

PLAINTEXT = ("redis", "kafka")


def is_local(host: str | None) -> bool:
    """Return whether this host is this machine: loopback, or a Unix socket (no host, or a path)."""
    if not host or host.startswith("/") or host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def plaintext_hosts(variable: str, url: str) -> list[str]:
    """Return the other hosts that this address of Redis or Kafka leads to without TLS."""
    scheme, _, rest = url.partition("://")
    if scheme not in PLAINTEXT:
        return []
    hosts = rest.partition("/")[0].partition("?")[0].rpartition("@")[2].split(",")
    found = []
    for each in hosts:
        try:
            host = addresses.split_address(variable, f"//{each}").hostname
        except ImproperlyConfigured:
            continue  # another check tells
        if not is_local(host):
            found.append(str(host))
    return found
