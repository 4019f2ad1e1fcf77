"""Parse times as a person gives them to a command."""

from __future__ import annotations

import re
from argparse import ArgumentTypeError
from datetime import UTC, datetime, timedelta

SPANS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


def since(text: str) -> datetime:
    """Return the time that a text names, for argparse.

    The text is `30m`, `2h` or `7d` for so long ago, or a date and time, in UTC unless it says
    otherwise.

    Raises: ArgumentTypeError.
    """
    if span := re.fullmatch(r"([0-9]{1,6})([smhd])", text):
        return datetime.now(UTC) - timedelta(**{SPANS[span[2]]: int(span[1])})
    try:
        given = datetime.fromisoformat(text)
    except ValueError as error:
        advice = "write 30m, 2h, 7d, or 2026-11-26T08:00"
        raise ArgumentTypeError(f"{text} is no time; {advice}") from error
    return given if given.tzinfo else given.replace(tzinfo=UTC)
