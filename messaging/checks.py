"""Check the settings: those that must not run in production, and those that cannot run at all.

Django runs these checks before a command, and the front door runs them before it serves. The checks
look at settings only; the database's own checks are the store's.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import asdict

from django.conf import settings as django_settings
from django.core.checks import CheckMessage, Error, Warning, register
from django.core.exceptions import ImproperlyConfigured

from messaging.conf import settings
from messaging.domain.ids import WORKERS
from messaging.eventlog import check_url
from messaging.links import is_local, plaintext_hosts

KEYS = {"IM_SECRET_KEY": "SECRET_KEY", "IM_JWT_KEY": "JWT_KEY"}
SHORTEST_KEY_BYTES = 32
MODES = ("async", "sync")
RATE = re.compile(r"_(rate|per_minute|per_hour)$")
AT_LEAST_ONE = ("hash_places",)
AT_LEAST_NONE = ("hash_queue", "hash_wait_s")


@register
def check_production(**_: object) -> list[CheckMessage]:
    """Refuse in production the settings that only development may have."""
    if not django_settings.PRODUCTION:
        return []
    return [*_check_keys(), *_check_site(), *_check_links()]


@register
def check_settings(**_: object) -> list[CheckMessage]:
    """Refuse values that no environment can run with."""
    return [*_check_modes(), *_check_datacenter(), *_check_event_log(), *_check_limits()]


def _check_keys() -> Iterator[CheckMessage]:
    for variable, setting in KEYS.items():
        key = getattr(django_settings, setting)
        generated = django_settings.VAR_DIR / variable.lower()
        if key == django_settings.UNSET_KEY:
            yield Error(
                f"{variable} is not set.",
                hint=f"Set {variable} to at least {SHORTEST_KEY_BYTES} random bytes, for example "
                "from `openssl rand -base64 48`, the same in every process.",
                id="messaging.E001",
            )
        elif len(key.encode()) < SHORTEST_KEY_BYTES:
            yield Error(
                f"{variable} is shorter than {SHORTEST_KEY_BYTES} bytes.",
                hint="Make one with `openssl rand -base64 48`.",
                id="messaging.E002",
            )
        elif generated.exists() and generated.read_text() == key:
            yield Error(
                f"{variable} is the key that was generated for development.",
                hint="Make one for production with `openssl rand -base64 48`.",
                id="messaging.E003",
            )


def _check_site() -> Iterator[CheckMessage]:
    if django_settings.DEBUG:
        yield Error(
            "IM_DEBUG is on in production.",
            hint="Unset IM_DEBUG: its error pages show code and settings.",
            id="messaging.E004",
        )
    if not django_settings.ALLOWED_HOSTS or "*" in django_settings.ALLOWED_HOSTS:
        yield Error(
            "IM_ALLOWED_HOSTS does not name this site's hosts.",
            hint="Set IM_ALLOWED_HOSTS to the host names that clients use, separated by commas.",
            id="messaging.E005",
        )


def _check_links() -> Iterator[CheckMessage]:
    """Warn of links without TLS: a listener on the way reads, and may change, all that passes.

    Messages and passwords pass there.
    """
    database = django_settings.DATABASES["default"]
    addresses = {
        "IM_REDIS_URL": settings().redis_url,
        "IM_CELERY_BROKER_URL": django_settings.CELERY_BROKER_URL,
        "IM_EVENT_LOG_URL": settings().event_log_url,
    }
    links = {variable: plaintext_hosts(variable, url) for variable, url in addresses.items()}
    if "ssl_mode" not in database.get("OPTIONS", {}) and not is_local(database.get("HOST")):
        links["IM_DATABASE_URL"] = [database["HOST"]]
    for variable, hosts in links.items():
        if hosts:
            yield Warning(
                f"{variable} leads to {', '.join(hosts)} without TLS.",
                hint="Use TLS (README, Production, Links), unless nobody else is on that network.",
                id="messaging.W010",
            )


def _check_modes() -> Iterator[CheckMessage]:
    for name in ("private_mode", "group_mode"):
        mode = getattr(settings(), name)
        if mode not in MODES:
            yield Error(
                f"IM_{name.upper()} is {mode!r}, which is not a mode.",
                hint="Set it to async (accept, then persist) or sync (persist, then answer).",
                id="messaging.E006",
            )


def _check_datacenter() -> Iterator[CheckMessage]:
    number = settings().datacenter_id
    if number is not None and not 0 <= number < WORKERS:
        yield Error(
            f"IM_DATACENTER_ID is {number}; a message id has room for 0 to {WORKERS - 1}.",
            hint="Leave it unset unless two sites with Redis servers of their own share clients.",
            id="messaging.E007",
        )


def _check_event_log() -> Iterator[CheckMessage]:
    try:
        check_url(settings().event_log_url)
    except ImproperlyConfigured as error:
        yield Error(
            str(error),
            hint="Set it to kafka://host:port[,host:port] or redis://host:port/number; kafkas:// "
            "and rediss:// are the same with TLS.",
            id="messaging.E008",
        )


def _check_limits() -> Iterator[CheckMessage]:
    """Refuse limits that limit wrongly: a negative rate lets all pass, a burst of zero nobody."""
    values = asdict(settings())
    least = dict.fromkeys(AT_LEAST_ONE, 1) | dict.fromkeys(AT_LEAST_NONE, 0)
    for rate in filter(RATE.search, values):
        least |= {rate: 0, RATE.sub("_burst", rate): 1 if values[rate] else 0}
    for name, number in least.items():
        if values[name] < number:
            yield Error(
                f"IM_{name.upper()} is {values[name]}, which is no limit.",
                hint=f"Set it to {number} or more; a rate of 0 lets any number pass.",
                id="messaging.E009",
            )
