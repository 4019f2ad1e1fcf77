"""Check the settings: those that cannot run, and those that work against each other.

The system checks of the application and of Django are asked here, so that the doctor runs where
they stop every other command.
"""

from __future__ import annotations

import difflib
import itertools
import os
from collections.abc import Iterator
from dataclasses import fields
from typing import Any

from django.conf import settings as django_settings
from django.core.checks import CheckMessage, run_checks

from messaging.checks import check_production, check_settings
from messaging.conf import Settings, settings
from messaging.doctor.checks import Check, checks_of
from messaging.doctor.verdicts import State, Verdict, fail, ok, warn
from messaging.runtime.worker_lease import RENEWALS, SHORTEST_PAUSE_S

AREA = "settings"
PREFIX = "IM_"
OF_OURS = "messaging."
NEW_KEY = 'export VARIABLE="$(openssl rand -base64 48)"  # the same in every process'
REMEDIES = {  # commands in the place of the hints of our own checks
    "E001": NEW_KEY,
    "E002": NEW_KEY,
    "E003": NEW_KEY,
    "E004": "unset IM_DEBUG",
    "E005": "export IM_ALLOWED_HOSTS=chat.example.com  # the names that clients use",
    "E006": "export VARIABLE=async",
    "E007": "unset IM_DATACENTER_ID",
    "E008": "export IM_EVENT_LOG_URL=kafka://127.0.0.1:9092  # or unset it, for Redis Streams",
    "E009": "unset VARIABLE  # its default limits",
    "W021": "SET GLOBAL innodb_flush_log_at_trx_commit = 1; -- and in the server's .cnf",
    "W010": 'export VARIABLE="${VARIABLE/:\\/\\//s://}"  # TLS, which its server needs too',
    "W010 IM_DATABASE_URL": 'export IM_DATABASE_URL="$IM_DATABASE_URL?tls=true"  # its server too',
}


def judged(messages: list[CheckMessage], *ids: str, well: str) -> Verdict:
    """Return the verdict on the messages of system checks with these ids; OK without any."""
    found = [message for message in messages if short(message) in ids]
    return verdict_of(found) if found else ok(well)


def verdict_of(messages: list[CheckMessage]) -> Verdict:
    """Return one verdict on these messages, with the remedy of the first of the most serious."""
    worst = max(messages, key=lambda message: message.level)
    state = State.FAIL if worst.is_serious() else State.WARN
    told = " ".join(dict.fromkeys(str(message.msg) for message in messages))
    return Verdict(state, told, _remedy_of(worst))


def _remedy_of(message: CheckMessage) -> str:
    variable = str(message.msg).partition(" ")[0].rstrip(":")  # each text of ours begins with it
    identity = short(message)
    command = REMEDIES.get(f"{identity} {variable}") or REMEDIES.get(identity)
    if command:
        return command.replace("VARIABLE", variable)
    return str(message.hint or f"manage.py check  # {message.id}")


def short(message: CheckMessage) -> str:
    return str(message.id).removeprefix(OF_OURS)


def _check_keys(_: object) -> Verdict:
    well = "Both keys are set." if django_settings.PRODUCTION else "Both are development's."
    return judged(check_production(), "E001", "E002", "E003", well=well)


def _check_modes(_: object) -> Verdict:
    current = settings()
    well = f"Private chats are {current.private_mode}, groups are {current.group_mode}."
    return judged(check_settings(), "E006", well=well)


def _check_datacenter(_: object) -> Verdict:
    number = settings().datacenter_id
    well = "Worker ids are leased from all." if number is None else f"The datacenter is {number}."
    return judged(check_settings(), "E007", well=well)


def _check_log(_: object) -> Verdict:
    scheme = settings().event_log_url.partition("://")[0]
    return judged(check_settings(), "E008", well=f"The log is at a {scheme}:// address.")


def _check_limits(_: object) -> Verdict:
    return judged(check_settings(), "E009", well="Every limit limits.")


def _check_django(_: object) -> Verdict:
    """Report the system checks of all others; the database's own are asked with the database."""
    others = [each for each in run_checks() if not str(each.id).startswith(OF_OURS)]
    return verdict_of(others) if others else ok("Django's system checks pass.")


def _check_timeouts(_: object) -> Verdict:
    """Compare the timeouts that stand inside one another."""
    current, default = settings(), _defaults()
    names = ("redis_timeout_s", "send_timeout_s", "request_timeout_s")
    for inner, outer in itertools.pairwise(names):
        if getattr(current, inner) >= getattr(current, outer):
            wrong = inner if getattr(current, inner) != default[inner] else outer
            return fail(
                f"{_variable(inner)} ({getattr(current, inner):g} s) is not below "
                f"{_variable(outer)} ({getattr(current, outer):g} s): the outer one ends first, "
                "and no other store is tried.",
                f"export {_variable(wrong)}={default[wrong]:g}",
            )
    return ok(" < ".join(f"{_variable(name)} {getattr(current, name):g} s" for name in names))


def _check_lease(_: object) -> Verdict:
    """Check that a worker id's lease has room for the renewals that may fail."""
    lease_s = settings().worker_lease_s
    if lease_s < RENEWALS * SHORTEST_PAUSE_S:
        return warn(
            f"IM_WORKER_LEASE_S is {lease_s:g} s, which has no room for {RENEWALS} renewals: a "
            "short outage ends the lease, and no send gets an id.",
            f"export IM_WORKER_LEASE_S={_defaults()['worker_lease_s']:g}",
        )
    return ok(f"IM_WORKER_LEASE_S is {lease_s:g} s.")


def _check_variables(_: object) -> Verdict:
    """Look for variables that nobody reads."""
    known = django_settings.VARIABLES
    unknown = sorted(name for name in os.environ if name.startswith(PREFIX) and name not in known)
    if not unknown:
        return ok("Every IM_* variable is known.")
    first, told = unknown[0], ", ".join(_told(unknown, known))
    guess = difflib.get_close_matches(first, known, n=1)
    renamed = f'export {guess[0]}="${first}"; ' if guess else ""
    return warn(f"Nobody reads {told}.", f"{renamed}unset {first}")


def _told(unknown: list[str], known: frozenset[str]) -> Iterator[str]:
    for name in unknown:
        guess = difflib.get_close_matches(name, known, n=1)
        yield f"{name} (did you mean {guess[0]}?)" if guess else name


def _variable(name: str) -> str:
    return PREFIX + name.upper()


def _defaults() -> dict[str, Any]:
    return {field.name: field.default for field in fields(Settings)}


IMPORT_S = 60.0  # Django's checks wait for nobody, and first import every view
CHECKS = (
    *checks_of(
        AREA,
        {
            "keys": _check_keys,
            "modes": _check_modes,
            "datacenter": _check_datacenter,
            "log address": _check_log,
            "limits": _check_limits,
            "timeouts": _check_timeouts,
            "lease": _check_lease,
            "variables": _check_variables,
        },
    ),
    Check(AREA, "django", _check_django, bound_s=IMPORT_S),
)
