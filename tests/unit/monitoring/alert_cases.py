"""List, for each alert, series that make it fire and close neighbours that do not.

A case holds the series as promtool writes them, one sample every 15 seconds: `1+0x800` stays at 1,
`0+2x800` grows by 2. Each case begins at the time 0, with everything else absent.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

SAMPLE_S = 15
SAMPLES = 800

Series = Mapping[str, str]


@dataclass(frozen=True)
class Case:
    """Hold the series that fire one alert at the time `at`, and neighbours that leave it silent.

    The alert is pending for `waits_m` minutes first. `labels` are those of the rule, beside its
    severity; `quiet` has a name for each neighbour.
    """

    alert: str
    severity: str
    fires: Series
    quiet: Mapping[str, Series]
    waits_m: int = 0
    at: str = "10m"
    labels: Mapping[str, str] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return "-".join((self.alert, self.severity, *self.labels.values()))


def stays(value: float) -> str:
    return grows(0, start=value)


def grows(per_s: float, start: float = 0) -> str:
    return f"{start:.10g}{per_s * SAMPLE_S:+.10g}x{SAMPLES}"


def turns(before: float, after: float, *, after_s: int) -> str:
    """Return a series that has one value up to a time, and another value from then on."""
    return f"{before}+0x{after_s // SAMPLE_S} {stays(after)}"


def slows(before_per_s: float, after_per_s: float, *, after_s: int) -> str:
    """Return a counter that grows at one rate up to a time, and at another rate from then on."""
    steps = after_s // SAMPLE_S
    end = before_per_s * SAMPLE_S * steps
    return f"0+{before_per_s * SAMPLE_S}x{steps} {grows(after_per_s, start=end)}"


def role_case(alert: str, role: str) -> Case:
    """Return the case of an alert on a role without a process."""
    up = {'up{job="imsite"}': stays(1)}
    running = f'im_processes{{role="{role}"}}'
    others = {f'im_processes{{role="{name}"}}': stays(1) for name in ("web", "consumer", "worker")}
    others.pop(running)
    return Case(
        alert,
        "page",
        up | others,
        {
            "one process": up | others | {running: stays(1)},
            "the exporter is away": {'up{job="imsite"}': stays(0)},
        },
        waits_m=1,
    )


def answers(bad: float, per_s: float = 10) -> Series:
    """Return sends of which this share fails; refusals of clients beside them count for nothing."""
    send = 'im_requests_total{{door="gateway", call="send", outcome="{}"}}'
    return {
        send.format("ok"): grows(per_s * (1 - bad)),
        send.format("unavailable"): grows(per_s * bad / 2),
        send.format("error"): grows(per_s * bad / 2),
        send.format("client"): grows(100 * per_s),
        send.format("limited"): grows(100 * per_s),
    }


def delays(bad: float, per_s: float = 10) -> Series:
    """Return sends of which this share takes longer than 50 ms, and slow calls of another kind."""
    name, send = "im_request_seconds", 'door="gateway", call="send"'
    return {
        f'{name}_bucket{{{send}, le="0.05"}}': grows(per_s * (1 - bad)),
        f'{name}_bucket{{{send}, le="0.1"}}': grows(per_s),
        f"{name}_count{{{send}}}": grows(per_s),
        f'{name}_bucket{{door="gateway", call="list", le="0.05"}}': grows(0),
        f'{name}_count{{door="gateway", call="list"}}': grows(per_s),
    }


def lags(bad: float, per_s: float = 10) -> Series:
    """Return messages of which this share is stored later than after 10 s."""
    name, path = "im_persist_lag_seconds", 'path="consumer"'
    return {
        f'{name}_bucket{{{path}, le="5.0"}}': grows(per_s * (1 - bad) / 2),
        f'{name}_bucket{{{path}, le="10.0"}}': grows(per_s * (1 - bad)),
        f'{name}_bucket{{{path}, le="30.0"}}': grows(per_s),
        f"{name}_count{{{path}}}": grows(per_s),
    }


BURNS = (("1h", 14.4, "page"), ("6h", 6, "page"), ("1d", 3, "ticket"), ("3d", 1, "ticket"))
GOALS = (
    ("SendErrorsBurn", answers, 0.001),
    ("SendSlowBurn", delays, 0.01),
    ("StoredLateBurn", lags, 0.001),
)


def burn_cases() -> list[Case]:
    return [
        Case(
            alert,
            severity,
            series(factor * budget * 1.02),
            {
                "just within": series(factor * budget * 0.98),
                "too few events to judge": series(0.5, per_s=0.09),
            },
            labels={"window": window},
        )
        for alert, series, budget in GOALS
        for window, factor, severity in BURNS
    ]


LOG_UP = {'im_backend_up{backend="log"}': stays(1), 'im_backend_up{backend="store"}': stays(1)}
ACCEPTED = 'im_sends_total{chat="private", durability="log", kind="new"}'
STORED = 'im_rows_total{result="stored"}'
LAG = 'im_log_lag_seconds{{partition="{}"}}'
RETENTION = {"im_log_retention_seconds": stays(1_000)}
BREAKER = 'im_breaker_processes{{role="web", backend="cache", state="{}"}}'
PENDING_LIMIT = {"im_pending_limit_bytes": stays(1_000_000)}
REDIS_LIMIT = {"im_redis_limit_bytes": stays(1_000)}
GIVE_UPS = "im_consumer_give_ups_total"
CONSUMERS = 'im_processes{role="consumer"}'
LETTERS = 'im_dead_letters_total{reason="bad_data"}'
LOOP = 'im_loop_delay_seconds_bucket{{role="web", le="{}"}}'
HOURLY = 'im_audit_timestamp{scope="hourly"}'


def breakers(closed: int, opened: int, probing: int) -> Series:
    return {
        BREAKER.format("closed"): stays(closed),
        BREAKER.format("open"): stays(opened),
        BREAKER.format("half-open"): stays(probing),
    }


def loop_delays(up_to_200_ms: float) -> Series:
    """Return timers of which this share is at most 200 ms late, and the others at most 500 ms."""
    return {
        LOOP.format("0.2"): grows(4 * up_to_200_ms),
        LOOP.format("0.5"): grows(4),
        LOOP.format("+Inf"): grows(4),
    }


MESSAGE_CASES = [
    Case(
        "Unaccounted",
        "page",
        {"im_unaccounted_messages": stays(1)},
        {
            "none": {"im_unaccounted_messages": stays(0)},
            "gone at the second audit": {"im_unaccounted_messages": turns(1, 0, after_s=3_600)},
        },
        at="70m",
        waits_m=65,
    ),
    Case(
        "AuditsStopped",
        "ticket",
        {HOURLY: stays(600 - 10_801), 'im_audit_timestamp{scope="nightly"}': grows(1)},
        {"three hours ago": {HOURLY: stays(600 - 10_800)}},
    ),
    Case(
        "NothingIsStored",
        "page",
        {ACCEPTED: grows(1), STORED: stays(5)},
        {
            "one row in a while": {ACCEPTED: grows(1), STORED: grows(1 / 60)},
            "nothing is accepted": {ACCEPTED: stays(9), STORED: stays(5)},
            "the database itself answers": {
                ACCEPTED.replace('"log"', '"store"'): grows(1),
                STORED: stays(5),
            },
        },
        waits_m=2,
    ),
    Case(
        "LagGrows",
        "page",
        {LAG.format(1): grows(0.001, start=60.5)},
        {
            "large and falling": {LAG.format(1): grows(-0.01, start=600)},
            "growing and small": {LAG.format(1): grows(0.001, start=59.3)},
        },
        waits_m=1,
    ),
    Case(
        "LagMeetsRetention",
        "ticket",
        {LAG.format(1): stays(251)} | RETENTION,
        {"at a quarter": {LAG.format(1): stays(250)} | RETENTION},
        waits_m=1,
    ),
    Case(
        "LagMeetsRetention",
        "page",
        {LAG.format(1): stays(501)} | RETENTION,
        {"at a half": {LAG.format(1): stays(500)} | RETENTION},
        waits_m=1,
    ),
    Case(
        "PartitionWithoutReader",
        "page",
        {LAG.format(1): grows(0.92, start=-465.8), LAG.format(2): stays(0)},  # 31 after 9 minutes
        {
            "read, though slowly": {LAG.format(1): grows(0.88), LAG.format(2): stays(0)},
            "the others lag too": {LAG.format(1): grows(1), LAG.format(2): stays(1)},
            "young": {LAG.format(1): grows(0.92, start=-467.8), LAG.format(2): stays(0)},
        },
        waits_m=1,
    ),
    Case(
        "PendingOld",
        "page",
        {"im_pending_oldest_seconds": stays(301)} | LOG_UP,
        {
            "five minutes": {"im_pending_oldest_seconds": stays(300)} | LOG_UP,
            "the log is away": {"im_pending_oldest_seconds": stays(301)}
            | LOG_UP
            | {'im_backend_up{backend="log"}': stays(0)},
            "the database is away": {"im_pending_oldest_seconds": stays(301)}
            | LOG_UP
            | {'im_backend_up{backend="store"}': stays(0)},
        },
        waits_m=2,
    ),
    Case(
        "PendingFills",
        "page",
        {"im_pending_bytes": grows(246)} | PENDING_LIMIT,  # 1,000,000 an hour later, from 8m on
        {
            "full later": {"im_pending_bytes": grows(238)} | PENDING_LIMIT,
            "large and steady": {"im_pending_bytes": stays(890_000)} | PENDING_LIMIT,
        },
        waits_m=2,
    ),
    Case(
        "PendingFills",
        "page",
        {"im_pending_bytes": stays(901_000)} | PENDING_LIMIT,
        {"almost as large": {"im_pending_bytes": stays(899_000)} | PENDING_LIMIT},
        waits_m=2,
    ),
    Case(
        "DeadLettersCome",
        "ticket",
        {LETTERS: turns(0, 1, after_s=300)},
        {"only old ones": {LETTERS: stays(7)}},
    ),
    Case(
        "DeadLettersCome",
        "page",
        {LETTERS: turns(0, 21, after_s=300)},  # the window of 15m begins there
        {"twenty": {LETTERS: turns(0, 20, after_s=300)}},
        at="20m",
    ),
]

PROCESS_CASES = [
    role_case("ConsumerGone", "consumer"),
    role_case("WebGone", "web"),
    role_case("WorkerGone", "worker"),
    Case(
        "ConsumerGaveUp",
        "page",
        {GIVE_UPS: turns(0, 1, after_s=300), CONSUMERS: stays(1)},
        {"only old ones": {GIVE_UPS: stays(7), CONSUMERS: stays(0)}},
    ),
    Case(
        "ConsumerGaveUp",
        "page",
        {GIVE_UPS: turns(0, 1, after_s=300), CONSUMERS: stays(0)},
        {"started since": {GIVE_UPS: turns(0, 1, after_s=300), CONSUMERS: stays(1)}},
        at="60m",
    ),
    Case(
        "SweepsStopped",
        "page",
        {"im_compensation_last_timestamp": stays(239)},
        {"not for a minute": {"im_compensation_last_timestamp": stays(241)}},
        waits_m=1,
    ),
    Case(
        "SweepsStopped",
        "page",
        {'im_processes{role="worker"}': stays(1)},
        {
            "just started": {'im_processes{role="worker"}': f"_x20 1+0x{SAMPLES}"},
            "has swept": {
                'im_processes{role="worker"}': stays(1),
                "im_compensation_last_timestamp": stays(590),
            },
            "has ended": {'im_processes{role="worker"}': "1+0x30 stale"},
        },
        waits_m=1,
    ),
    Case(
        "LeaseEnds",
        "page",
        {'im_worker_lease_seconds{role="web"}': stays(119)},
        {"two minutes": {'im_worker_lease_seconds{role="web"}': stays(120)}},
        waits_m=1,
    ),
    Case(
        "LoopStalls",
        "ticket",
        loop_delays(0.9899),
        {"one in a hundred": loop_delays(0.9901)},
        waits_m=5,
    ),
]

BACKEND_CASES = [
    Case(
        "BackendAway",
        "page",
        breakers(19, 19, 1),
        {"half of the processes": breakers(2, 1, 1), "all can": breakers(3, 0, 0)},
        waits_m=1,
    ),
    Case(
        "OneProcessAlone",
        "ticket",
        breakers(20, 19, 1),
        {"more than half": breakers(19, 19, 1), "none": breakers(3, 0, 0)},
        waits_m=1,
    ),
    Case(
        "RedisNearLimit",
        "ticket",
        {"im_redis_memory_bytes": stays(851)} | REDIS_LIMIT,
        {
            "85 %": {"im_redis_memory_bytes": stays(850)} | REDIS_LIMIT,
            "no limit": {"im_redis_memory_bytes": stays(851), "im_redis_limit_bytes": stays(0)},
        },
        waits_m=5,
    ),
    Case(
        "RedisEvicts",
        "ticket",
        {"im_redis_evicted_total": grows(0.1), "im_pending_bytes": stays(251)} | REDIS_LIMIT,
        {
            "no eviction": {"im_redis_evicted_total": stays(9), "im_pending_bytes": stays(251)}
            | REDIS_LIMIT,
            "few pending": {"im_redis_evicted_total": grows(0.1), "im_pending_bytes": stays(250)}
            | REDIS_LIMIT,
        },
    ),
    Case(
        "RedisDelaysDisk",
        "ticket",
        {"im_redis_aof_delayed_total": turns(0, 6, after_s=600)},
        {"a few times": {"im_redis_aof_delayed_total": turns(0, 5, after_s=600)}},
        at="20m",
    ),
    Case(
        "ClockOff",
        "ticket",
        {'im_clock_offset_seconds{against="store"}': stays(-0.26)},
        {"a quarter of a second": {'im_clock_offset_seconds{against="store"}': stays(-0.25)}},
        waits_m=1,
    ),
]

MONITORING_CASES = [
    Case(
        "ExporterGone",
        "page",
        {'up{job="imsite"}': stays(0)},
        {"up": {'up{job="imsite"}': stays(1)}},
        waits_m=1,
    ),
    Case("ExporterGone", "page", {}, {"up": {'up{job="imsite"}': stays(1)}}, waits_m=1),
    Case(
        "SourceBlind",
        "page",
        {'im_source_ok{source="store"}': turns(1, 0, after_s=450)},
        {"not for two minutes": {'im_source_ok{source="store"}': turns(1, 0, after_s=480)}},
        waits_m=2,
    ),
    Case("Watchdog", "none", {}, {}),
]

CASES = [*burn_cases(), *MESSAGE_CASES, *PROCESS_CASES, *BACKEND_CASES, *MONITORING_CASES]
# An outage of half an hour. The long window still remembers the outage after its end.
OUTAGE = Case(
    "SendErrorsBurn",
    "page",
    {
        'im_requests_total{door="gateway", call="send", outcome="ok"}': slows(5, 10, after_s=1_800),
        'im_requests_total{door="gateway", call="send", outcome="error"}': slows(
            5, 0, after_s=1_800
        ),
    },
    {},
    at="30m",
    labels={"window": "1h"},
)
# The last five of thirty minutes are bad: far over by the short window, and within by the long one.
BURST = Case(
    "SendErrorsBurn",
    "page",
    {
        'im_requests_total{door="gateway", call="send", outcome="ok"}': slows(
            10, 9.5, after_s=1_500
        ),
        'im_requests_total{door="gateway", call="send", outcome="error"}': slows(
            0, 0.5, after_s=1_500
        ),
    },
    {},
    at="30m",
    labels={"window": "1h"},
)
