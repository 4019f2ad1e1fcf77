"""Run `manage.py doctor` as a person does: with everything down, and with unusable settings."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from messaging.doctor.examination import AREAS
from tests.support.processes import clean_environment
from tests.support.real_services import ROOT, free_port


def run(var_dir: Path, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(ROOT / "manage.py"), "doctor", *arguments],
        env=clean_environment(VAR_DIR=str(var_dir), LOG_DIR=str(var_dir / "logs"), **variables),
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )


def test_it_runs_with_everything_down(var_dir: Path) -> None:
    port = free_port()
    done = run(
        var_dir,
        IM_REDIS_URL=f"redis://im:s3cret@127.0.0.1:{port}/0",
        IM_DATABASE_URL=f"mysql://im:s3cret@127.0.0.1:{port}/im",
        IM_EVENT_LOG_URL=f"kafka://127.0.0.1:{port}",
    )
    assert done.returncode == 2, done.stderr
    for service in ("redis", "mariadb", "kafka"):
        assert f"scripts/services start {service}" in done.stdout
    assert "s3cret" not in f"{done.stdout}{done.stderr}"
    assert "Traceback" not in done.stderr


def test_it_reports_the_checks_that_stop_every_other_command(var_dir: Path) -> None:
    variables = {"IM_ENV": "production", "IM_PRIVATE_MODE": "fast"}
    done = run(var_dir, "--only", "settings", "--json", **variables)
    assert done.returncode == 2
    report = json.loads(done.stdout)
    assert report["state"] == "FAIL" and report["leftOut"] == []
    failed = [each for each in report["findings"] if each["state"] == "FAIL"]
    assert [each["check"] for each in failed] == ["keys", "modes"]
    assert all(each["remedy"] for each in failed)


@pytest.mark.parametrize(("lease_s", "status"), [("600", 0), ("10", 1)])
def test_the_exit_status_tells_the_worst_state(var_dir: Path, lease_s: str, status: int) -> None:
    done = run(var_dir, "--only", "settings", IM_WORKER_LEASE_S=lease_s)
    assert done.returncode == status
    assert done.stdout.startswith("settings\n") and "security" not in done.stdout
    assert ("WARN" in done.stdout) is bool(status)


def test_its_help_names_every_area_and_status(tmp_path: Path) -> None:
    done = run(tmp_path, "--help")
    assert done.returncode == 0
    for word in (*AREAS, "Exit status", "--json", "--only"):
        assert word in done.stdout


def test_another_area_is_refused_with_the_areas(tmp_path: Path) -> None:
    done = run(tmp_path, "--only", "weather")
    assert done.returncode == 2 and "redis" in done.stderr


def test_a_setting_that_cannot_be_read_is_told_in_one_line(tmp_path: Path) -> None:
    done = run(tmp_path, IM_SEND_RATE="fast")
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert line.startswith("manage.py: IM_SEND_RATE is 'fast', which is not a number.")
    with_traceback = run(tmp_path, "--traceback", IM_SEND_RATE="fast")
    assert "Traceback" in with_traceback.stderr
