"""Check the processes by the snapshots that they write each second."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable

from messaging.conf import settings
from messaging.doctor.checks import checks_of
from messaging.doctor.programs import start_of
from messaging.doctor.snapshots import Found, all_found, is_living, living
from messaging.doctor.verdicts import NotSeen, Verdict, fail, ok, warn
from messaging.metrics import catalogue
from messaging.metrics.catalogue import ROLES
from messaging.metrics.families import Family
from messaging.pipeline.sweep_watch import late_after_s
from messaging.release import RELEASE

AREA = "processes"
SHORT_LEASE_S = 120.0


def _check_roles(_: object) -> Verdict | None:
    if not settings().metrics or not settings().metrics_dir:
        return None
    counts = Counter(found.role for _, found in living())
    missing = [role for role in ROLES if not counts[role]]
    if missing:
        told = ", ".join(f"{counts[role]} {role}" for role in ROLES if counts[role])
        return fail(
            f"No process runs as {', '.join(missing)}; there are: {told or 'none'}.",
            start_of(missing[0]) if told else "scripts/run  # or: scripts/run full",
        )
    return ok(", ".join(f"{counts[role]} {role}" for role in ROLES))


def _check_release(_: object) -> Verdict:
    releases = {found.release for _, found in _present()}
    others = releases - {RELEASE}
    if others:
        return warn(
            f"This code is {RELEASE}, and processes of {', '.join(sorted(others))} run: an upgrade "
            "is under way, or was left half done.",
            "supervisorctl restart all  # each process, after `manage.py migrate`",
        )
    return ok(f"Every process is of {RELEASE}.")


def _check_leases(_: object) -> Verdict:
    leases = _values(
        (each for each in _present() if each[1].role == "web"), catalogue.lease_seconds
    )
    if not leases:
        raise NotSeen("no web process tells of its lease")
    told = f"The shortest lease of a worker id lasts {min(leases):.0f} s more."
    remedy = "manage.py doctor --only redis --only database  # the leases are kept there"
    if min(leases) <= 0:
        return fail(f"{told} A process without one takes no messages.", remedy)
    if min(leases) < min(SHORT_LEASE_S, settings().worker_lease_s / 2):
        return warn(told, remedy)
    return ok(told)


def _check_sweeps(_: object) -> Verdict:
    """Check the age of the last sweep, which needs Celery's beat and a worker."""
    ends = [end for end in _values(_present(), catalogue.last_sweep) if end]
    if not ends:
        raise NotSeen("no sweep has ended since the processes were started")
    age_s, most_s = max(time.time() - max(ends), 0.0), late_after_s(settings())
    if age_s > most_s:
        return fail(
            f"The last sweep ended {age_s:,.0f} s ago: what stays pending is not persisted.",
            f"{start_of('beat')}  # one; and a worker",
        )
    return ok(f"The last sweep ended {age_s:,.0f} s ago.")


def _check_given_up(_: object) -> Verdict | None:
    """Look for a consumer that has ended by itself, after many dead letters in a row.

    A consumer that has given up says so in its last snapshot, and is not started again. A running
    exporter takes this snapshot away, and raises the alert ConsumerGaveUp instead.
    """
    consumers = [each for each in all_found() if each[1].role == "consumer"]
    if not consumers or any(is_living(*each) for each in consumers):
        return ok("No consumer has given up.") if consumers else None
    last = max(consumers, key=lambda each: each[1].written_ms)
    if sum(_values([last], catalogue.give_ups)):
        return fail(
            "The consumer has ended after too many dead letters in a row: the consumer gave up.",
            "manage.py dead_letters list  # mend the cause, then start the consumer again",
        )
    return ok("No consumer has given up.")


def _present() -> list[Found]:
    found = living()
    if not found:
        raise NotSeen("no process writes its counts")
    return found


def _values(found: Iterable[Found], family: Family) -> list[float]:
    return [value for _, each in found for _, value in each.numbers.get(family.name, ())]


CHECKS = checks_of(
    AREA,
    {
        "roles": _check_roles,
        "release": _check_release,
        "leases": _check_leases,
        "sweeps": _check_sweeps,
        "given up": _check_given_up,
    },
)
