"""The address of the log, which is Kafka's or one of Redis."""

from __future__ import annotations

from messaging.links import kafka_link, redis_link
from messaging.links.files import TlsFiles


def complete_log_url(variable: str, url: str, files: TlsFiles) -> str:
    """Return the address with everything in it that TLS needs. Safe to repeat.

    An address of neither is returned as it is: `messaging.checks` says what may have been meant.
    Raises: ImproperlyConfigured for an unknown option or a file that cannot be used.
    """
    scheme = url.partition("://")[0]
    if scheme in redis_link.SCHEMES and "://" in url:
        return redis_link.complete_redis_url(variable, url, files)
    if scheme in kafka_link.SCHEMES:
        return kafka_link.complete_kafka_url(variable, url, files)
    return url
