"""Where log lines go and what they look like."""

from __future__ import annotations

from pathlib import Path
from typing import Any


def logging_config(*, directory: Path, level: str, style: str) -> dict[str, Any]:
    """The `LOGGING` of Django for this level and style (`plain` or `json`)."""
    return {"version": 1, "disable_existing_loggers": False}
