"""Check that `docs/limits.md` states all limits that are in force."""

from __future__ import annotations

import re
from dataclasses import fields
from importlib import import_module
from pathlib import Path

import pytest

from messaging import limits
from messaging.conf import Settings

ROOT = Path(__file__).resolve().parents[2]
ROW = re.compile(r"^\| ([^|]+) \| ([\d,.]+) \|([^|]*)\| `([^`]+)` \| ([^|]+) \|$", re.MULTILINE)
GROUP = re.compile(r"^\| \*\*[^|]+ \| \| \| \| \|$|^\|---")
FACTORS = {"KiB": 1024, "MiB": 1024 * 1024}
LIMITING = re.compile(r"_(rate|burst|per_minute|per_hour|queue|places|wait_s|timeout_s)$")
NOT_IN_TABLE = {"MAX_PARSED_HEADER_BYTES"}  # this setting is one number for each of several headers


def text() -> str:
    return (ROOT / "docs" / "limits.md").read_text()


def told() -> dict[str, float]:
    """Return the number of each row by the name of the setting."""
    rows = ROW.findall(text())
    names = [name for _, _, _, name, _ in rows]
    assert len(names) == len(set(names))
    return {
        name: float(value.replace(",", "")) * FACTORS.get(unit.strip(), 1)
        for _, value, unit, name, _ in rows
    }


def in_force(name: str) -> float:
    if name.startswith("IM_"):
        defaults = {each.name: each.default for each in fields(Settings)}
        return float(defaults[name.removeprefix("IM_").lower()])  # type: ignore[arg-type]
    if name.startswith("--"):
        (value,) = re.findall(rf"{name} (\d+)", (ROOT / "scripts" / "run").read_text())
        return float(value)
    module, _, constant = name.rpartition(".")
    return float(getattr(import_module(module), constant))


@pytest.mark.parametrize("name", told())
def test_a_number_is_that_of_the_code(name: str) -> None:
    assert told()[name] == in_force(name)


def test_every_row_is_read() -> None:
    table = [line for line in text().splitlines() if line.startswith("| ")]
    assert len(ROW.findall(text())) == len([line for line in table[1:] if not GROUP.match(line)])


def test_no_limit_is_left_out() -> None:
    constants = {name for name in vars(limits) if name.isupper()} - NOT_IN_TABLE
    settings = {each.name for each in fields(Settings) if LIMITING.search(each.name)}
    expected = {f"messaging.limits.{name}" for name in constants}
    expected |= {f"IM_{name.upper()}" for name in settings}
    assert expected <= told().keys()


@pytest.mark.parametrize("readme", ["README.md", "README.zh-CN.md"])
def test_the_readme_leads_there(readme: str) -> None:
    assert "(docs/limits.md)" in (ROOT / readme).read_text()
