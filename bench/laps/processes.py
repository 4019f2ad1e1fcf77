"""Find the processes of the running service, by the ports they listen on and by what they run.

Only processes of this machine can be found, and only as far as the system allows.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit

import psutil
from django.conf import settings as django_settings

from messaging.conf import settings

LOCAL = frozenset({"127.0.0.1", "::1", "localhost"})
COMMANDS = {"consumer": "run_kafka_consumer", "worker": "celery"}
PARTS = ("web", "consumer", "worker", "redis", "kafka", "database")

Found = Mapping[str, list[psutil.Process]]


def find(web_port: int) -> Found:
    """Return the processes of each part of the service; a part not on this machine has none."""
    listeners = _listeners()
    found = {part: list(_alive(listeners.get(port, ()))) for part, port in _ports().items()}
    found["web"] = list(_alive(listeners.get(web_port, ())))
    for part, command in COMMANDS.items():
        found[part] = [each for each in psutil.process_iter() if _belongs(each, command)]
    return {part: found[part] for part in PARTS if part in found}


def _ports() -> dict[str, int]:
    """Return the ports of the parts whose addresses are in the settings and on this machine."""
    current = settings()
    database = django_settings.DATABASES["default"]
    ports = {}
    for part, url in (("redis", current.redis_url), ("kafka", current.event_log_url)):
        address = urlsplit(url.partition(",")[0])
        if address.scheme.startswith(part) and address.hostname in LOCAL and address.port:
            ports[part] = address.port
    if database.get("HOST") in LOCAL and database.get("PORT"):
        ports["database"] = int(database["PORT"])
    return ports


def _listeners() -> dict[int, set[int]]:
    """Return the pids that listen on each port."""
    found: dict[int, set[int]] = {}
    with suppress(psutil.AccessDenied):
        for connection in psutil.net_connections("tcp"):
            if connection.status == psutil.CONN_LISTEN and connection.pid and connection.laddr:
                found.setdefault(connection.laddr.port, set()).add(connection.pid)
    return found


def _alive(pids: Iterable[int]) -> Iterator[psutil.Process]:
    for pid in sorted(pids):
        with suppress(psutil.NoSuchProcess):
            yield psutil.Process(pid)


def _belongs(process: psutil.Process, command: str) -> bool:
    """Tell whether a process runs this command for the instance whose settings these are."""
    with suppress(psutil.Error):
        if not any(Path(word).name == command for word in process.cmdline()):
            return False
        var_dir = process.environ().get("VAR_DIR") or f"{process.cwd()}/var"
        return Path(var_dir).resolve() == django_settings.VAR_DIR
    return False
