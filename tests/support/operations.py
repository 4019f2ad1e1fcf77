"""Read everything that the operations side of a running site tells, each output under its name."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import urllib.request
from collections.abc import Iterator, Sequence
from http.cookiejar import CookieJar
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from messaging.management.role_health import JUDGES
from tests.support.processes import clean_environment
from tests.support.real_services import ROOT
from tests.support.site import Site

TIMEOUT_S = 120
COMMANDS_TIMEOUT_S = 600  # two audits wait half a minute each for a silent Redis
OPERATIONS = "/admin/messaging/operations/"
TRACE = "/admin/messaging/message/trace/"
FORMS = ((), ("--json",))  # the text for people, and the document for programs
MARK = "=== the next command ===\n"
RUN_EACH = f"""
import json, os, sys, traceback
os.environ["DJANGO_SETTINGS_MODULE"] = "imsite.settings"
from django.core.management import ManagementUtility
for command in json.loads(sys.argv[1]):
    print({MARK!r}, end="", flush=True)
    try:
        ManagementUtility(["manage.py", *command]).execute()
    except SystemExit as end:
        print(end)
    except BaseException:
        traceback.print_exc()
    sys.stdout.flush()
"""


class _AnyStatus(urllib.request.HTTPErrorProcessor):
    """Return an answer of any status, and follow no redirect."""

    def http_response(self, request: Any, response: Any) -> Any:
        return response


class Visitor:
    """Ask a site as a browser does, with the cookies that the site has set."""

    def __init__(self, base_url: str) -> None:
        self._base_url = base_url
        self._jar = CookieJar()
        self._opener = urllib.request.build_opener(
            urllib.request.ProxyHandler({}),
            urllib.request.HTTPCookieProcessor(self._jar),
            _AnyStatus(),
        )

    @property
    def cookies(self) -> dict[str, str]:
        return {each.name: each.value or "" for each in self._jar}

    def get(self, path: str) -> tuple[int, str]:
        return self._ask(path, None)

    def post(self, path: str, **form: str) -> tuple[int, str]:
        """Post a form, after a page of the site has set the cookie against forged forms."""
        given = form | {"csrfmiddlewaretoken": self.cookies["csrftoken"]}
        return self._ask(path, urlencode(given).encode())

    def _ask(self, path: str, body: bytes | None) -> tuple[int, str]:
        with self._opener.open(f"{self._base_url}{path}", body, timeout=TIMEOUT_S) as answer:
            return answer.status, answer.read().decode()


def logged_in(site: Site, name: str, password: str) -> Visitor:
    """Return a visitor who has logged in to the admin."""
    visitor = Visitor(site.service.environment["IM_SITE_URL"])
    visitor.get("/admin/login/")
    status, page = visitor.post("/admin/login/", username=name, password=password, next="/admin/")
    assert status == 302, page
    return visitor


def of_pages(visitor: Visitor, message_ids: Sequence[str]) -> Iterator[tuple[str, int, str]]:
    """Yield the name, the status and the text of each page that operators look at."""
    for path in (OPERATIONS, f"{OPERATIONS}state/?after=0", f"{OPERATIONS}doctor/"):
        yield path, *visitor.get(path)
    yield "examination", *visitor.post(f"{OPERATIONS}doctor/")
    for message_id in message_ids:
        yield TRACE, *visitor.get(f"{TRACE}?id={message_id}")


def of_addresses(site: Site) -> Iterator[tuple[str, str]]:
    """Yield the answers of the exporter and of the probes, which nobody logs in for."""
    exporter = Visitor(site.service.environment["IM_EXPORTER_URL"])
    for path in ("/metrics", "/samples.json?after=0", "/health", "/nowhere"):
        yield f"exporter{path}", exporter.get(path)[1]
    for path in ("/health/live", "/health/ready"):
        yield path, site.page(path).content.decode()


def of_files(site: Site) -> Iterator[tuple[str, str]]:
    """Yield the files of counts, the logs, and everything that the programs have printed."""
    folders = (
        Path(site.service.environment["VAR_DIR"], "run", "metrics"),
        Path(site.service.environment["LOG_DIR"]),
    )
    for path in (each for folder in folders for each in sorted(folder.iterdir())):
        with contextlib.suppress(FileNotFoundError):  # a process has replaced or removed it
            yield path.name, path.read_text(errors="replace")
    yield "said", site.said


def of_commands(site: Site, message_ids: Sequence[str], **variables: str) -> dict[str, str]:
    """Return all that each command of an operator prints, with these variables set anew.

    The commands run in one process, because the start of a process takes most of a command's time.
    """
    traces = [["trace", message_id, *form] for message_id in message_ids for form in FORMS]
    commands = [
        *(["doctor", *form] for form in FORMS),
        *traces,
        *(["audit", "--whole-log", "--settle", "0", *form] for form in FORMS),
        *(["dead_letters", "list", *form] for form in FORMS),
        *(["health", role] for role in JUDGES),
    ]
    done = subprocess.run(
        [sys.executable, "-c", RUN_EACH, json.dumps(commands)],
        cwd=ROOT,
        env=clean_environment(**site.service.environment | variables),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=COMMANDS_TIMEOUT_S,
        check=False,
    )
    names = [" ".join(command) for command in commands]
    _, *told = done.stdout.split(MARK)
    assert len(told) == len(names), done.stdout
    return dict(zip(names, told, strict=True))
