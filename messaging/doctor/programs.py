"""Name the command that starts a program of the site, by the way in which the site was started."""

from __future__ import annotations

import shlex

from django.conf import settings as django_settings

COMMANDS = {
    "web": "python -m granian --interface asgi --loop uvloop imsite.asgi:application",
    "consumer": "manage.py run_kafka_consumer",
    "worker": "celery --app imsite worker --pool threads",
    "beat": "celery --app imsite beat",
}


def start_of(program: str) -> str:
    """Return a command that starts the program, also where the program is frozen.

    Where `scripts/run` runs on this `VAR_DIR`, its supervisor is asked: a program that was started
    beside the supervisor's would be one too many.
    """
    run = django_settings.VAR_DIR / "run"
    if not (run / "supervisord.pid").is_file():
        return COMMANDS[program]
    configuration = shlex.quote(str(run / "supervisord.conf"))
    return f".venv/bin/supervisorctl -c {configuration} restart {program}"
