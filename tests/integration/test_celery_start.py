"""Check that Celery's worker and beat start with sound settings only, like every process."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
import redis

from tests.support.real_services import ROOT, running_redis


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


def test_beat_keeps_no_file_that_could_be_spoilt(tmp_path: Path) -> None:
    """A schedule on the disk, emptied by a power cut, would keep beat from starting for ever."""
    (tmp_path / "redis").mkdir()
    spoilt = [tmp_path / f"celerybeat-schedule{suffix}" for suffix in ("", ".dat", ".dir", ".db")]
    for path in spoilt:
        path.write_text("spoilt")
    with running_redis(tmp_path / "redis") as url:
        beat = subprocess.Popen(
            [sys.executable, "-m", "celery", "--app", "imsite", "beat", "--pidfile="],
            cwd=tmp_path,
            env={
                "PATH": os.environ["PATH"],
                "PYTHONPATH": str(ROOT),
                "VAR_DIR": str(tmp_path / "var"),
                "LOG_DIR": str(tmp_path / "logs"),
                "IM_REDIS_URL": url,
                "IM_COMPENSATE_EVERY_S": "0.2",
            },
            stdout=subprocess.DEVNULL,
        )
        try:
            with contextlib.closing(redis.Redis.from_url(url)) as client:
                deadline_s = time.monotonic() + 60
                while client.llen("celery") < 2:
                    assert beat.poll() is None, "beat has ended"
                    assert time.monotonic() < deadline_s
                    time.sleep(0.1)
        finally:
            beat.terminate()
            beat.wait(30)
    assert {path.read_text() for path in spoilt} == {"spoilt"}
