"""Find the language that a client asks for, without a cache that a client could fill."""

from __future__ import annotations

import re
from collections.abc import Iterator

from django.conf import settings

from messaging.limits import MAX_LANGUAGE_BYTES

_RANGE = re.compile(
    r"[ \t]*(\*|[A-Za-z]{1,8})(?:-[A-Za-z0-9-]*)?[ \t]*"
    r"(?:;[ \t]*[qQ]=([01](?:\.[0-9]{0,3})?)[ \t]*)?"
)


def language_of(accept_language: bytes) -> str:
    """Return the code of the site's language that the beginning of an Accept-Language asks for.

    As in Django, the language counts and not its region, and `*` means the site's own language.
    """
    known = {code.partition("-")[0]: code for code, _ in settings.LANGUAGES}
    wanted = accept_language[:MAX_LANGUAGE_BYTES].decode("latin-1")
    for _, language in sorted(_weighed(wanted), key=lambda each: -each[0]):
        if language == "*":
            break
        if language in known:
            return known[language]
    return settings.LANGUAGE_CODE


def _weighed(wanted: str) -> Iterator[tuple[float, str]]:
    for part in wanted.split(","):
        if read := _RANGE.fullmatch(part):
            weight = float(read[2] or 1)
            if weight:
                yield weight, read[1].lower()
