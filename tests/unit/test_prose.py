"""Each sentence of a docstring begins with its subject, so that a newcomer need not guess it."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
BEGINNINGS = ("What", "Who", "Whoever", "That", "Those")
SENTENCE = re.compile(r"(?:^|[.!?]\s+|\n\s*\n\s*)(\w+)")
PATHS = sorted(
    str(path.relative_to(ROOT))
    for folder in ("imsite", "messaging", "bench")
    for path in (ROOT / folder).rglob("*.py")
    if "migrations" not in path.parts
)


def docstrings(source: str) -> Iterator[str]:
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, documented) and (text := ast.get_docstring(node)):
            yield text


def first_words(text: str) -> list[str]:
    return SENTENCE.findall(text)


def test_finds_the_first_word_of_each_sentence() -> None:
    text = "Return rows. What is\nstored counts.\n\nThose in 1.5 s. Done"
    assert first_words(text) == ["Return", "What", "Those", "Done"]


@pytest.mark.parametrize("path", PATHS)
def test_no_sentence_begins_with_a_relative_clause(path: str) -> None:
    found = [
        text
        for text in docstrings((ROOT / path).read_text())
        if set(first_words(text)) & set(BEGINNINGS)
    ]
    assert not found
