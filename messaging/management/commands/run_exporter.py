"""Run `manage.py run_exporter`: serve the numbers of the site to Prometheus."""

from __future__ import annotations

import asyncio
import os
import signal
from argparse import ArgumentParser, RawDescriptionHelpFormatter
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from messaging.conf import settings
from messaging.exporter.accumulator import FolderTaken
from messaging.exporter.asking import Asking
from messaging.exporter.exporter import Exporter
from messaging.exporter.gathering import Gatherer
from messaging.exporter.serving import Server
from messaging.exporter.sources import sources_of
from messaging.runtime import adapters

HOST = "127.0.0.1"
PORT = 9182

HELP = f"""\
  manage.py run_exporter                            serve http://{HOST}:{PORT}/metrics
  manage.py run_exporter --host 0.0.0.0             for a Prometheus on another machine
  curl -s http://{HOST}:{PORT}/metrics | grep im_pending

The exporter is a process of its own, and depends on no other: it tells the lag of a dead consumer,
and answers while Redis, Kafka and the database are away. A site needs one, on the machine whose
processes write to IM_METRICS_DIR.

  /metrics        for Prometheus: sums over all processes, and the state of the backends
  /samples.json   the last half hour, a sample each 2 seconds; ?after=MS: what is newer
  /health         200 while the exporter works, whatever the state of the backends

A backend that does not answer has im_source_ok 0, and its series are absent, never 0. No message
text, no user and no token is in any answer. There is no login: let the port be reached from
loopback or from an inner network alone. SIGTERM or Ctrl-C ends the exporter at once, and loses
no count.
"""


class Command(BaseCommand):
    help = HELP

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.formatter_class = RawDescriptionHelpFormatter
        parser.add_argument(
            "--host", default=HOST, help=f"address to listen on, IPv4 or IPv6 ({HOST})"
        )
        parser.add_argument(
            "--port", type=int, default=PORT, metavar="N", help=f"port to listen on ({PORT})"
        )

    def handle(self, *, host: str, port: int, **options: Any) -> None:
        if not 0 <= port <= 65_535:
            raise CommandError(f"--port is 0 to 65535, not {port}; 0 takes a free port")
        gatherer = _open_gatherer()
        asyncio.run(self._serve(gatherer, host, port))

    async def _serve(self, gatherer: Gatherer, host: str, port: int) -> None:
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, _end)
        parts = adapters.open_watched_backends()
        asking = Asking(sources_of(parts, pending_limit_bytes=settings().pending_bytes))
        exporter = Exporter(gatherer, asking)
        try:
            server = Server(host, port, exporter.routes())
        except OSError as error:
            raise CommandError(_advice(host, port, error)) from error
        server.start()
        shown = f"[{host}]" if ":" in host else host
        self.stdout.write(f"the exporter answers on http://{shown}:{server.port}/metrics")
        self.stdout.flush()
        await exporter.run()


def _open_gatherer() -> Gatherer:
    folder = settings().metrics_dir
    if not folder:
        raise CommandError(
            "IM_METRICS_DIR is empty, so that no process writes its counts. Unset it, or name one "
            "folder for all processes and the exporter."
        )
    gatherer = Gatherer(Path(folder))
    try:
        gatherer.open()
    except FolderTaken as error:
        raise CommandError(
            f"another exporter gathers the counts in {folder}. A site needs one: end the other, or "
            "give this site an IM_METRICS_DIR of its own."
        ) from error
    except OSError as error:
        raise CommandError(
            f"the counts in {folder} cannot be kept: {error}. Let the exporter's user write there, "
            "or name another folder in IM_METRICS_DIR, the same for all processes."
        ) from error
    return gatherer


def _advice(host: str, port: int, error: OSError) -> str:
    why = str(error.strerror or error).partition(" (while ")[0]
    return (
        f"cannot listen on port {port} of {host}: {why}. Choose another port, such as --port "
        f"{min(port + 1, 65_535)}, or another address with --host; `ss -ltnp` shows who listens."
    )


def _end() -> None:
    """End the process at once: each file is replaced by a rename, so nothing is left half done.

    An orderly end would wait for threads that a frozen backend holds up.
    """
    os._exit(0)
