"""Check what strangers may see and read."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from pathlib import Path

from django.conf import settings as django_settings

from messaging.checks import check_production
from messaging.doctor.checks import checks_of
from messaging.doctor.settings import judged
from messaging.doctor.verdicts import Verdict, fail, ok, warn

AREA = "security"
OTHERS = 0o007  # a group may have been chosen by somebody
SECRETS = (  # patterns below VAR_DIR
    "im_*_key",
    "env",
    "redis/password",
    "redis/users.acl",
    "services/env",
    "services/*/password*",
    "services/*/users.acl",
    "services/*/*.cnf",
    "services/*/*.sql",
    "services/*/*.properties",
    "services/tls/*key.pem",
)


def _check_debug(_: object) -> Verdict:
    if django_settings.DEBUG and not django_settings.PRODUCTION:
        return warn("IM_DEBUG is on: error pages show code and settings.", "unset IM_DEBUG")
    return judged(check_production(), "E004", well="IM_DEBUG is off.")


def _check_hosts(_: object) -> Verdict:
    hosts = ", ".join(django_settings.ALLOWED_HOSTS)
    well = hosts if django_settings.PRODUCTION else f"{hosts}, as this is no production."
    return judged(check_production(), "E005", well=f"Hosts: {well}")


def _check_https(_: object) -> Verdict | None:
    if not django_settings.PRODUCTION:
        return None
    if not django_settings.HTTPS:
        return warn(
            "IM_HTTPS is off: the cookies of the admin also travel without TLS.",
            "export IM_HTTPS=on",
        )
    return ok("Cookies travel over HTTPS alone.")


def _check_links(_: object) -> Verdict | None:
    if not django_settings.PRODUCTION:
        return None
    return judged(check_production(), "W010", well="Every link has TLS, or stays on this machine.")


def _check_files(_: object) -> Verdict:
    """Look for secrets that other accounts of this machine may read."""
    present = sorted(_secrets())
    open_to_all = [path for path in present if path.stat().st_mode & OTHERS]
    if not open_to_all:
        return ok(f"{len(present)} files with secrets are their owner's alone.")
    names = ", ".join(str(path) for path in open_to_all[:3])
    more = f" and {len(open_to_all) - 3} more" if len(open_to_all) > 3 else ""
    return fail(
        f"Other accounts of this machine may read {names}{more}.",
        f"chmod o-rwx {shlex.join(map(str, open_to_all))}",
    )


def _secrets() -> Iterator[Path]:
    for pattern in SECRETS:
        yield from filter(Path.is_file, django_settings.VAR_DIR.glob(pattern))


CHECKS = checks_of(
    AREA,
    {
        "debug": _check_debug,
        "hosts": _check_hosts,
        "https": _check_https,
        "links": _check_links,
        "files": _check_files,
    },
)
