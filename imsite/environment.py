"""Read environment variables for `imsite.settings`, and name a variable that cannot be read.

A value that is not understood stops the start: otherwise a wrong default would take its place
unnoticed. A value is taken literally: no character of the value names another variable or is an
escape.
"""

from __future__ import annotations

import builtins
import math
import re
from collections.abc import Sequence
from dataclasses import fields
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Any, TypeVar, get_type_hints
from urllib.parse import quote, unquote

import environ
from django.core.exceptions import ImproperlyConfigured

from messaging.links import TlsFiles, database_options

T = TypeVar("T")


def _number(text: str) -> float:
    """Read a finite number; django-environ's own reading of a float makes eight seconds of `8ms`.

    Raises: ValueError for any other text.
    """
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(text)
    return number


KINDS = {int: "a whole number", _number: "a number", bool: "on or off"}
OFF = ("", "0", "false", "off", "no", "n")

# A password may hold characters that end a password in other addresses; the shortest reading that
# fits counts.
_DATABASE = re.compile(
    r"(?P<scheme>[a-z]+)://(?:(?P<user>[^:@/]*)(?::(?P<password>.*?))?@)?"
    r"(?P<host>[^/@?#]*)/(?P<name>[^?]*)(?P<options>\?.*)?",
    re.DOTALL,
)


class Environment(environ.Env):  # type: ignore[misc]
    """Read variables as django-environ does, but strictly.

    `names`: the variables that were asked for, set or not.

    Raises: ImproperlyConfigured with the variable's name, from every method.
    """

    def __init__(self) -> None:
        super().__init__()
        self.names: set[str] = set()

    def get_value(self, var: str, cast: Any = None, **options: Any) -> Any:
        self.names.add(var)
        given = self.ENVIRON.get(var)
        is_switch = given is None or given.lower() in (*self.BOOLEAN_TRUE_STRINGS, *OFF)
        if cast is bool and not is_switch:
            raise ImproperlyConfigured(f"{var} is {given!r}, which is not {KINDS[bool]}.")
        cast = _number if cast is float else cast
        try:
            if given is not None:  # django-environ takes `$abc` for the value of `abc`
                return self.parse_value(given, cast)
            return super().get_value(var, cast=cast, **options)
        except ValueError as error:
            kind = KINDS.get(cast, "a value that can be read")
            raise ImproperlyConfigured(f"{var} is {given!r}, which is not {kind}.") from error

    def list(self, var: str, *, default: Sequence[str]) -> builtins.list[str]:
        """Return the texts between commas, without blanks around them and without empty ones."""
        given = self.get_value(var, cast=builtins.list, default=default)
        return [each.strip() for each in given if each.strip()]

    def choice(self, var: str, choices: Sequence[str], *, default: str) -> str:
        """Return one of the choices, in the case of `choices` whatever case the variable has."""
        given = self.str(var, default=default)
        for choice in choices:
            if given.lower() == choice.lower():
                return choice
        raise ImproperlyConfigured(f"{var} is {given!r}; set it to one of {', '.join(choices)}.")

    def networks(self, var: str) -> tuple[IPv4Network | IPv6Network, ...]:
        """Read addresses and networks, separated by commas; none by default."""
        try:
            return tuple(map(ip_network, self.list(var, default=[])))
        except ValueError as error:
            raise ImproperlyConfigured(
                f"{var} has to name addresses or networks, for example 10.0.0.0/8: {error}."
            ) from error

    def typed(self, kind: type[T], **given: Any) -> T:
        """Make an object of a dataclass: a field that is not given is read from `IM_<FIELD>`.

        A field that is neither a number nor a switch is read as text; `messaging.checks` judges
        whether the text is one of the allowed values.
        """
        hints = get_type_hints(kind)
        reading: dict[Any, Any] = {float: self.float, int: self.int, bool: self.bool}
        for field in fields(kind):  # type: ignore[arg-type]
            if field.name not in given:
                read: Any = reading.get(hints[field.name], self.str)
                given[field.name] = read(f"IM_{field.name.upper()}", default=field.default)
        return kind(**given)

    def database(
        self, var: str, schemes: Sequence[str], *, default: str, tls: TlsFiles | None = None
    ) -> dict[str, Any]:
        """Return Django's settings of the database at an address with one of these schemes.

        `OPTIONS` holds the options after the `?` of the address, in the driver's terms.
        """
        scheme = self.str(var, default=default).partition("://")[0]
        if scheme not in schemes:
            known = " or ".join(f"{scheme}://" for scheme in schemes)
            # The address is left out of the text, as it holds a password.
            raise ImproperlyConfigured(f"{var} has to begin with {known}.")
        address = _DATABASE.fullmatch(self.str(var, default=default))
        try:
            parsed: dict[str, Any] = self.db_url_config(_quoted(address)) if address else {}
        except ValueError:  # the host or the port
            parsed = {}
        if address is None or not parsed:
            raise ImproperlyConfigured(
                f"{var} has to look like mysql://user:password@host:3306/name or sqlite:////path."
            )
        query = (address["options"] or "").removeprefix("?")
        return parsed | {"OPTIONS": database_options(var, scheme, query, tls or TlsFiles())}


def _quoted(address: re.Match[str]) -> str:
    """Return the address without options, each part quoted so that no character ends a part."""
    user, password, name = (
        quote(unquote(address[part] or ""), safe=safe)
        for part, safe in (("user", ""), ("password", ""), ("name", "/"))
    )
    credentials = f"{user}:{password}@" if user or password else ""
    return f"{address['scheme']}://{credentials}{address['host']}/{name}"
