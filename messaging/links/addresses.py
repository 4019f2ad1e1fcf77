"""Split the addresses of all links into parts and options, and refuse unreadable ones."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from urllib.parse import SplitResult, parse_qsl, urlencode, urlsplit

from django.core.exceptions import ImproperlyConfigured


def split_address(variable: str, url: str) -> SplitResult:
    """Split an address into its parts.

    Raises: ImproperlyConfigured for an unreadable address, without its text, as an address holds a
    password.
    """
    try:
        parts = urlsplit(url)
        parts.port  # noqa: B018  # raises for what is no port
    except ValueError as error:
        raise _unreadable(variable) from error
    if parts.fragment or ("@" in parts.path and parts.scheme != "unix"):
        raise _unreadable(variable)  # a part of the password was taken for something else
    return parts


def options(variable: str, query: str, known: Iterable[str]) -> dict[str, str]:
    """Return the options of a query, the text after the `?`.

    Raises: ImproperlyConfigured for an unknown option, or an `@` in the query: the address was cut
    at a `?` of its password.
    """
    found: dict[str, str] = {}
    if "@" in query:
        raise _unreadable(variable)
    for name, value in parse_qsl(query, keep_blank_values=True):
        if name not in known:
            raise ImproperlyConfigured(
                f"{variable}: the option {name!r:.40} is not known; "
                f"known: {', '.join(sorted(known)) or 'none'}."
            )
        found[name] = value
    return found


def with_options(url: str, options: Mapping[str, str]) -> str:
    """Return the address with these options in place of those that it has."""
    # Not `urlunsplit`, which would write unix:///path with one slash.
    return url.partition("?")[0] + (f"?{urlencode(options, safe='/')}" if options else "")


def _unreadable(variable: str) -> ImproperlyConfigured:
    return ImproperlyConfigured(
        f"{variable} is no address that can be read; a character with a meaning of its own "
        "(/ ? # @ : % [ ]) in a user's name or password is written as %XX."
    )


def refuse_unless(variable: str, options: dict[str, str], name: str, *allowed: str) -> None:
    """Remove an option that may have the `allowed` values only.

    Raises: ImproperlyConfigured for another value.
    """
    value = options.pop(name, None)
    if value is not None and value.lower() not in allowed:
        raise ImproperlyConfigured(
            f"{variable}: {name} can only be {allowed[0]}: a link with TLS always proves the "
            "server's authority and name."
        )
