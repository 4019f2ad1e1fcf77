"""Describe for the log why a link failed, in one line without a secret."""

from __future__ import annotations

import ssl
from collections.abc import Iterator

LONGEST = 200
# Parts of class names, so that no vendor's module is imported for the sake of a text.
CREDENTIALS = ("Authentication", "Authorization", "NoPermission")


def reason(error: BaseException) -> str:
    """Return the text of the first error of TLS or credentials in an error's chain of causes.

    Without such an error return a type's name: the texts of other errors may hold values. The name
    is that of the last cause when that cause is an OSError, else that of the error.
    """
    chain = list(_chain(error))
    for each in chain:
        if told := _told(each):
            return " ".join(told.split())[:LONGEST]
    return type(chain[-1] if isinstance(chain[-1], OSError) else error).__name__


def _told(error: BaseException) -> str:
    name = type(error).__name__
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"TLS: {error.verify_message}"
    if isinstance(error, ssl.SSLError):
        return f"TLS: {error.reason or name}"
    if any(part in name for part in CREDENTIALS):
        return f"{name}: {error}"
    return ""


def _chain(error: BaseException) -> Iterator[BaseException]:
    seen: set[int] = set()
    following: BaseException | None = error
    while following is not None and id(following) not in seen:
        seen.add(id(following))
        yield following
        following = following.__cause__ or following.__context__
