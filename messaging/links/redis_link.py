"""Read addresses of Redis for all its clients: redis-py's two, django-redis and Celery's broker.

The names of the options are redis-py's, so that every client built on redis-py reads a completed
address by itself. kombu reads the same names.
"""

from __future__ import annotations

from urllib.parse import parse_qsl

from django.core.exceptions import ImproperlyConfigured

from messaging.links import addresses
from messaging.links.files import TlsFiles

SCHEMES = ("redis", "rediss", "unix")
FILES = ("ssl_ca_certs", "ssl_certfile", "ssl_keyfile")
PROVING = ("ssl_cert_reqs", "ssl_check_hostname")


def complete_redis_url(variable: str, url: str, files: TlsFiles) -> str:
    """Return the address with everything in it that TLS needs.

    Safe to repeat.
    Raises: ImproperlyConfigured for another scheme, an unknown option, an unusable file.
    """
    parts = addresses.split_address(variable, url)
    if parts.scheme not in SCHEMES:
        known = ", ".join(f"{scheme}://" for scheme in SCHEMES)
        raise ImproperlyConfigured(f"{variable} has to begin with one of {known}.")
    known_options = ("db", *FILES, *PROVING) if parts.scheme == "rediss" else ("db",)
    options = addresses.options(variable, parts.query, known_options)
    if parts.scheme == "rediss":
        addresses.refuse_unless(variable, options, "ssl_cert_reqs", "required", "cert_required")
        addresses.refuse_unless(variable, options, "ssl_check_hostname", "true", "1", "yes", "on")
        found = files.overridden(options, *FILES)
        found.context(variable)
        options |= found.named(*FILES)
        options |= {"ssl_cert_reqs": "required", "ssl_check_hostname": "true"}
    return addresses.with_options(url, options)


def broker_url(variable: str, url: str, files: TlsFiles) -> str:
    """Return the address of Celery's broker as kombu reads it; keep an address of another kind."""
    if url.partition("://")[0] not in SCHEMES:
        return url
    completed = complete_redis_url(variable, url, files)
    if not completed.startswith("unix://"):
        return completed
    address, _, query = completed.partition("?")
    database = dict(parse_qsl(query)).get("db", "0")
    return f"redis+socket{address.removeprefix('unix')}?virtual_host={database}"
