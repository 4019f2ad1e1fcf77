"""Complete the address of the log, which is an address of Kafka or of Redis."""

from __future__ import annotations

from messaging.links import kafka_link, redis_link
from messaging.links.files import TlsFiles


def complete_log_url(variable: str, url: str, files: TlsFiles) -> str:
    """Return the address with everything in it that TLS needs.

    An address of another kind is returned unchanged: `messaging.checks` reports the address with
    the forms that are possible.

    Safe to repeat.
    Raises: ImproperlyConfigured for an unknown option or a file that cannot be used.
    """
    scheme = url.partition("://")[0]
    if scheme in redis_link.SCHEMES and "://" in url:
        return redis_link.complete_redis_url(variable, url, files)
    if scheme in kafka_link.SCHEMES:
        return kafka_link.complete_kafka_url(variable, url, files)
    return url
