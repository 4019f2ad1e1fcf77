"""Check that both READMEs list every variable that is read, with its default, and no other."""

from __future__ import annotations

import os
import re
import runpy
from pathlib import Path
from typing import Any

import environ
import pytest

ROOT = Path(__file__).resolve().parents[2]
SECTIONS = {"README.md": "Settings", "README.zh-CN.md": "配置项"}
SCRIPTS = ("run", "services", "test", "environment.sh")
COMPOSE_FILE = ROOT / "compose" / "docker-compose.yml"
ROW = re.compile(r"^\| `([A-Z_]+)`(?: \*)? \| (.+?) \| (.+) \|$", re.MULTILINE)


def documented(readme: str) -> dict[str, list[str]]:
    """Return the defaults in code style of each variable; a row without a meaning fails."""
    text = (ROOT / readme).read_text()
    _, section = text.split(f"\n## {SECTIONS[readme]}\n")
    rows = ROW.findall(section.partition("\n## ")[0])
    names = [name for name, _, _ in rows]
    assert len(names) == len(set(names))
    return {name: sorted(re.findall(r"`([^`]*)`", default)) for name, default, _ in rows}


@pytest.fixture
def read_by_settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> dict[str, Any]:
    """Return the variables that imsite.settings reads where none is set, with their defaults."""
    read: dict[str, Any] = {}
    get_value = environ.Env.get_value

    def note(self: environ.Env, var: str, *args: Any, **options: Any) -> Any:
        read[var] = options.get("default")
        return get_value(self, var, *args, **options)

    for name in [name for name in os.environ if name.startswith("IM_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("VAR_DIR", str(tmp_path / "var"))
    monkeypatch.setenv("LOG_DIR", str(tmp_path / "logs"))
    monkeypatch.setattr(environ.Env, "get_value", note)
    runpy.run_path(str(ROOT / "imsite" / "settings.py"))
    return read


def read_by_scripts() -> dict[str, str]:
    """Return the variables that the scripts take from their caller, with their defaults."""
    read: dict[str, str] = {}
    for script in SCRIPTS:
        text = (ROOT / "scripts" / script).read_text()
        given = dict(re.findall(r"\$\{([A-Z_]+):-([^}]*)\}", text))
        taken_over = set(re.findall(r"^([A-Z_]+)=\$\{\1:-", text, re.MULTILINE))
        own = set(re.findall(r"^\s*(?:export )?([A-Z_]+)=", text, re.MULTILINE)) - taken_over
        read |= {name: default for name, default in given.items() if name not in own}
    return read


def read_by_compose() -> set[str]:
    return set(re.findall(r"(?<!\$)\$\{([A-Z_]+)", COMPOSE_FILE.read_text()))


@pytest.mark.parametrize("readme", SECTIONS)
def test_the_documented_variables_are_those_that_are_read(
    readme: str, read_by_settings: dict[str, Any]
) -> None:
    read = read_by_settings.keys() | read_by_scripts().keys() | read_by_compose()
    assert documented(readme).keys() == read


def test_the_variables_are_found() -> None:
    """The patterns above still match the scripts."""
    assert read_by_scripts().keys() >= {"PORT", "VAR_DIR", "MARIADB_PORT", "PYTHON", "CI"}
    assert read_by_compose() >= {"MYSQL_PASSWORD", "BIND", "IM_SECRET_KEY"}


@pytest.mark.parametrize("readme", SECTIONS)
def test_the_documented_defaults_are_those_in_force(
    readme: str, read_by_settings: dict[str, Any], tmp_path: Path
) -> None:
    rows = documented(readme)
    defaults = read_by_scripts() | read_by_settings
    for name in defaults:
        default = defaults[name]
        told = [str(defaults.get(word, word)) for word in rows[name]]
        is_computed = isinstance(default, bool | list) or any(
            part in str(default) for part in ("$", " ", str(tmp_path), str(ROOT))
        )
        if default not in (None, "") and not is_computed:
            assert _plain(default) in map(_plain, told), f"{name}: {default!r} is not in {told}"


def test_both_readmes_tell_the_same_defaults() -> None:
    english, chinese = (documented(readme) for readme in SECTIONS)
    assert english == chinese


def _plain(value: object) -> object:
    """Return 4096.0 and `4096` as the same default."""
    try:
        return float(str(value))
    except ValueError:
        return value
