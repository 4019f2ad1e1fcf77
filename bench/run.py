"""Run the benchmark, from its first user to its verdict."""

from __future__ import annotations

import contextlib
import http.client
import ipaddress
import os
import platform
import secrets
import socket
import tempfile
from collections.abc import Sequence
from pathlib import Path

import psutil
from django.conf import settings as django_settings
from django.db import DatabaseError, connection

from bench.laps import processes
from bench.laps.bench import Bench, Options, Refused
from bench.laps.measurement import Run
from bench.laps.noop_server import NoopFailed
from bench.load.run import LoadFailed
from bench.load.traffic import authority
from bench.scenarios import SCENARIOS
from messaging.conf import settings
from messaging.domain.ids import wall_clock_ms
from messaging.progress import Progress

PROBE_TIMEOUT_S = 10.0
ADVICE = "Source the var/env of the instance first"


def run(options: Options, scenarios: Sequence[str], progress: Progress) -> Run:
    """Make users, run the scenarios, wait until all is stored, and check it.

    A scenario that makes no sense here, or that breaks down, is left out with a note; its
    acknowledged messages are checked all the same.

    Raises: Refused when nothing makes sense; NoopFailed or LoadFailed when not even the bare no-op
    can be measured.
    """
    _refuse_elsewhere(options.host)
    made = Run(
        name=secrets.token_hex(4),
        started_ms=wall_clock_ms(),
        service=_service(options),
        machine=_machine(),
    )
    with tempfile.TemporaryDirectory(prefix="bench-") as directory:
        try:
            bench = Bench(options, made, Path(directory), progress)
        except DatabaseError as error:
            raise Refused(f"no users could be made in the database ({error}). {ADVICE}") from error
        _refuse_strangers(bench)
        bench.measure_noop(bench.standard.connections)
        bench.warm_up()
        for name in scenarios:
            try:
                SCENARIOS[name].run(bench)
            except (Refused, LoadFailed, NoopFailed) as failed:
                made.notes.append(f"{name} was left out: {failed}")
                progress.end(made.notes[-1])
        _check(bench)
    return made


def _check(bench: Bench) -> None:
    progress, ledger = bench.progress, bench.ledger
    progress.begin("waiting until everything is stored")
    bench.await_stored()
    progress.begin("checking")

    def tell(checked: int, sent: int) -> None:
        progress.update(checked / max(sent, 1), f"{checked:,} messages")

    bench.run.findings = ledger.check(tell)
    progress.end(f"checked {bench.run.findings.acknowledged:,} acknowledged messages")


def _refuse_elsewhere(host: str) -> None:
    if django_settings.PRODUCTION:
        raise Refused(
            "this is a service in production (IM_ENV), and what the benchmark sends stays for ever"
        )
    try:
        addresses = {info[4][0] for info in socket.getaddrinfo(host, None)}
    except OSError as error:
        raise Refused(f"{host!r}: {error}") from error
    if not all(ipaddress.ip_address(address).is_loopback for address in addresses):
        raise Refused(f"{host} is not this machine: the benchmark loads 127.0.0.1 and nothing else")


def _refuse_strangers(bench: Bench) -> None:
    """Refuse a service that does not know the users of this database and the key of these tokens.

    Raises: Refused, also when the service does not answer.
    """
    account, options = bench.standard.accounts[0], bench.options
    target = f"/api/message/history?targetId={account.to}&chatType={account.chat_type}"
    client = http.client.HTTPConnection(options.host, options.port, timeout=PROBE_TIMEOUT_S)
    with contextlib.closing(client):
        try:
            client.request("GET", target, headers={"Authorization": f"Bearer {account.token}"})
            status = client.getresponse().status
        except (OSError, http.client.HTTPException) as error:
            raise Refused(
                f"nothing answers on {authority(options.host, options.port)} ({error}); "
                "is scripts/run running? --url names another address"
            ) from error
    if status != 200:
        raise Refused(
            f"{authority(options.host, options.port)} answers {status} to a new user: "
            f"it has another database or key than this command. {ADVICE}"
        )


def _service(options: Options) -> dict[str, object]:
    log = settings().event_log_url.partition(":")[0]
    return {
        "address": authority(options.host, options.port),
        "database": connection.vendor,
        "log": "Kafka" if log == "kafka" else "Redis Streams",
        "web processes": len(processes.find(options.port)["web"]),
        "text bytes": options.text_bytes,
    }


def _machine() -> dict[str, object]:
    return {
        "cores": os.cpu_count(),
        "memory": f"{psutil.virtual_memory().total / (1 << 30):.1f} GiB",
        "system": platform.platform(),
        "Python": platform.python_version(),
    }
