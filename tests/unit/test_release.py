from __future__ import annotations

import tomllib
from pathlib import Path

from messaging.release import RELEASE

ROOT = Path(__file__).resolve().parents[2]


def test_the_code_names_the_release_that_the_project_names() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["version"] == RELEASE
