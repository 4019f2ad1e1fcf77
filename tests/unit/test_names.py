"""Test which names may be taken, which may not, and which of them are the same."""

from __future__ import annotations

import time
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from messaging.domain.names import (
    check_group_name,
    check_user_name,
    composed,
    fold,
)
from messaging.domain.request_fields import FieldError, InvalidField
from messaging.limits import MAX_LOGIN_NAME_CHARACTERS

TAKEN = (
    *("abc", "x" * 32, "a.b+c@d-e_1", "café", "cafe\u0301", "Nguyễn", "Ọ̀ṣun", "İpek"),
    *("प्रिया", "রহিম", "தமிழ்", "กิตติ", "น้ำฝน", "ကောင်း", "မြို့သူ", "សុខា", "නිමල්", "ශ්\u200dරී"),
    *("مُحَمَّد", "علی\u200cرضا", "שָׁלוֹם", "ქართული", "ኢትዮጵያ", "Иван", "Ὀδυσσεύς", "Հայկ", "ᏣᎳᎩ"),
    *("张三丰", "さくらサクラ漢字", "김철수", "राम_ram", "ＡＢＣ"),
)
INVISIBLE = (
    *("\u3164" * 3, "\uffa0" * 4, "\u115f" * 5, "carol\u3164", "car\u115fol", "car\u1160ol"),
    *("carol\ufe0f", "carol\U000e0061", "ca\u00adrol", "carol\u034f", "ca\u200brol", "ca\u200drol"),
    *("ca\u200crol", "\u200ccarol", "carol\u180b", "ក\u17b4ខគ", "carol\U00013441", "\u202ecarol"),
    *(" carol", "ca rol", "carol\n", "ca\u00a0rol", "carol\u2800"),
)
MARKED = (
    *("\u0301carol", "1\u0301carol", "_\u093fराम", "cq\u0301\u0302\u0300b", "cq\u0301\u0301b"),
    *("क\u093f\u093fराम", "က" + "\u103b\u103c\u103d\u103e\u102d" + "ab"),
)
LOOK_ALIKE = ("сarol", "аliсe1", "αlice", "Ꭺlice", "Իvan", "ivanІ")


def refusal(check: object, name: str) -> FieldError:
    with pytest.raises(InvalidField) as refused:
        check(name)  # type: ignore[operator]
    return refused.value.text


class TestAUserName:
    @pytest.mark.parametrize("name", TAKEN)
    def test_of_any_script_may_be_taken(self, name: str) -> None:
        check_user_name(name)

    @pytest.mark.parametrize("name", INVISIBLE, ids=ascii)
    def test_shows_all_that_it_is(self, name: str) -> None:
        assert refusal(check_user_name, name) is FieldError.NAME_INVISIBLE

    @pytest.mark.parametrize("name", MARKED, ids=ascii)
    def test_has_marks_on_letters_and_no_stack_of_them(self, name: str) -> None:
        assert refusal(check_user_name, name) is FieldError.NAME_MARKS

    @pytest.mark.parametrize("name", LOOK_ALIKE, ids=ascii)
    def test_is_of_one_writing(self, name: str) -> None:
        assert refusal(check_user_name, name) is FieldError.USERNAME_SCRIPTS

    @pytest.mark.parametrize("name", ["<carol>", "😀😀😀", "ca\u20ddrol", "car/ol"])
    def test_is_of_letters(self, name: str) -> None:
        assert refusal(check_user_name, name) is FieldError.USERNAME_CHARACTERS

    @pytest.mark.parametrize("name", ["", "ab", "x" * 33, "x" * 151, "\u3164" * 200])
    def test_has_3_to_32_characters(self, name: str) -> None:
        assert refusal(check_user_name, name) is FieldError.USERNAME_LENGTH

    def test_that_is_long_costs_nothing(self) -> None:
        """Composing this name takes more than a minute."""
        began_s = time.perf_counter()
        for work in (composed, check_user_name):
            name = "a" + "\u0301" * 500_000 + "\u0316" * 500_000
            assert refusal(work, name) is FieldError.USERNAME_LENGTH
        check_group = refusal(check_group_name, "a" + "\u0301\u0316" * 500_000)
        assert check_group is FieldError.GROUP_NAME_LENGTH
        assert time.perf_counter() - began_s < 10

    def test_may_be_sent_in_pieces(self) -> None:
        sent = unicodedata.normalize("NFD", "ễ" * 32)
        assert len(sent) > 32
        check_user_name(sent)
        assert composed(sent) == "ễ" * 32
        assert len(composed("x" * MAX_LOGIN_NAME_CHARACTERS)) == MAX_LOGIN_NAME_CHARACTERS


class TestAGroupName:
    @pytest.mark.parametrize(
        "name",
        [
            *(
                "Demo",
                "x",
                "Weekend trip 🏔️",
                "👨‍👩‍👧 family",
                "👩🏽‍💻 devs",
                "1️⃣ first",
                "🇨🇳 team",
                "🫨",
            ),
            *("家族　旅行", "résumé (2026)", "مجموعة العائلة", "می\u200cخواهم", "<b>", "ữ" * 100),
        ],
    )
    def test_may_have_words_and_emoji(self, name: str) -> None:
        check_group_name(name)

    @pytest.mark.parametrize(
        "name",
        [
            *("\u3164", "a\u3164", " a", "a ", "\u2800", "a\u200bb", "a\u00a0b", "a\ufe0f", "   "),
            *("x\u200dy", "\u202eabc", "a\U000e0020", "a\0", "a\nb", "\ud800"),
        ],
        ids=ascii,
    )
    def test_shows_all_that_it_is(self, name: str) -> None:
        assert refusal(check_group_name, name) is FieldError.NAME_INVISIBLE

    @pytest.mark.parametrize("name", ["\u0301a", "a \u0301b", "q\u0301\u0302\u0300"], ids=ascii)
    def test_has_marks_on_letters_and_no_stack_of_them(self, name: str) -> None:
        assert refusal(check_group_name, name) is FieldError.NAME_MARKS


class TestFolding:
    @pytest.mark.parametrize(
        ("one", "other"),
        [
            *(
                ("ALICE", "alice"),
                ("Straße", "STRASSE"),
                ("Ｃａｒｏｌ", "carol"),
                ("ΣΊΣΥΦΟΣ", "Σίσυφος"),
            ),
            *(("café", "CAFE\u0301"), ("ශ්\u200dරී", "ශ්රී"), ("Ꭰᏸ", "ꭰᏸ"), ("ᾳβγ", "ΑΙΒΓ")),
        ],
    )
    def test_makes_alike_what_is_one_name(self, one: str, other: str) -> None:
        assert fold(one) == fold(other)

    @pytest.mark.parametrize(("one", "other"), [("alice", "alicе"), ("café", "cafe"), ("İ", "i")])
    def test_leaves_apart_what_is_not(self, one: str, other: str) -> None:
        assert fold(one) != fold(other)

    @given(st.text(max_size=40))
    def test_twice_is_folding_once(self, name: str) -> None:
        assert fold(fold(name)) == fold(name)
        assert fold(composed(name)) == fold(name)
        assert fold(composed(name.upper())) == fold(name.upper())
