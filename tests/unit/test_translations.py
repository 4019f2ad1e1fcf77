"""Check that every translated text exists in every language, and the shipped files are current."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import polib
import pytest

import messaging
from messaging.admin import operations_texts as operations
from messaging.domain.errors import ApiError
from messaging.domain.request_fields import FieldError
from messaging.trace import texts as trace

PLACES = re.compile(r"\{\w*\}")
LOCALE = Path(messaging.__file__).parent / "locale"
CATALOGUES = sorted(LOCALE.glob("*/LC_MESSAGES/django.po"))


def told_texts() -> set[str]:
    kinds = [ApiError]
    for kind in kinds:
        kinds += kind.__subclasses__()
    texts = {kind.default_text() for kind in kinds} | {refusal.value for refusal in FieldError}
    pages = {text.value for text in (*trace.Text, *operations.Text)}
    return texts | pages | shown_texts()


def shown_texts() -> set[str]:
    """Return the texts that the code marks for translation where it uses them."""
    found = set()
    for path in Path(messaging.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            match node:
                case ast.Call(func=ast.Name("gettext_lazy"), args=[ast.Constant(str(text))]):
                    found.add(text)
    return found


def test_the_marked_texts_are_found() -> None:
    assert "unaccounted messages" in shown_texts()


def test_simplified_chinese_is_there() -> None:
    assert [catalogue.parts[-3] for catalogue in CATALOGUES] == ["zh_Hans"]


@pytest.mark.parametrize("catalogue", CATALOGUES, ids=lambda path: path.parts[-3])
class TestACatalogue:
    def test_has_every_text_that_a_client_may_be_told(self, catalogue: Path) -> None:
        translated = {entry.msgid for entry in polib.pofile(str(catalogue)) if entry.translated()}
        assert told_texts() - translated == set()

    def test_has_no_text_that_nobody_tells(self, catalogue: Path) -> None:
        assert {entry.msgid for entry in polib.pofile(str(catalogue))} - told_texts() == set()

    def test_leaves_the_same_places_to_fill_in(self, catalogue: Path) -> None:
        for entry in polib.pofile(str(catalogue)):
            assert sorted(PLACES.findall(entry.msgstr)) == sorted(PLACES.findall(entry.msgid))

    def test_is_compiled_as_it_is_written(self, catalogue: Path) -> None:
        written = {entry.msgid: entry.msgstr for entry in polib.pofile(str(catalogue))}
        shipped = polib.mofile(str(catalogue.with_suffix(".mo")))
        compiled = {entry.msgid: entry.msgstr for entry in shipped}
        assert compiled == written, "run: manage.py compilemessages"
