"""Find the programs of Prometheus and Alertmanager, and read the rules that this project ships."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.real_services import ROOT

PROMETHEUS = ROOT / "compose" / "prometheus"
ALERTMANAGER = ROOT / "compose" / "alertmanager"
RULES = PROMETHEUS / "rules"
CHECK_TIMEOUT_S = 60


def program(name: str) -> str:
    """Return the path of promtool, amtool, prometheus or prometheus-alertmanager.

    Skip the test where the program is not installed; fail the test there on CI.
    """
    if found := shutil.which(name):
        return found
    reason = f"no {name}: run scripts/services monitoring install"
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)


def run(name: str, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Run a program to its end, and return its status and its joined output."""
    return subprocess.run(
        [program(name), *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=CHECK_TIMEOUT_S,
    )


def alerts() -> list[dict[str, Any]]:
    """Return the alerting rules as they are written."""
    return _rules_in("alerts.yml")


def recordings() -> list[dict[str, Any]]:
    """Return the recording rules as they are written."""
    return _rules_in("recording.yml")


def _rules_in(name: str) -> list[dict[str, Any]]:
    groups = yaml.safe_load((RULES / name).read_text())["groups"]
    return [rule for group in groups for rule in group["rules"]]
