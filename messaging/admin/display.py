"""Format times, ages and other people's text for the admin."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from itertools import pairwise

from django.urls import reverse
from django.utils.html import escape, format_html
from django.utils.safestring import SafeString, mark_safe

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
NOTHING = "–"
UNITS = (("d", 86_400), ("h", 3_600), ("min", 60), ("s", 1))
# C0 and C1 but tab and line ends, bidi marks and overrides, and what takes no space. Joiners stay:
# emoji and several scripts are made of them.
CONTROL = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u061c\u180e\u200b\u200e\u200f\u2028-\u202e"
    "\u2060-\u206f\ufeff\ufff9-\ufffb]"
)


def utc_time(time_ms: int | None) -> str:
    """Return milliseconds since 1970 as a readable time.

    The label beside the time says UTC.
    """
    if time_ms is None:
        return NOTHING
    try:
        moment = EPOCH + timedelta(milliseconds=time_ms)
    except OverflowError:
        return f"{time_ms} ms"
    return f"{moment:%Y-%m-%d %H:%M:%S}.{moment.microsecond // 1000:03d}"


def age(seconds: float) -> str:
    """Return a span of time in its largest unit and the next one."""
    left = max(0, int(seconds))
    for (unit, size), (lesser, lesser_size) in pairwise(UNITS):
        if left >= size:
            rest = left % size // lesser_size
            return f"{left // size} {unit}" + (f" {rest} {lesser}" if rest else "")
    return f"{left} s"


def visible(text: str) -> SafeString:
    """Return the text escaped, its control characters named instead of obeyed.

    A right-to-left override in a message must not turn the page around it.
    """
    return mark_safe(CONTROL.sub(_name, escape(text)))


def text_box(text: str) -> SafeString:
    """Return the text as written, line ends and direction kept, set apart from the page."""
    return format_html('<div class="im-text" dir="auto">{}</div>', visible(text))


def text_of(data: bytes | memoryview) -> str:
    """Return the text of a record, its bytes that are no UTF-8 written as escapes."""
    return bytes(data).decode(errors="backslashreplace")


def search_link(term: str, text: str) -> SafeString:
    """Return a link to the messages that a search term finds."""
    url = reverse("admin:messaging_message_changelist", query={"q": term})
    return format_html('<a href="{}">{}</a>', url, text)


def _name(match: re.Match[str]) -> str:
    return format_html('<span class="im-control">{}</span>', f"U+{ord(match[0]):04X}")
