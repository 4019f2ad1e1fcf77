"""Celery's worker and beat start with sound settings alone, like every other process."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.real_services import ROOT


@pytest.mark.parametrize("program", ["worker", "beat"])
def test_refuses_production_without_keys(program: str, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "celery", "--app", "imsite", program],
        cwd=tmp_path,
        env={
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(ROOT),
            "VAR_DIR": str(tmp_path),
            "LOG_DIR": str(tmp_path),
            "IM_ENV": "production",
        },
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 1
    assert "messaging.E001" in done.stderr
