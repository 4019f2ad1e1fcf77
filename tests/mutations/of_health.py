"""List the mutations of how a process is judged, by itself and from outside."""

from __future__ import annotations

from tests.mutations.mutation import Mutation, pytest_of

READINESS = pytest_of("tests/unit/service/test_readiness.py")
SNAPSHOTS = pytest_of("tests/integration/test_role_health.py", "-k", "TestAProcess")

MUTATIONS = (
    Mutation(
        "take sends that no part can confirm",
        "messaging/domain/modes.py",
        "Mode(Status.REFUSING, Sends.REFUSED, Reads.REFUSED)",
        "Mode(Status.DEGRADED, Sends.CACHE, Reads.REFUSED)",
        pytest_of("tests/unit/test_modes.py", "-k", "confirmed"),
    ),
    Mutation(
        "call a process ready whose lease has run out",
        "messaging/service/readiness.py",
        "    if backends.ids.lease_left_s > 0:\n",
        "    if backends.ids.lease is not None:\n",
        READINESS,
    ),
    Mutation(
        "call a process ready that never had a lease",
        "messaging/service/readiness.py",
        "return backends.ids.lease is not None and {CACHE",
        "return {CACHE",
        READINESS,
    ),
    Mutation(
        "answer a probe with 200 without a worker id",
        "messaging/gateway/probes.py",
        "    if not may_serve(backends):\n",
        "    if not may_serve(backends) and away_of(backends):\n",
        pytest_of("tests/integration/test_probes.py", "-k", "without_a_worker_id"),
    ),
    Mutation(
        "call a role well by the snapshot of a killed process",
        "messaging/management/role_health.py",
        " and _age_s(each) <= OLDEST_S\n",
        "\n",
        SNAPSHOTS,
    ),
    Mutation(
        "call a role well by the snapshot of another role",
        "messaging/management/role_health.py",
        "(each.role, each.host, each.is_over) == (role, host, False)",
        "(each.host, each.is_over) == (host, False)",
        SNAPSHOTS,
    ),
    Mutation(
        "call a process well whose event loop stands still",
        "messaging/management/role_health.py",
        "[each for each in alive if each.loop_age_s <= OLDEST_S]",
        "alive",
        SNAPSHOTS,
    ),
)
