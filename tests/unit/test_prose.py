"""Check that each sentence begins with its subject, so that a newcomer need not guess it.

The check reads the docstrings of all code, and the documents.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
BEGINNINGS = ("What", "Who", "Whoever", "That", "It", "Those")
SENTENCE = re.compile(r"(?:^|[.!?]\s+|\n\s*\n\s*)(\w+)")
PATHS = sorted(
    str(path.relative_to(ROOT))
    for folder in ("imsite", "messaging", "bench", "tests")
    for path in (ROOT / folder).rglob("*.py")
    if "migrations" not in path.parts
)
DOCUMENTS = ["README.md", *sorted(f"docs/{path.name}" for path in (ROOT / "docs").glob("*.md"))]
NOT_SENTENCES = re.compile(
    r"^```(?s:.*?)^```$"  # code
    r"|^#.*$"  # a heading
    r"|^\|.*\n(?=\|[ :|-]+$)",  # a table's header
    re.MULTILINE,
)
STARTS = re.compile(r"^[ >]*([-*]|\d+\.) |^\w+: |\|", re.MULTILINE)  # of items, labels and cells


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


def sentences_of(document: str) -> str:
    """Return the prose of a document, with a paragraph for each item, label and table cell."""
    return STARTS.sub("\n\n", NOT_SENTENCES.sub("", document)).replace("*", "")


def test_finds_the_sentences_of_a_document() -> None:
    code = "```sh\nWho am I\n```\n# What it is\n"
    table = "| What | Those |\n|---|---|\n| It a | b. That c |\n"
    text = "Choice: Whoever calls.\n- Those in\n  it. **What** counts: it"
    found = first_words(sentences_of(code + table + text))
    assert found == ["It", "b", "That", "Whoever", "Those", "What"]


@pytest.mark.parametrize("path", DOCUMENTS)
def test_no_sentence_of_a_document_begins_with_a_relative_clause(path: str) -> None:
    words = first_words(sentences_of((ROOT / path).read_text()))
    assert len(words) > 50
    assert not set(words) & set(BEGINNINGS)
