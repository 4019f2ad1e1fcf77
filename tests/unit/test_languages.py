"""Test the language of answers: Django's choice, without Django's caches."""

from __future__ import annotations

import pytest
from django.http import HttpRequest
from django.utils import translation
from django.utils.translation import trans_real

from messaging.languages import language_of
from messaging.limits import MAX_LANGUAGE_BYTES


@pytest.mark.parametrize(
    "wanted",
    [
        *("", "en", "zh", "zh-CN", "zh-TW", "ZH-hans", "zh-Hant-HK", "en-GB,zh;q=0.9", "fr", "*"),
        *("fr, zh;q=0.5, en;q=0.4", "zh;q=0.1,en;q=0.8", "fr,*;q=0.5,zh;q=0.1", "zh ; q=0.7"),
        *("de-DE,de;q=0.9,zh-CN;q=0.8", "zh;q=1.0,en;q=1", "en;q=0.5,zh;q=0.5", "english,zhx"),
    ],
)
def test_is_djangos_choice(wanted: str) -> None:
    request = HttpRequest()
    request.META["HTTP_ACCEPT_LANGUAGE"] = wanted
    assert language_of(wanted.encode()) == translation.get_language_from_request(request)


@pytest.mark.parametrize("unreadable", ["zh;q=x", ";;;,", "\xff", "zh;q=2", "-" * 5_000])
def test_is_the_sites_where_nothing_can_be_read(unreadable: str) -> None:
    assert language_of(unreadable.encode("latin-1")) == "en"


def test_is_looked_for_in_the_beginning_alone() -> None:
    assert language_of(b"fr," * 80 + b"zh") == "zh-hans"
    assert language_of(b"fr," * MAX_LANGUAGE_BYTES + b"zh") == "en"


def test_of_many_spellings_fills_no_cache() -> None:
    caches = [each for each in vars(trans_real).values() if hasattr(each, "cache_info")]
    assert caches
    before = [cache.cache_info().currsize for cache in caches]
    for number in range(10_000):
        assert language_of(b"zh-a%d,en;q=0.%03d" % (number, number % 999)) == "zh-hans"
    assert [cache.cache_info().currsize for cache in caches] == before
