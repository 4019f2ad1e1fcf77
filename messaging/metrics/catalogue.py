"""Name every family that a process counts, with its labels.

A label never holds a user, a conversation, a message or a process: the number of series is bounded,
whatever clients do.
"""

from __future__ import annotations

from messaging.metrics.families import Counter, Family, Histogram, Reading, Sum

ROLES = ("web", "consumer", "worker")
BACKENDS = ("cache", "log", "store")
STATES = ("closed", "open", "half-open")
DOORS = ("gateway", "django")
CALLS = (
    "send", "history", "list", "sync", "mark",
    "fetch", "recall", "delete", "group", "other",
)  # fmt: skip
TIMED_CALLS = ("send", "history", "list", "sync", "mark", "other")
OUTCOMES = ("ok", "client", "limited", "unavailable", "error")

_REQUEST_EDGES_S = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10)
_STEP_EDGES_S = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 1, 5)
_LAG_EDGES_S = (0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 900, 3_600)
_DELAY_EDGES_S = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.5, 1, 5)
_GROUP_EDGES = (1, 2, 4, 8, 16, 32, 64, 128, 256)
_BATCH_EDGES = (1, 5, 10, 50, 100, 200, 500, 1_000, 2_000, 5_000)

requests = Counter(
    "im_requests_total",
    "Answers to requests.",
    {"door": DOORS, "call": CALLS, "outcome": OUTCOMES},
)
request_seconds = Histogram(
    "im_request_seconds",
    "Seconds from the head of a request to the end of its answer.",
    {"door": DOORS, "call": TIMED_CALLS},
    edges=_REQUEST_EDGES_S,
)
sends = Counter(
    "im_sends_total",
    "Accepted sends, by the strongest part that had confirmed them.",
    {
        "chat": ("private", "group"),
        "durability": ("cache", "log", "store"),
        "kind": ("new", "repeat"),
    },
)
sends_refused = Counter(
    "im_sends_refused_total",
    "Refused sends.",
    {"reason": ("queue", "rate", "pending_full", "unconfirmed", "no_id", "not_allowed")},
)
accept_group_size = Histogram(
    "im_accept_group_size", "Sends that shared one trip to Redis.", edges=_GROUP_EDGES
)
accept_step_seconds = Histogram(
    "im_accept_step_seconds",
    "Seconds that a group of sends spent in a step; `wait` is that of its first send.",
    {"step": ("wait", "cache", "log", "store")},
    edges=_STEP_EDGES_S,
)
batch_rows = Histogram("im_batch_rows", "Records of one batch of a consumer.", edges=_BATCH_EDGES)
batch_step_seconds = Histogram(
    "im_batch_step_seconds",
    "Seconds that a batch spent in a step.",
    {"step": ("poll", "store", "mark", "commit")},
    edges=_STEP_EDGES_S,
)
rows = Counter(
    "im_rows_total",
    "Message states that were stored: new rows, states joined into a row, repeats folded into "
    "their first send, refused ones, and tombstones.",
    {"result": ("stored", "joined", "folded", "conflict", "refused", "tombstone")},
)
persist_lag_seconds = Histogram(
    "im_persist_lag_seconds",
    "Seconds from the time in a message's id until Redis knows that the message is stored.",
    {"path": ("consumer", "compensation", "direct")},
    edges=_LAG_EDGES_S,
)
dead_letters = Counter(
    "im_dead_letters_total",
    "Messages and records that were set aside.",
    {"reason": ("unreadable", "bad_data", "id_conflict", "other")},
)
give_ups = Counter(
    "im_consumer_give_ups_total",
    "Consumers that ended with exit status 3 after too many dead letters in a row.",
)
compensation = Counter(
    "im_compensation_total",
    "Pending messages that sweeps dealt with.",
    {"result": ("confirmed", "appended", "applied", "set_aside", "without_detail", "left")},
)
last_sweep = Reading(
    "im_compensation_last_timestamp",
    "Unix time, in seconds, of the end of the last sweep.",
    joined=Sum.MOST,
)
breaker_processes = Reading(
    "im_breaker_processes",
    "Processes that see a backend in this state.",
    {"backend": BACKENDS, "state": STATES},
    by_role=True,
)
breaker_changes = Reading(
    "im_breaker_changes_total",
    "Outages that processes have seen begin.",
    {"backend": BACKENDS},
    by_role=True,
    is_total=True,
)
breaker_open_seconds = Reading(
    "im_breaker_open_seconds_total",
    "Seconds for which processes have seen a backend away.",
    {"backend": BACKENDS},
    by_role=True,
    is_total=True,
)
lease_seconds = Reading(
    "im_worker_lease_seconds",
    "Shortest time for which a process may still give message ids; 0: it gives none.",
    by_role=True,
    joined=Sum.LEAST,
)
leases_lost = Counter("im_worker_leases_lost_total", "Worker ids lost to another process.")
arrears = Reading("im_arrears_late", "Messages that processes owe Redis from their memory.")
pages = Counter(
    "im_pages_total",
    "Pages of history, by where they came from.",
    {"source": ("cache", "store", "archive"), "partial": ("no", "yes")},
)
loop_delay_seconds = Histogram(
    "im_loop_delay_seconds",
    "Seconds by which a timer of the event loop was late.",
    by_role=True,
    edges=_DELAY_EDGES_S,
)
memory_bytes = Reading("im_process_memory_bytes", "Resident memory of the processes.", by_role=True)
cpu_seconds = Reading(
    "im_process_cpu_seconds_total", "CPU time of the processes.", by_role=True, is_total=True
)
starts = Counter("im_process_starts_total", "Processes that were started.", by_role=True)

FAMILIES: tuple[Family, ...] = (
    requests, request_seconds, sends, sends_refused, accept_group_size, accept_step_seconds,
    batch_rows, batch_step_seconds, rows, persist_lag_seconds, dead_letters, give_ups,
    compensation, last_sweep, breaker_processes, breaker_changes, breaker_open_seconds,
    lease_seconds, leases_lost, arrears, pages, loop_delay_seconds, memory_bytes, cpu_seconds,
    starts,
)  # fmt: skip
