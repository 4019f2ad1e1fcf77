"""Check the messages that wait: pending ones in Redis, and dead letters."""

from __future__ import annotations

import time
from datetime import timedelta
from typing import Any

from django.db import Error as DatabaseError
from django.utils import timezone
from redis.exceptions import RedisError

from messaging.cache import keys
from messaging.conf import settings
from messaging.database.threads import ALIAS
from messaging.doctor.checks import checks_of
from messaging.doctor.programs import start_of
from messaging.doctor.surroundings import Surroundings
from messaging.doctor.verdicts import NotSeen, Verdict, fail, ok, warn
from messaging.models import AuditRun, DeadLetter
from messaging.ports.audit_runs import Outcome, Scope
from messaging.ports.store import DeadLetterState

AREA = "messages"
WARN_PENDING_S, FAIL_PENDING_S = 300, 3_600
WARN_SHARE, FAIL_SHARE = 0.5, 0.85  # of the bytes that may be pending
OLD_LETTER = timedelta(days=1)
OLD_AUDIT = timedelta(hours=26)  # a nightly one is missing
RUN_BEAT = "celery --app imsite beat  # one; it asks a worker for audits (IM_AUDIT_NIGHTLY)"
REPAIR = "manage.py audit --repair  # persists what is stuck; first start what the doctor misses"


def _check_pending(around: Surroundings) -> Verdict:
    try:
        count = int(around.redis.zcard(keys.PENDING))
        oldest: Any = around.redis.zrange(keys.PENDING, 0, 0, withscores=True)
    except RedisError as error:
        raise NotSeen("Redis does not tell the pending messages") from error
    if not oldest:
        return ok("No message is pending.")
    age_s = max(time.time() - oldest[0][1] / 1000, 0.0)
    told = f"{count:,} messages are pending, the oldest for {age_s:,.0f} s."
    if age_s > FAIL_PENDING_S:
        return fail(told, REPAIR)
    return warn(told, REPAIR) if age_s > WARN_PENDING_S else ok(told)


def _check_bytes(around: Surroundings) -> Verdict:
    try:
        used = int(around.redis.get(keys.PENDING_BYTES) or 0)
    except RedisError as error:
        raise NotSeen("Redis does not tell the pending bytes") from error
    most = settings().pending_bytes
    share = used / most
    told = f"Pending messages take {share:.0%} of IM_PENDING_BYTES ({used:,} of {most:,} bytes)."
    remedy = f"{start_of('consumer')}  # what is persisted is pending no more"
    if share > FAIL_SHARE:
        return fail(f"{told} At 100% sends are answered 503.", remedy)
    return warn(told, remedy) if share > WARN_SHARE else ok(told)


def _check_letters(around: Surroundings) -> Verdict:
    around.database  # noqa: B018  # raises where the database is away
    open_ones = DeadLetter.objects.using(ALIAS).filter(state=DeadLetterState.OPEN.value)
    old = open_ones.filter(created_at__lt=timezone.now() - OLD_LETTER)
    try:
        found = list(old.order_by("id").values_list("id", flat=True)[:1])
        count = open_ones.count()
    except DatabaseError as error:
        raise NotSeen("the database does not tell the dead letters") from error
    if found:
        return warn(
            f"{count:,} dead letters are open, one for more than a day.",
            "manage.py dead_letters list  # then replay or discard each",
        )
    return ok(f"{count:,} dead letters are open, none for more than a day.")


def _check_audit(around: Surroundings) -> Verdict:
    """Check the last complete audit of each schedule; an hourly one looks at two hours alone."""
    around.database  # noqa: B018  # raises where the database is away
    complete = AuditRun.objects.using(ALIAS).exclude(outcome=Outcome.INCOMPLETE.value)
    try:
        found = [complete.filter(scope=scope.value).order_by("id").last() for scope in Scope]
    except DatabaseError as error:
        raise NotSeen("the database does not tell the audits") from error
    runs = [run for run in found if run is not None]
    if not runs:
        raise NotSeen("no scheduled audit has been complete yet; `manage.py audit` asks for one")
    lost = max(run.unaccounted or 0 for run in runs)
    faults = max(sum(run.findings.values()) for run in runs)
    if lost or faults:
        told = f"The last audits found {lost:,} unaccounted messages, and {faults:,} faults in all."
        return (fail if lost else warn)(told, "manage.py audit  # names each, and what to do")
    age = timezone.now() - max(run.ended_at for run in runs)
    told = f"The last complete audit was clean, {age.total_seconds() / 3600:,.1f} h ago."
    return warn(told, RUN_BEAT) if age > OLD_AUDIT else ok(told)


CHECKS = checks_of(
    AREA,
    {
        "pending": _check_pending,
        "pending bytes": _check_bytes,
        "dead letters": _check_letters,
        "audit": _check_audit,
    },
)
