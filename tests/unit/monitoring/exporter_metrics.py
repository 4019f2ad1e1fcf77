"""Name the metrics that the exporter adds, until the exporter has a catalogue.

This is the only copy. Replace it by the exporter's catalogue as soon as there is one; the counts of
the processes are in `messaging.metrics.catalogue` already.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from messaging.metrics.catalogue import BACKENDS, ROLES

ANY: Sequence[str] = ()  # the label may have any value

EXPORTER_METRICS: Mapping[str, Mapping[str, Sequence[str]]] = {
    "im_pending_messages": {},
    "im_pending_oldest_seconds": {},
    "im_pending_bytes": {},
    "im_pending_limit_bytes": {},
    "im_log_lag_records": {"partition": ANY},
    "im_log_lag_seconds": {"partition": ANY},
    "im_log_retention_seconds": {},
    "im_log_members": {},
    "im_dead_letters": {"state": ANY},
    "im_dead_letter_oldest_seconds": {"state": ANY},
    "im_arrears_noted": {},
    "im_audit_timestamp": {"scope": ("hourly", "nightly")},
    "im_audit_findings": {"kind": ANY},
    "im_unaccounted_messages": {},
    "im_backend_up": {"backend": BACKENDS},
    "im_backend_seconds": {"backend": BACKENDS},
    "im_redis_memory_bytes": {},
    "im_redis_limit_bytes": {},
    "im_redis_evicted_total": {},
    "im_redis_aof_delayed_total": {},
    "im_redis_replicas": {},
    "im_clock_offset_seconds": {"against": ("redis", "store")},
    "im_source_ok": {"source": ANY},
    "im_processes": {"role": ROLES},
    "im_build_info": {"version": ANY},
    "im_consumers_given_up": {},
}
