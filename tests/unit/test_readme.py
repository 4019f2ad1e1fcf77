"""Check that both READMEs agree with the code and each other on commands, error codes and keys.

The settings have a test of their own, `test_settings_documented`.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from messaging.cache import keys
from messaging.domain.errors import ApiError
from messaging.pipeline.compensation import LEASE
from messaging.pipeline.sweep_watch import MARK

ROOT = Path(__file__).resolve().parents[2]
READMES = ("README.md", "README.zh-CN.md")


def text_of(readme: str) -> str:
    return (ROOT / readme).read_text()


def blocks(readme: str) -> list[tuple[str, str]]:
    """Return the commands and their output, without the comments and the drawing."""
    found = re.findall(r"^```(\w+)\n(.*?)^```$", text_of(readme), re.MULTILINE | re.DOTALL)
    return [
        (kind, re.sub(r"(^| +)# .*$\n?", "\n", block, flags=re.MULTILINE))
        for kind, block in found
        if kind != "mermaid"
    ]


def error_classes(base: type[ApiError] = ApiError) -> Iterator[type[ApiError]]:
    yield base
    for each in base.__subclasses__():
        yield from error_classes(each)


def keys_in_use() -> dict[str, str]:
    """Return an example of each key, by the name of the function that makes it."""
    examples: dict[str, object] = {"int": 7, "str": "x"}
    made = {
        name: str(make(*(examples[each.annotation] for each in parameters.values())))
        for name, make in vars(keys).items()
        if inspect.isfunction(make) and make.__module__ == keys.__name__
        for parameters in [inspect.signature(make).parameters]
        if name not in ("lease", "rates", "tails")
    }
    constants = {
        "RATE": f"{keys.RATE}7",
        "PENDING": keys.PENDING,
        "ATTEMPTS": keys.ATTEMPTS,
        "PENDING_BYTES": keys.PENDING_BYTES,
        "LEASE": keys.lease(LEASE),
        "MARK": keys.lease(MARK),
        "CANCELS": keys.CANCELS,
        "INCARNATION": keys.INCARNATION,
        "HEARTBEATS": keys.HEARTBEATS,
        "USED": keys.USED,
        "HELD": keys.HELD,
    }
    return made | constants


def test_both_readmes_show_the_same_commands_and_answers() -> None:
    english, chinese = map(blocks, READMES)
    assert len(english) > 40
    assert english == chinese


@pytest.mark.parametrize("readme", READMES)
def test_every_error_code_is_told(readme: str) -> None:
    cells = re.findall(r"^\| ([\d, 、]+) \| [^|]+ \| [^|]+ \|$", text_of(readme), re.MULTILINE)
    told = {int(code) for cell in cells for code in re.findall(r"\d+", cell)}
    assert told == {error.code for error in error_classes()}


@pytest.mark.parametrize("readme", READMES)
def test_every_key_in_redis_is_told(readme: str) -> None:
    told = re.findall(r"^\| `(msg:[^`]+)` \|", text_of(readme), re.MULTILINE)
    patterns = {name: re.sub(r"\{\w+\}", "[^:]+", name) for name in told}
    used = keys_in_use()
    for name, example in used.items():
        fits = [key for key, pattern in patterns.items() if re.fullmatch(pattern, example)]
        assert len(fits) == 1, f"{name}: {example} is told as {fits}"
    assert len(told) == len(used)


@pytest.mark.parametrize("readme", READMES)
def test_every_link_leads_somewhere(readme: str) -> None:
    text = text_of(readme)
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    anchors = {re.sub(r"[^\w -]", "", heading).lower().replace(" ", "-") for heading in headings}
    for target in re.findall(r"\]\(([^)]+)\)", text):
        if target.startswith("#"):
            assert target[1:] in anchors
        else:
            assert (ROOT / target).is_file()
