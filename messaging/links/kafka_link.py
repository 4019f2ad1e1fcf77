"""Read addresses of Kafka into the arguments that aiokafka and kafka-python take.

`kafka://` is plaintext and `kafkas://` TLS. A user in front of the hosts stands for SASL:
kafkas://user:password@host:9093,host:9093?sasl=SCRAM-SHA-512
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote

from django.core.exceptions import ImproperlyConfigured

from messaging.links import addresses, redis_link
from messaging.links.files import TlsFiles

DEFAULT_PORT = 9092
MECHANISMS = ("SCRAM-SHA-512", "SCRAM-SHA-256", "PLAIN")
FILES = ("ssl_cafile", "ssl_certfile", "ssl_keyfile")


@dataclass(frozen=True, slots=True)
class KafkaLink:
    """Hold the brokers of a link, and the security arguments of its client.

    `security` goes to either client unchanged: both have the same names for these arguments.
    """

    servers: tuple[str, ...]
    security: dict[str, Any] = field(default_factory=dict, repr=False)


def complete_kafka_url(variable: str, url: str, files: TlsFiles) -> str:
    """Return the address with the files of TLS as its options.

    Safe to repeat.
    Raises: ImproperlyConfigured for an unknown option or a file that cannot be used.
    """
    if not url.startswith("kafkas://"):
        return url
    options = _options(variable, url)
    found = files.overridden(options, *FILES)
    found.context(variable)
    options |= found.named(*FILES)
    return addresses.with_options(url, options)


def complete_log_url(variable: str, url: str, files: TlsFiles) -> str:
    """Return the address of the log, of Kafka or of Redis, with everything in it that TLS needs.

    An address of another kind is returned unchanged: `messaging.checks` reports the address with
    the forms that are possible.

    Safe to repeat.
    Raises: ImproperlyConfigured for an unknown option or a file that cannot be used.
    """
    scheme, separator, _ = url.partition("://")
    if scheme in redis_link.SCHEMES and separator:
        return redis_link.complete_redis_url(variable, url, files)
    return complete_kafka_url(variable, url, files)


def read_kafka_url(variable: str, url: str) -> KafkaLink:
    """Return the brokers and the security arguments of an address.

    Raises: ImproperlyConfigured for a text that is no address of Kafka.
    """
    scheme, _, rest = url.partition("://")
    options = _options(variable, url)
    user, at, hosts = rest.partition("?")[0].rpartition("@")
    servers = tuple(_server(variable, host) for host in hosts.rstrip("/").split(",") if host)
    if not servers:
        raise ImproperlyConfigured(f"{variable}: {scheme}:// needs a host, {scheme}://host:9092")
    security: dict[str, Any] = {}
    if scheme == "kafkas":
        files = TlsFiles().overridden(options, *FILES)
        security["ssl_context"] = files.context(variable)
    if at:
        security |= _credentials(variable, user, options.get("sasl", MECHANISMS[0]))
    elif "sasl" in options:
        raise ImproperlyConfigured(f"{variable}: sasl needs a user and a password in the address.")
    if security:
        layers = ("SASL" if at else "", "SSL" if scheme == "kafkas" else "PLAINTEXT")
        security["security_protocol"] = "_".join(filter(None, layers))
    return KafkaLink(servers, security)


def _options(variable: str, url: str) -> dict[str, str]:
    scheme, _, rest = url.partition("://")
    known = ("sasl", *FILES) if scheme == "kafkas" else ("sasl",)
    return addresses.options(variable, rest.partition("?")[2], known)


def _credentials(variable: str, user: str, mechanism: str) -> dict[str, str]:
    name, colon, password = user.partition(":")
    if not name or not colon or not password:
        raise ImproperlyConfigured(f"{variable}: a Kafka user needs a name and a password.")
    if mechanism.upper() not in MECHANISMS:
        raise ImproperlyConfigured(f"{variable}: sasl can be {', '.join(MECHANISMS)}.")
    return {
        "sasl_mechanism": mechanism.upper(),
        "sasl_plain_username": unquote(name),
        "sasl_plain_password": unquote(password),
    }


def _server(variable: str, host: str) -> str:
    parts = addresses.split_address(variable, f"//{host}")
    if not parts.hostname:
        raise ImproperlyConfigured(f"{variable}: write each broker as host:port.")
    return host if parts.port is not None else f"{host}:{DEFAULT_PORT}"
