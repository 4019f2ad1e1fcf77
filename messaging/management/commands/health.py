"""Run `manage.py health`: tell whether the processes of a role are well."""

from __future__ import annotations

from argparse import ArgumentParser, RawDescriptionHelpFormatter
from typing import Any

from django.core.management.base import BaseCommand

from messaging.conf import settings
from messaging.management.role_health import JUDGES

HELP = """\
  manage.py health web         does /health/live answer at IM_SITE_URL?
  manage.py health consumer    has a consumer of this host moved within the last 10 seconds?
  manage.py health worker      the same for a worker of Celery
  manage.py health beat        has a sweep ended within the last minutes? Beat asks for sweeps.
  manage.py health exporter    does /health answer at IM_EXPORTER_URL?

For the health checks of containers and for supervisors. The command prints one line that says why
and what to do. The command takes a second or two to start: let 30 seconds pass between two checks.

No check fails because a backend is away: a restart would not bring the backend back. A consumer
that holds its batch until the database is back is well. The consumer and the worker are judged by
the files in IM_METRICS_DIR, so run the command in their own container or on their own host.

Exit status:
  0  well
  1  not well; the line says what to start or to set
"""


class Command(BaseCommand):
    help = HELP
    requires_system_checks = ()

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.formatter_class = RawDescriptionHelpFormatter
        parser.add_argument("role", choices=sorted(JUDGES), metavar="ROLE", help=", ".join(JUDGES))

    def handle(self, *, role: str, **options: Any) -> None:
        verdict = JUDGES[role](settings())
        self.stdout.write(f"{role}: {verdict.line}")
        if not verdict.is_well:
            raise SystemExit(1)
