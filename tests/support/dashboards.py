"""Read the dashboards that this project ships."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.support.real_services import ROOT

DASHBOARDS = ROOT / "compose" / "grafana" / "dashboards"


def files() -> list[Path]:
    return sorted(DASHBOARDS.glob("*.json"))


def read(path: Path) -> dict[str, Any]:
    dashboard = json.loads(path.read_text())
    assert isinstance(dashboard, dict)
    return dashboard


def queries() -> Iterator[tuple[str, str]]:
    """Yield each query of all dashboards, by the name of its place: dashboard, panel, letter."""
    for path in files():
        for panel in read(path)["panels"]:
            for target in panel.get("targets", ()):
                yield f"{path.stem}: {panel['title']}: {target['refId']}", target["expr"]
