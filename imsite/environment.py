"""Reads environment variables for `imsite.settings`, and names the one that cannot be read.

A value that is not understood stops the start: a wrong default would take its place unnoticed.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import environ
from django.core.exceptions import ImproperlyConfigured


def _number(text: str) -> float:
    """django-environ's own reading of a float makes eight seconds of `8ms`."""
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(text)
    return number


KINDS = {int: "a whole number", _number: "a number", bool: "on or off"}
OFF = ("", "0", "false", "off", "no", "n")


class Environment(environ.Env):  # type: ignore[misc]
    """django-environ; everything raises ImproperlyConfigured with the variable's name."""

    def get_value(self, var: str, cast: Any = None, **options: Any) -> Any:
        given = self.ENVIRON.get(var)
        is_switch = given is None or given.lower() in (*self.BOOLEAN_TRUE_STRINGS, *OFF)
        if cast is bool and not is_switch:
            raise ImproperlyConfigured(f"{var} is {given!r}, which is not {KINDS[bool]}.")
        cast = _number if cast is float else cast
        try:
            return super().get_value(var, cast=cast, **options)
        except ValueError as error:
            kind = KINDS.get(cast, "a value that can be read")
            raise ImproperlyConfigured(f"{var} is {given!r}, which is not {kind}.") from error

    def choice(self, var: str, choices: Sequence[str], *, default: str) -> str:
        """One of the choices, however its letters are cased."""
        given = self.str(var, default=default)
        for choice in choices:
            if given.lower() == choice.lower():
                return choice
        raise ImproperlyConfigured(f"{var} is {given!r}; it can be {', '.join(choices)}.")

    def database(self, var: str, schemes: Sequence[str], *, default: str) -> dict[str, Any]:
        """Django's settings of the database at an address that begins with one of `schemes`."""
        if self.str(var, default=default).partition("://")[0] not in schemes:
            known = " or ".join(f"{scheme}://" for scheme in schemes)
            raise ImproperlyConfigured(f"{var} has to begin with {known}.")  # it holds a password
        parsed: dict[str, Any] = self.db_url(var, default=default)
        return parsed
