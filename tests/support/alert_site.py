"""Run Prometheus and Alertmanager by scripts/services, and hear what Alertmanager tells.

A site that a test plays serves hand-written metrics; a test may name a real exporter instead. The
script runs in a copy of its folders whose times are shorter, so that an alert comes and ends within
seconds.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from tests.support.monitoring import program
from tests.support.processes import clean_environment, processes_of
from tests.support.real_services import ROOT, free_port
from tests.support.serving import serving

SCRIPT_TIMEOUT_S = 100
CALL_TIMEOUT_S = 10
_direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
# (file below compose/, a pattern in the file, the shorter time)
SHORTER = (
    ("prometheus/prometheus.yml", r"scrape_interval: \d+s", "scrape_interval: 1s"),
    ("prometheus/prometheus.yml", r"scrape_timeout: \d+s", "scrape_timeout: 1s"),
    ("prometheus/prometheus.yml", r"evaluation_interval: \d+s", "evaluation_interval: 1s"),
    ("prometheus/rules/alerts.yml", r"\bfor: \w+", "for: 2s"),
    ("prometheus/rules/alerts.yml", r"(im_dead_letters_total)\[15m\]", r"\1[20s]"),
    ("alertmanager/alertmanager.yml", r"group_wait: \d+s", "group_wait: 1s"),
    ("alertmanager/alertmanager.yml", r"group_interval: 1m", "group_interval: 1s"),
)
HEALTHY = {
    'im_processes{role="web"}': 2,
    'im_processes{role="consumer"}': 1,
    'im_processes{role="worker"}': 1,
    'im_breaker_processes{role="web",backend="cache",state="closed"}': 2,
    'im_breaker_processes{role="web",backend="cache",state="open"}': 0,
    'im_backend_up{backend="log"}': 1,
    'im_backend_up{backend="store"}': 1,
    'im_log_lag_seconds{partition="0"}': 0,
    'im_log_lag_seconds{partition="1"}': 0,
    "im_unaccounted_messages": 0,
    "im_pending_messages": 0,
    "im_pending_bytes": 0,
    "im_pending_limit_bytes": 1_000_000,
    'im_source_ok{source="cache"}': 1,
}


@dataclass
class PlayedSite:
    """Serve `metrics` at /metrics, and keep each alert that is posted to another path, by it."""

    metrics: dict[str, float] = field(default_factory=lambda: dict(HEALTHY))
    heard: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    port: int = 0

    def told(self, path: str, status: str, alert: str) -> list[dict[str, Any]]:
        """Return the alerts of this name and status that Alertmanager has posted to the path."""
        return [
            each
            for where, document in list(self.heard)
            if where == path
            for each in document["alerts"]
            if (each["status"], each["labels"]["alertname"]) == (status, alert)
        ]


class Monitoring:
    """Call the copied script, and ask the two servers over HTTP.

    The site hears of the alerts. The exporter is the one at `exporter_port`, else the site.
    """

    def __init__(self, folder: Path, site: PlayedSite, exporter_port: int | None = None) -> None:
        self.var_dir = folder / "var"
        self.ports = {"PROMETHEUS_PORT": free_port(), "ALERTMANAGER_PORT": free_port()}
        self._exporter_port = exporter_port or site.port
        self._script = folder / "scripts" / "services"
        hook = f"http://127.0.0.1:{site.port}"
        self._environment = clean_environment(
            VAR_DIR=str(self.var_dir),
            EXPORTER_PORT=str(self._exporter_port),
            ALERT_WEBHOOK_URL=f"{hook}/alerts",
            WATCHDOG_WEBHOOK_URL=f"{hook}/watchdog",
            **{name: str(port) for name, port in self.ports.items()},
        )
        for name in ("scripts", "compose"):
            shutil.copytree(ROOT / name, folder / name)
        for name, pattern, shorter in SHORTER:
            path = folder / "compose" / name
            text, found = re.subn(pattern, shorter, path.read_text())
            assert found, f"{name} has no {pattern}"
            path.write_text(text)

    def __call__(self, *command: str, **variables: str) -> subprocess.CompletedProcess[str]:
        """Run `scripts/services` with this command."""
        return subprocess.run(
            [self._script, *command],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=SCRIPT_TIMEOUT_S,
            env=self._environment | variables,
        )

    def pids(self) -> dict[str, int]:
        """Return by name the pids of the servers that the script reports as up."""
        told = self("monitoring", "status").stdout
        found = re.findall(r"^(\w+): up on .*, pid (\d+)$", told, re.MULTILINE)
        return {name: int(pid) for name, pid in found}

    def prometheus(self, path: str) -> Any:
        """Return the data of an answer of Prometheus' API."""
        return self._ask("PROMETHEUS_PORT", f"/api/v1/{path}")["data"]

    def alertmanager(self, path: str, body: object = None) -> Any:
        """Return an answer of Alertmanager's API; with a body the call is a POST."""
        return self._ask("ALERTMANAGER_PORT", f"/api/v2/{path}", body)

    def scraped(self) -> str:
        """Return the text that Prometheus reads, as it is now."""
        url = f"http://127.0.0.1:{self._exporter_port}/metrics"
        with _direct.open(url, timeout=CALL_TIMEOUT_S) as answer:
            return str(answer.read().decode())

    def _ask(self, server: str, path: str, body: object = None) -> Any:
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.ports[server]}{path}",
            data=None if body is None else json.dumps(body).encode(),
            headers={"Content-Type": "application/json"},
        )
        with _direct.open(request, timeout=CALL_TIMEOUT_S) as answer:
            content = answer.read()
        return json.loads(content) if content else None


@contextlib.contextmanager
def running_monitoring(
    folder: Path, site: PlayedSite, exporter_port: int | None = None
) -> Iterator[Monitoring]:
    """Run both servers until the block ends; skip where they are not installed.

    `scripts/services stop` alone has to end them. Leaves: none of their processes.
    """
    program("prometheus")
    program("prometheus-alertmanager")
    monitoring = Monitoring(folder, site, exporter_port)
    try:
        started = monitoring("monitoring")
        assert started.returncode == 0, started.stderr
        for port in (*monitoring.ports.values(), exporter_port or site.port):
            assert f"http://127.0.0.1:{port}" in started.stderr
        yield monitoring
    finally:
        stopped = monitoring("stop")
        left = processes_of(monitoring.var_dir)
        for pid in left:
            os.kill(pid, signal.SIGKILL)
        assert (stopped.returncode, left) == (0, {}), stopped.stderr


@contextlib.contextmanager
def played_site() -> Iterator[PlayedSite]:
    """Serve a site on a free port until the block ends."""
    site = PlayedSite()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._answer(_exposition(site.metrics))

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            site.heard.append((self.path, json.loads(body)))
            self._answer("")

        def _answer(self, text: str) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/plain; version=0.0.4")
            self.end_headers()
            self.wfile.write(text.encode())

        def log_message(self, *arguments: object) -> None:
            """Keep the output of the test clean."""

    with serving(ThreadingHTTPServer(("127.0.0.1", 0), Handler)) as site.port:
        yield site


def _exposition(metrics: Mapping[str, float]) -> str:
    return "".join(f"{name} {value}\n" for name, value in list(metrics.items()))
