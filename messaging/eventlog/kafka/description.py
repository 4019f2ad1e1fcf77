"""Ask Kafka's administration about a topic and a group of consumers; the calls block.

One thread may use a description at a time.
"""

from __future__ import annotations

from kafka.admin import KafkaAdminClient
from kafka.errors import KafkaError

from messaging.eventlog.kafka.consuming import CALL_TIMEOUT_S
from messaging.eventlog.kafka.quirks import hear_last_words
from messaging.eventlog.kafka.topics import retention_ms
from messaging.links import KafkaLink

NO_SUCH_GROUP = "Dead"  # the state of a group that the brokers do not know


class Description:
    """Hold the connection to Kafka's administration, which the first call makes.

    Raises: KafkaError, from each call; the next call connects anew.
    """

    def __init__(self, link: KafkaLink) -> None:
        self._link = link
        self._admin: KafkaAdminClient | None = None

    def retention_ms(self, topic: str) -> int:
        """Return the retention time (ms) of a topic; -1 for no limit."""
        try:
            return retention_ms(self._open(), topic)
        except KafkaError:
            self.close()
            raise

    def members(self, group: str) -> int:
        """Return the number of the group's members; 0 for a group that does not exist."""
        try:
            found = self._open().describe_groups([group])[group]
        except KafkaError:
            self.close()
            raise
        if found["error"] and found["group_state"] != NO_SUCH_GROUP:
            raise KafkaError(found["error"])
        return len(found["members"])

    def close(self) -> None:
        """Close the connection; the next call makes a new one. Safe to repeat."""
        admin, self._admin = self._admin, None
        if admin is not None:
            admin.close()

    def _open(self) -> KafkaAdminClient:
        if self._admin is None:
            hear_last_words()
            bound_ms = round(CALL_TIMEOUT_S * 1000)
            self._admin = KafkaAdminClient(
                bootstrap_servers=list(self._link.servers),
                **self._link.security,
                bootstrap_timeout_ms=bound_ms,
                request_timeout_ms=bound_ms,
            )
        return self._admin
