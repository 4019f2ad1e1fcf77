"""Read the addresses and the TLS settings of the links to Redis, Kafka and the database.

`imsite.settings` completes each address once, so that the address alone tells a client everything.
A link with TLS always proves the server's authority and name: no option switches the proof off. An
address or option that is not understood is refused with the name of its variable, and never with a
password.
"""

from __future__ import annotations

from messaging.links.addresses import split_address
from messaging.links.exposure import is_local, plaintext_hosts
from messaging.links.files import TlsFiles
from messaging.links.kafka_link import KafkaLink, complete_log_url, read_kafka_url
from messaging.links.mysql_link import database_options
from messaging.links.reasons import reason
from messaging.links.redis_link import broker_url, complete_redis_url

__all__ = [
    "KafkaLink",
    "TlsFiles",
    "broker_url",
    "complete_log_url",
    "complete_redis_url",
    "database_options",
    "is_local",
    "plaintext_hosts",
    "read_kafka_url",
    "reason",
    "split_address",
]
