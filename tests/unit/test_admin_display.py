"""Test how the admin shows times, ages and other people's text."""

from __future__ import annotations

import unicodedata

import pytest

from messaging.admin.display import age, utc_time, visible


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (-3, "0 s"),
        (0, "0 s"),
        (59.9, "59 s"),
        (60, "1 min"),
        (3_599, "59 min 59 s"),
        (7_205, "2 h"),
        (7_380, "2 h 3 min"),
        (86_400 * 400 + 3_600, "400 d 1 h"),
    ],
)
def test_an_age_is_shown_in_its_largest_units(seconds: float, shown: str) -> None:
    assert age(seconds) == shown


@pytest.mark.parametrize(
    ("time_ms", "shown"),
    [
        (0, "1970-01-01 00:00:00.000"),
        (1_793_583_090_625, "2026-11-02 01:31:30.625"),
        (2**63 - 1, "9223372036854775807 ms"),
        (None, "–"),
    ],
)
def test_a_time_is_shown_to_the_millisecond(time_ms: int | None, shown: str) -> None:
    assert utc_time(time_ms) == shown


def test_every_character_that_is_obeyed_rather_than_seen_is_named() -> None:
    joiners_and_line_ends = "\u200c\u200d\t\n\r"
    bmp = (chr(point) for point in range(0x10000) if not 0xD800 <= point < 0xE000)
    controls = [c for c in bmp if unicodedata.category(c) in ("Cc", "Zl", "Zp")]
    controls += [c for c in map(chr, range(0x10000)) if unicodedata.bidirectional(c) in BIDI]

    for control in controls:
        if control not in joiners_and_line_ends:
            assert visible(control) == f'<span class="im-control">U+{ord(control):04X}</span>'
    assert visible(joiners_and_line_ends) == joiners_and_line_ends


BIDI = ("LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI")


@pytest.mark.parametrize("text", ["👩‍👩‍👧‍👦", "🏴󠁧󠁢󠁷󠁬󠁳󠁿", "שלום, עולם", "می‌خواهم", "e\u0301"])
def test_scripts_and_emoji_are_left_as_they_are(text: str) -> None:
    assert visible(text) == text
