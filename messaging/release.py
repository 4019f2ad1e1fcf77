"""Name the release of this code; `pyproject.toml` names the same one."""

from __future__ import annotations

RELEASE = "0.1.0"
