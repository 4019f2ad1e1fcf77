"""Name the gauges and counters that the exporter asks the backends for, with their labels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from messaging.metrics.families import Labels


@dataclass(frozen=True, slots=True)
class Asked:
    """Hold a name, a text for people, and the names of the labels.

    A name in `_total` is that of a counter.
    """

    name: str
    text: str
    labels: tuple[str, ...] = ()


Answers = Mapping[Asked, Mapping[Labels, float]]

pending_messages = Asked("im_pending_messages", "Messages that are not stored yet.")
pending_oldest = Asked("im_pending_oldest_seconds", "Age of the oldest of these; 0 without one.")
pending_bytes = Asked("im_pending_bytes", "Bytes of these messages in Redis.")
pending_limit = Asked("im_pending_limit_bytes", "Bytes past which sends are refused.")

log_lag_records = Asked(
    "im_log_lag_records",
    "Records that the consumers have not committed. On Redis Streams a large number may include "
    "committed records that the stream still keeps.",
    ("partition",),
)
log_lag_seconds = Asked(
    "im_log_lag_seconds",
    "Age of the first record that the consumers have not committed; 0 without one.",
    ("partition",),
)
log_retention = Asked(
    "im_log_retention_seconds",
    "Time for which the log keeps a record; absent where no record ends before it is committed.",
)
log_members = Asked("im_log_members", "Readers in the consumers' group.")

dead_letters = Asked("im_dead_letters", "Dead letters, by what was decided about them.", ("state",))
dead_letter_oldest = Asked(
    "im_dead_letter_oldest_seconds", "Age of the oldest dead letter; 0 without one.", ("state",)
)
arrears_noted = Asked("im_arrears_noted", "Messages and deletes that the database owes Redis.")

audit_timestamp = Asked(
    "im_audit_timestamp",
    "Unix time, in seconds, of the end of the last complete audit of this schedule.",
    ("scope",),
)
audit_findings = Asked(
    "im_audit_findings",
    "Findings of the last complete audits; of the two schedules, the larger number.",
    ("kind",),
)
unaccounted = Asked(
    "im_unaccounted_messages",
    "Accepted messages that the last complete audits found nowhere; absent before the first audit.",
)

backend_up = Asked(
    "im_backend_up", "Whether the backend answers a ping of the exporter.", ("backend",)
)
backend_seconds = Asked("im_backend_seconds", "Duration of that ping.", ("backend",))
clock_offset = Asked(
    "im_clock_offset_seconds",
    "Time by which a server's clock is ahead of the exporter's; below zero: behind.",
    ("against",),
)

redis_memory = Asked("im_redis_memory_bytes", "Memory that Redis uses.")
redis_limit = Asked("im_redis_limit_bytes", "Memory that Redis may use; 0: any.")
redis_evicted = Asked("im_redis_evicted_total", "Keys that a full Redis has evicted.")
redis_aof_delayed = Asked(
    "im_redis_aof_delayed_total", "Writes of the append-only file that waited for a slow disk."
)
redis_replicas = Asked("im_redis_replicas", "Replicas that are connected to Redis.")

source_ok = Asked(
    "im_source_ok", "Whether a source of the exporter has answered; if not, its series are absent.",
    ("source",),
)  # fmt: skip
processes = Asked("im_processes", "Processes that write their counts.", ("role",))
build_info = Asked("im_build_info", "Releases that run; the value is 1.", ("version",))
