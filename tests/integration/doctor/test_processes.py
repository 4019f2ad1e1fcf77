"""Let processes and messages go wrong: the doctor reads their snapshots, Redis and the database."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest
import redis
from django.utils import timezone

from messaging.cache import keys
from messaging.doctor.verdicts import State
from messaging.metrics import catalogue
from messaging.metrics.catalogue import ROLES
from messaging.models import AuditRun, DeadLetter
from messaging.ports.audit_runs import Outcome, Scope
from messaging.ports.store import DeadLetterState
from tests.integration.doctor.breaking import Fault, names, prove, worse
from tests.integration.doctor.instance import Instance

FAIL, WARN = State.FAIL, State.WARN
LONG_AGO_S = 7_200


def until_again(break_it: Callable[[Instance], object], role: str) -> Callable[[Instance], object]:
    """Return a way to break a process of this role until the process writes as before."""

    @contextlib.contextmanager
    def breaking(instance: Instance) -> Iterator[None]:
        break_it(instance)
        yield
        instance.runs(role)

    return breaking


def dead(role: str) -> Callable[[Instance], object]:
    def kill(instance: Instance) -> None:
        then = time.time() - LONG_AGO_S
        os.utime(instance.runs(role), (then, then))

    return kill


def process_fault(
    name: str,
    check: str,
    state: State,
    role: str,
    break_it: Callable[[Instance], object],
    **more: object,
) -> Fault:
    return Fault(
        name=name,
        at=("processes", check),
        state=state,
        breaking=until_again(break_it, role),  # type: ignore[arg-type]
        mends=False,
        **more,  # type: ignore[arg-type]
    )


def swept(ago_s: float) -> Callable[[Instance], object]:
    return lambda it: it.runs("worker", **{catalogue.last_sweep.name: time.time() - ago_s})


def leased(lease_s: float) -> Callable[[Instance], object]:
    return lambda it: it.runs("web", **{catalogue.lease_seconds.name: lease_s})


FAULTS = (
    *(process_fault(f"no {role}", "roles", FAIL, role, dead(role), unseen=True) for role in ROLES),
    process_fault(
        "a process that has ended",
        "roles",
        FAIL,
        "worker",
        lambda it: it.runs("worker", is_over=True),
        unseen=True,
    ),
    process_fault(
        "another release", "release", WARN, "web", lambda it: it.runs("web", release="0.0.9")
    ),
    process_fault("a short lease", "leases", WARN, "web", leased(100)),
    process_fault("no lease", "leases", FAIL, "web", leased(0)),
    process_fault("no sweep", "sweeps", FAIL, "worker", swept(ago_s=301)),
    process_fault(
        "a consumer that gave up",
        "given up",
        FAIL,
        "consumer",
        lambda it: it.runs("consumer", is_over=True, **{catalogue.give_ups.name: 1}),
        also=(("processes", "roles"),),
    ),
)


@pytest.mark.parametrize("fault", FAULTS, ids=names(FAULTS))
def test_a_process_that_is_missing_or_ill_is_found(instance: Instance, fault: Fault) -> None:
    prove(instance, fault)


def test_a_consumer_that_was_stopped_has_not_given_up(instance: Instance) -> None:
    instance.runs("consumer", is_over=True, **{catalogue.give_ups.name: 0})
    assert worse(instance.found()).keys() == {("processes", "roles")}


def test_processes_that_do_not_count_are_no_failure(instance: Instance) -> None:
    for path in (instance.var_dir / "run" / "metrics").iterdir():
        path.unlink()
    assert worse(instance.found()).keys() == {("processes", "roles")}
    instance.set(IM_METRICS="off")
    assert not worse(instance.found())


def pending(url: str, *, ago_s: float = 0.0, bytes_: int = 1) -> Callable[[Instance], object]:
    @contextlib.contextmanager
    def plant(_: Instance) -> Iterator[None]:
        with redis.Redis.from_url(url) as client:
            client.zadd(keys.PENDING, {"7": (time.time() - ago_s) * 1000})
            client.set(keys.PENDING_BYTES, bytes_)
            yield
            client.delete(keys.PENDING, keys.PENDING_BYTES)

    return plant


@pytest.mark.parametrize(
    ("check", "state", "ago_s", "bytes_"),
    [
        ("pending", WARN, 400, 1),
        ("pending", FAIL, LONG_AGO_S, 1),
        ("pending bytes", WARN, 1, 300 * 1024 * 1024),
        ("pending bytes", FAIL, 1, 500 * 1024 * 1024),
    ],
)
def test_pending_messages_that_are_old_or_many_are_found(
    instance: Instance,
    redis_of_instances: str,
    check: str,
    state: State,
    ago_s: float,
    bytes_: int,
) -> None:
    plant = pending(redis_of_instances, ago_s=ago_s, bytes_=bytes_)
    at = ("messages", check)
    prove(instance, Fault(name=check, at=at, state=state, breaking=plant, mends=False))  # type: ignore[arg-type]


def letters_of_last_week() -> None:
    """Add an open letter of now, a discarded one and an open one of last week."""
    kept = [
        DeadLetter.objects.create(
            topic="t", partition=0, offset=str(number), key=b"", value=b"", reason="bad_data"
        )
        for number in range(3)
    ]
    rows = DeadLetter.objects.filter(pk__in=[kept[1].pk, kept[2].pk])
    rows.update(created_at=timezone.now() - timedelta(days=7))
    rows.filter(pk=kept[1].pk).update(state=DeadLetterState.DISCARDED.value)


def discard_the_old_one() -> None:
    """Leave the letter of now open, which is no fault."""
    old = DeadLetter.objects.filter(created_at__lt=timezone.now() - timedelta(days=6))
    assert old.update(state=DeadLetterState.DISCARDED.value) == 2


def test_an_open_dead_letter_of_last_week_is_found(instance: Instance) -> None:
    @contextlib.contextmanager
    def plant(instance: Instance) -> Iterator[None]:
        instance.in_database(letters_of_last_week)
        yield
        instance.in_database(discard_the_old_one)

    at = ("messages", "dead letters")
    prove(instance, Fault(name="letters", at=at, state=WARN, breaking=plant, mends=False))


def audited(scope: Scope, *, ago_h: float, findings: dict[str, int], lost: int | None) -> None:
    then = timezone.now() - timedelta(hours=ago_h)
    AuditRun.objects.create(
        scope=scope.value,
        started_at=then,
        ended_at=then,
        outcome=(Outcome.FAULTY if findings or lost else Outcome.CLEAN).value,
        findings=findings,
        unaccounted=lost,
    )


@pytest.mark.parametrize(
    ("state", "ago_h", "findings", "lost"),
    [(WARN, 27, {}, 0), (WARN, 1, {"no_row": 2}, 0), (FAIL, 1, {}, 1)],
    ids=["old", "faulty", "unaccounted"],
)
def test_an_audit_that_is_old_or_found_something_is_found(
    instance: Instance, state: State, ago_h: float, findings: dict[str, int], lost: int
) -> None:
    """A clean hourly audit later on hides nothing that the nightly one has found."""

    @contextlib.contextmanager
    def plant(instance: Instance) -> Iterator[None]:
        def add() -> None:
            audited(Scope.NIGHTLY, ago_h=ago_h, findings=findings, lost=lost)
            audited(Scope.HOURLY, ago_h=ago_h, findings={}, lost=0)

        instance.in_database(add)
        yield
        instance.in_database(
            lambda: audited(Scope.NIGHTLY, ago_h=25, findings={}, lost=0)  # clean, and not old
        )

    instance.in_database(lambda: audited(Scope.HOURLY, ago_h=3, findings={}, lost=0))
    at = ("messages", "audit")
    fault = Fault(name="audit", at=at, state=state, breaking=plant, mends=False, unseen=True)
    prove(instance, fault)


def test_a_site_without_a_complete_audit_is_told_so(instance: Instance) -> None:
    report = instance.look()
    assert ("messages", "audit") in {(each.area, each.check) for each in report.left_out}


def test_missing_tables_are_found_and_mended(instance: Instance, var_dir: Path) -> None:
    def empty(instance: Instance) -> None:
        (var_dir / "im.sqlite3").unlink()

    fault = Fault(
        name="no tables",
        at=("database", "migrations"),
        state=FAIL,
        breaking=empty,
        unseen=True,  # there is no table of dead letters
    )
    prove(instance, fault)


def test_a_database_that_cannot_be_opened_is_found(instance: Instance, var_dir: Path) -> None:
    file = var_dir / "im.sqlite3"
    file.unlink()
    file.mkdir()
    report = instance.look()
    (bad,) = [each for each in report.findings if each.remedy]
    assert (bad.area, bad.check, bad.state) == ("database", "answers", FAIL)
