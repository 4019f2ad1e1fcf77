"""Tell whether others on the network can read the data of a link."""

from __future__ import annotations

import ipaddress

from django.core.exceptions import ImproperlyConfigured

from messaging.links import addresses

PLAINTEXT = ("redis", "kafka")


def is_local(host: str | None) -> bool:
    """Tell whether this host is this machine: loopback, or a Unix socket (no host, or a path)."""
    if not host or host.startswith("/") or host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def plaintext_hosts(variable: str, url: str) -> list[str]:
    """Return the hosts beside this machine that an address of Redis or Kafka names without TLS."""
    scheme, _, rest = url.partition("://")
    if scheme not in PLAINTEXT:
        return []
    hosts = rest.partition("/")[0].partition("?")[0].rpartition("@")[2].split(",")
    found = []
    for each in hosts:
        try:
            host = addresses.split_address(variable, f"//{each}").hostname
        except ImproperlyConfigured:
            continue  # another check reports the host
        if not is_local(host):
            found.append(str(host))
    return found
