"""Run Prometheus and Alertmanager by scripts/services against a site that a test plays.

The site serves hand-written metrics, and hears what Alertmanager tells. The script runs in a copy
of its folders whose times are shorter, so that an alert comes within seconds.
"""

from __future__ import annotations

import contextlib
import json
import re
import shutil
import subprocess
import threading
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from tests.support.processes import clean_environment
from tests.support.real_services import ROOT, free_port

SCRIPT_TIMEOUT_S = 100
CALL_TIMEOUT_S = 10
_direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
# (file below compose/, a pattern in the file, the shorter time)
SHORTER = (
    ("prometheus/prometheus.yml", r"scrape_interval: \d+s", "scrape_interval: 1s"),
    ("prometheus/prometheus.yml", r"scrape_timeout: \d+s", "scrape_timeout: 1s"),
    ("prometheus/prometheus.yml", r"evaluation_interval: \d+s", "evaluation_interval: 1s"),
    ("prometheus/rules/alerts.yml", r"\bfor: \w+", "for: 2s"),
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
    """Call the copied script, and ask the two servers over HTTP."""

    def __init__(self, folder: Path, site: PlayedSite) -> None:
        self.var_dir = folder / "var"
        self.ports = {"PROMETHEUS_PORT": free_port(), "ALERTMANAGER_PORT": free_port()}
        self._script = folder / "scripts" / "services"
        hook = f"http://127.0.0.1:{site.port}"
        self._environment = clean_environment(
            VAR_DIR=str(self.var_dir),
            EXPORTER_PORT=str(site.port),
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

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        site.port = server.server_address[1]
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield site
        finally:
            server.shutdown()
            thread.join()


def _exposition(metrics: Mapping[str, float]) -> str:
    return "".join(f"{name} {value}\n" for name, value in list(metrics.items()))
