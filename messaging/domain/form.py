"""Read the fields of a request, and collect everything that is wrong with them.

Pure.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeVar

from messaging.domain.errors import InvalidInput
from messaging.domain.request_fields import FieldError, InvalidField

T = TypeVar("T")
D = TypeVar("D")


class Form:
    """Read fields one by one, and collect the errors of each field.

    A stand-in takes the place of a value that is wrong or missing. `close` raises InvalidInput
    then, so that no caller sees a stand-in.
    """

    def __init__(self, source: object) -> None:
        if not isinstance(source, Mapping):
            raise InvalidInput({"body": [FieldError.BODY_NOT_OBJECT]})
        self._source = source
        self._errors: dict[str, list[str]] = {}

    def has(self, field: str) -> bool:
        return self._source.get(field) is not None

    def take(
        self, field: str, read: Callable[[object], T], *, default: D, needed: bool = False
    ) -> T | D:
        """Return the value of a field, or `default` for a value that is absent or wrong.

        `needed`: an absent value is wrong too, and `default` stands in for the value.
        """
        value = self._source.get(field)
        if value is None:
            if needed:
                self.refuse(field, FieldError.REQUIRED)
            return default
        try:
            return read(value)
        except InvalidField as refused:
            self.refuse(field, refused.text)
            return default

    def refuse(self, field: str, text: FieldError) -> None:
        self._errors.setdefault(field, []).append(text)

    def is_wrong(self, field: str) -> bool:
        return field in self._errors

    def close(self) -> None:
        if self._errors:
            raise InvalidInput(self._errors)
