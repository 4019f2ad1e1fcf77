"""Check that the scripts' `.venv` is kept while it works, and rebuilt when it does not."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import venv
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.real_services import ROOT


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """Make a checkout with a `.venv` that looks as if pip were in it."""
    root = tmp_path / "checkout"
    shutil.copytree(ROOT / "scripts", root / "scripts")
    venv.create(root / ".venv", with_pip=False, symlinks=True)
    packages = next((root / ".venv").glob("lib/python3*/site-packages"))
    (packages / "pip.py").touch()
    pip = root / ".venv" / "bin" / "pip"
    pip.write_text(f"#!{root}/.venv/bin/python\n")
    pip.chmod(0o755)
    (root / ".venv" / "installed-embedded").write_text("everything")
    return root


def script(checkout: Path, command: str) -> subprocess.CompletedProcess[str]:
    """Run one of the functions that the scripts share."""
    return subprocess.run(
        ["bash", "-c", f"source '{checkout}/scripts/environment.sh'; {command}"],
        env=os.environ | {"PYTHON": sys.executable},
        capture_output=True,
        text=True,
        timeout=100,
    )


def test_one_that_works_is_kept(checkout: Path) -> None:
    assert script(checkout, "make_venv").stderr == ""
    assert (checkout / ".venv" / "installed-embedded").exists()


def lose_the_python(checkout: Path) -> None:
    python = checkout / ".venv" / "bin" / "python"
    python.unlink()
    python.symlink_to("/usr/bin/python3.0")


def upgrade_the_python(checkout: Path) -> None:
    """Change the packages' path, as a new Python of an upgraded system does."""
    packages = next((checkout / ".venv").glob("lib/python3*"))
    packages.rename(packages.with_name("python3.0"))


def copy_from_elsewhere(checkout: Path) -> None:
    (checkout / ".venv" / "bin" / "pip").write_text("#!/elsewhere/.venv/bin/python\n")


@pytest.mark.parametrize("spoil", [lose_the_python, upgrade_the_python, copy_from_elsewhere])
def test_one_that_does_not_work_is_noticed(checkout: Path, spoil: Callable[[Path], None]) -> None:
    assert script(checkout, 'venv_works "$VENV"').returncode == 0
    spoil(checkout)
    assert script(checkout, 'venv_works "$VENV"').returncode != 0


def test_one_that_does_not_work_is_made_anew_and_said(checkout: Path) -> None:
    upgrade_the_python(checkout)
    made = script(checkout, "make_venv")
    assert made.returncode == 0
    assert "the .venv there is does not work" in made.stderr
    assert not (checkout / ".venv" / "installed-embedded").exists(), "packages come anew"
    assert script(checkout, "make_venv").stderr == ""
